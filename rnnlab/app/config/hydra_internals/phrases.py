"""Phrases in the error messages of Hydra and OmegaConf that rnnlab recognises, with their meanings.

Where possible, rnnlab relies on the class or attributes of an exception instead of its message. Only this
module depends on the wording of messages from Hydra or OmegaConf.
"""

import re
from enum import Enum

_HYDRA, _OMEGACONF = "hydra/_internal/", "omegaconf/"


class Phrase(Enum):
    """Phrase in an error message, with its regular expression, meaning and source file.

    A meaning states the cause of the error and the text matched by each capture group of the regular
    expression.
    """

    # Phrases about the command line
    EMPTY_CHOICE = (
        r"empty choice",
        "a sweep axis has no values",
        _HYDRA + "grammar/grammar_functions.py",
    )
    AMBIGUOUS = (
        r"Ambiguous value for argument",
        "an override has several values, but -m is missing; the message quotes the override",
        _HYDRA + "config_loader_impl.py",
    )
    NEEDS_MULTIRUN = (
        r"requires --multirun",
        "an override contains a range, choice or glob, but -m is missing; the message quotes the override",
        _HYDRA + "config_loader_impl.py",
    )
    # Phrases about groups
    NOT_IN_DEFAULTS = (
        r"To append to your default list use",
        "an override GROUP=OPTION refers to a group that has no option; the message quotes the group",
        _HYDRA + "defaults_list.py",
    )
    CHOSEN_TWICE = (
        r"To override a value use 'override (.*?): ",
        "the override +GROUP=OPTION refers to a group that already has an option; capture group 1 is GROUP",
        _HYDRA + "defaults_list.py",
    )
    NOT_CHOSEN = (
        r"\ACould not delete '(.*)'\. No match in the defaults list",
        "the override ~GROUP=OPTION names an option that is not selected; capture group 1 is GROUP=OPTION",
        _HYDRA + "defaults_list.py",
    )
    NOT_AN_OPTION = (
        r"Config group override must be",
        "an override sets a group to a value that is not the name of an option",
        _HYDRA + "defaults_list.py",
    )
    UNRESOLVED_GROUP = (
        r"\AError resolving interpolation '(.*?)', possible interpolation keys: (.*)",
        "an interpolation in a defaults list does not refer to a group; capture group 1 is the "
        "interpolation, and capture group 2 lists the existing groups",
        "hydra/core/default_element.py",
    )
    # Phrases about values
    NO_SUCH_KEY = (
        r"Could not override",
        "an override refers to a key that does not exist; the message quotes the key",
        _HYDRA + "config_loader_impl.py",
    )
    NOT_MERGED = (
        r"(?s)\AError merging override (.*)",
        "an override sets a value that its key does not accept; capture group 1 is the override, and the "
        "exception's __cause__ is OmegaConf's error",
        _HYDRA + "config_loader_impl.py",
    )
    DELETED_OTHER_VALUE = (
        r"\ACould not delete from config\. The value of '(.*?)' is (.*) and not",
        "the override ~KEY=VALUE refers to a key whose current value is not VALUE; capture group 1 is the "
        "key, and capture group 2 is the current value",
        _HYDRA + "config_loader_impl.py",
    )
    NOTHING_TO_DELETE = (
        r"\ACould not delete from config\. '(.*)' does not exist",
        "the override ~KEY refers to a key that does not exist or is null; capture group 1 is the key",
        _HYDRA + "config_loader_impl.py",
    )
    ADDED_TWICE = (
        r"\ACould not append to config\. An item is already at '(.*?)'",
        "the override +KEY=VALUE refers to a key that already exists; capture group 1 is the key",
        _HYDRA + "config_loader_impl.py",
    )
    FILE_NOT_MERGED = (
        r"(?s)\AIn '(.*?)': \w+ raised while composing config:\n(.*)",
        "a configuration file contradicts the types set by earlier files; capture group 1 is the file, and "
        "capture group 2 is OmegaConf's error message",
        _HYDRA + "config_loader_impl.py",
    )
    # Phrases about the type of a key
    EXPECTED_ONE_OF = (
        r"expected one of \[(.*?)\]",
        "a key accepts only certain values; capture group 1 lists these values",
        _OMEGACONF + "nodes.py",
    )
    NOT_OPTIONAL = (
        r"is not Optional",
        "a key is set to null, although null is not allowed",
        _OMEGACONF + "dictconfig.py",
    )
    KEY_NOT_TEXT = (
        r"is incompatible with \(str\)",
        "the name of a key is not a string",
        _OMEGACONF + "dictconfig.py",
    )
    MAPPING_EXPECTED = (
        r"DictConfig|Dict\[|Merge error",
        "a key that requires a mapping has a value of another type",
        _OMEGACONF + "dictconfig.py",
    )
    # Phrases about interpolations
    NO_KEY_REFERENCED = (
        r"(?s)\AInterpolation key '(.*?)' not found\Z",
        "an interpolation refers to a key that does not exist; capture group 1 is the key",
        _OMEGACONF + "base.py",
    )
    MISSING_VALUE = (
        r"(?s)\A(?:.*: )?Missing mandatory value: (\S+)\Z",
        "a mandatory key has no value (???); capture group 1 is the key",
        _OMEGACONF + "dictconfig.py",
    )
    HYDRA_NOT_SET = (
        r"(?s)\A(?:.*: )?HydraConfig was not set\Z",
        "an interpolation refers to ${hydra:KEY} instead of ${hydra.KEY}",
        "hydra/core/hydra_config.py",
    )
    NO_ENVIRONMENT_VARIABLE = (
        r"(?s)\A.*(Environment variable '.*' not found).*\Z",
        "an interpolation ${oc.env:NAME} refers to an environment variable that is not set; capture group 1 "
        "is the reason",
        _OMEGACONF + "resolvers/oc/__init__.py",
    )
    NO_SUCH_RESOLVER = (
        r"(?s)\A(Unsupported interpolation type \S+)\Z",
        "an interpolation calls a resolver that does not exist; capture group 1 is the reason",
        _OMEGACONF + "base.py",
    )
    WHILE_RESOLVING = (
        r"(?s)\A.*while resolving interpolation: ",
        "an interpolation cannot be resolved; the phrase precedes the reason",
        _OMEGACONF + "base.py",
    )
    # Phrases in all errors
    QUOTED = (
        r"\A[^']*'([^']*)",
        "the first quoted text in a message is the invalid key or override, matched by capture group 1",
        _HYDRA + "config_loader_impl.py",
    )
    FULL_KEY = (
        r"full_key: (\S+)",
        "a message contains a message from OmegaConf; capture group 1 is the invalid key",
        _OMEGACONF + "_utils.py",
    )
    LOCATION = (
        r"(?s)\n    full_key.*",
        "OmegaConf appends the location of the error to its message; the phrase matches the appended lines",
        _OMEGACONF + "_utils.py",
    )
    TOO_MANY_DIGITS = (
        r"integer string conversion",
        "Python cannot convert a number with more than 4300 digits, and Hydra quotes Python's error message",
        "the documentation of sys.set_int_max_str_digits",
    )

    def __init__(self, pattern: str, meaning: str, source: str) -> None:
        self.pattern = re.compile(pattern)
        self.meaning = meaning
        self.source = source

    def find(self, message: str) -> re.Match[str] | None:
        """Search a message for the phrase, and return the match or None."""
        return self.pattern.search(message)

    def remove_from(self, message: str) -> str:
        """Return a message without the phrase."""
        return self.pattern.sub("", message)
