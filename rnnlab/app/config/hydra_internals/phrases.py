"""Phrases in the error messages of Hydra and OmegaConf that rnnlab recognises, with their meanings.

Where possible, rnnlab relies on the class or attributes of an exception instead. No other module matches the
text of these messages.
"""

import re
from enum import Enum

_HYDRA, _OMEGACONF = "hydra/_internal/", "omegaconf/"


class Phrase(Enum):
    """Phrase of an error message: regular expression, meaning, and the source file of the message."""

    # Phrases about the command line
    EMPTY_CHOICE = (
        r"empty choice",
        "an axis has no values",
        _HYDRA + "grammar/grammar_functions.py",
    )
    AMBIGUOUS = (
        r"Ambiguous value for argument",
        "an override has several values without -m; the message quotes the override",
        _HYDRA + "config_loader_impl.py",
    )
    NEEDS_MULTIRUN = (
        r"requires --multirun",
        "an override has a range, choice or glob without -m; the message quotes the override",
        _HYDRA + "config_loader_impl.py",
    )
    # Phrases about groups
    NOT_IN_DEFAULTS = (
        r"To append to your default list use",
        "the group has no selected option to replace; the message quotes the group",
        _HYDRA + "defaults_list.py",
    )
    CHOSEN_TWICE = (
        r"To override a value use 'override",
        "+GROUP=OPTION adds an option to a group that already has one",
        _HYDRA + "defaults_list.py",
    )
    NOT_CHOSEN = (
        r"\ACould not delete '(.*)'\. No match in the defaults list",
        "~GROUP=OPTION (regex group 1) removes an option that is not selected",
        _HYDRA + "defaults_list.py",
    )
    NOT_AN_OPTION = (
        r"Config group override must be",
        "the value of a group is not a name",
        _HYDRA + "defaults_list.py",
    )
    UNRESOLVED_GROUP = (
        r"\AError resolving interpolation '(.*?)', possible interpolation keys: (.*)",
        "an interpolation (regex group 1) in a defaults list does not name one of the groups (regex group 2)",
        "hydra/core/default_element.py",
    )
    # Phrases about values
    NO_SUCH_KEY = (
        r"Could not override",
        "the key does not exist; the message quotes the key",
        _HYDRA + "config_loader_impl.py",
    )
    NOT_MERGED = (
        r"(?s)\AError merging override (.*)",
        "the key does not accept the value of the override (regex group 1); the cause is OmegaConf's error",
        _HYDRA + "config_loader_impl.py",
    )
    DELETED_OTHER_VALUE = (
        r"\ACould not delete from config\. The value of '(.*?)' is (.*) and not",
        "~KEY=VALUE removes a key (regex group 1) that has another value (regex group 2)",
        _HYDRA + "config_loader_impl.py",
    )
    NOTHING_TO_DELETE = (
        r"\ACould not delete from config\. '(.*)' does not exist",
        "~KEY removes a key (regex group 1) that does not exist or is null",
        _HYDRA + "config_loader_impl.py",
    )
    ADDED_TWICE = (
        r"\ACould not append to config\. An item is already at '(.*?)'",
        "+KEY=VALUE adds a key (regex group 1) that already exists",
        _HYDRA + "config_loader_impl.py",
    )
    FILE_NOT_MERGED = (
        r"(?s)\AIn '(.*?)': \w+ raised while composing config:\n(.*)",
        "a file (regex group 1) violates the schema of earlier files; regex group 2 is OmegaConf's reason",
        _HYDRA + "config_loader_impl.py",
    )
    # Phrases about the type of a key
    EXPECTED_ONE_OF = (
        r"expected one of \[(.*?)\]",
        "the key accepts only these words (regex group 1)",
        _OMEGACONF + "nodes.py",
    )
    NOT_OPTIONAL = (
        r"is not Optional",
        "the key must not be null",
        _OMEGACONF + "dictconfig.py",
    )
    KEY_NOT_TEXT = (
        r"is incompatible with \(str\)",
        "the name of a key is not text",
        _OMEGACONF + "dictconfig.py",
    )
    MAPPING_EXPECTED = (
        r"DictConfig|Dict\[|Merge error",
        "the key requires a mapping",
        _OMEGACONF + "dictconfig.py",
    )
    # Phrases about interpolations
    NO_KEY_REFERENCED = (
        r"(?s)\AInterpolation key '(.*?)' not found\Z",
        "an interpolation refers to a key (regex group 1) that does not exist",
        _OMEGACONF + "base.py",
    )
    MISSING_VALUE = (
        r"(?s)\A(?:.*: )?Missing mandatory value: (\S+)\Z",
        "the key (regex group 1) has the value ???",
        _OMEGACONF + "dictconfig.py",
    )
    HYDRA_NOT_SET = (
        r"(?s)\A(?:.*: )?HydraConfig was not set\Z",
        "an interpolation contains ${hydra:…}, with a colon",
        "hydra/core/hydra_config.py",
    )
    NO_ENVIRONMENT_VARIABLE = (
        r"(?s)\A.*(Environment variable '.*' not found).*\Z",
        "an interpolation ${oc.env:…} refers to a variable that is not set",
        _OMEGACONF + "resolvers/oc/__init__.py",
    )
    NO_SUCH_RESOLVER = (
        r"(?s)\A(Unsupported interpolation type \S+)\Z",
        "an interpolation calls a resolver that does not exist",
        _OMEGACONF + "base.py",
    )
    WHILE_RESOLVING = (
        r"(?s)\A.*while resolving interpolation: ",
        "text before the reason why an interpolation cannot be resolved",
        _OMEGACONF + "base.py",
    )
    # Phrases in all errors
    QUOTED = (
        r"\A[^']*'([^']*)",
        "the first quoted text of a message is the key or override at fault (regex group 1)",
        _HYDRA + "config_loader_impl.py",
    )
    FULL_KEY = (
        r"full_key: (\S+)",
        "the key at fault (regex group 1), if OmegaConf's message is part of another message",
        _OMEGACONF + "_utils.py",
    )
    LOCATION = (
        r"(?s)\n    full_key.*",
        "lines below OmegaConf's message, with the location of the error",
        _OMEGACONF + "_utils.py",
    )
    TOO_MANY_DIGITS = (
        r"integer string conversion",
        "Python rejects a number with more than 4300 digits, and Hydra passes on this error",
        "the documentation of sys.set_int_max_str_digits",
    )

    def __init__(self, pattern: str, meaning: str, source: str) -> None:
        self.pattern = re.compile(pattern)
        self.meaning = meaning
        self.source = source

    def find(self, message: str) -> re.Match[str] | None:
        """Return the match of the phrase in a message, or None."""
        return self.pattern.search(message)

    def remove_from(self, message: str) -> str:
        """Return a message without the phrase."""
        return self.pattern.sub("", message)
