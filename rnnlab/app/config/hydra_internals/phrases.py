"""The English of Hydra's and OmegaConf's error messages that rnnlab reads, and what each phrase means.

Where the class or the attributes of an exception are enough, those are used instead. No other module matches
the words of these messages.
"""

import re
from enum import Enum

_HYDRA, _OMEGACONF = "hydra/_internal/", "omegaconf/"


class Phrase(Enum):
    """One phrase: a regular expression, what it means, and the file that words it."""

    # of a command line
    EMPTY_CHOICE = (
        r"empty choice",
        "an axis has no values",
        _HYDRA + "grammar/grammar_functions.py",
    )
    AMBIGUOUS = (
        r"Ambiguous value for argument",
        "several values without -m; the override is quoted",
        _HYDRA + "config_loader_impl.py",
    )
    NEEDS_MULTIRUN = (
        r"requires --multirun",
        "a range, choice or glob without -m; the override is quoted",
        _HYDRA + "config_loader_impl.py",
    )
    # of groups
    NOT_IN_DEFAULTS = (
        r"To append to your default list use",
        "the group has no option chosen that could be replaced; the group is quoted",
        _HYDRA + "defaults_list.py",
    )
    CHOSEN_TWICE = (
        r"To override a value use 'override",
        "+GROUP=OPTION, and an option is chosen already",
        _HYDRA + "defaults_list.py",
    )
    NOT_CHOSEN = (
        r"\ACould not delete '(.*)'\. No match in the defaults list",
        "~GROUP=OPTION (1), which is not chosen",
        _HYDRA + "defaults_list.py",
    )
    NOT_AN_OPTION = (
        r"Config group override must be",
        "the value of a group is no name",
        _HYDRA + "defaults_list.py",
    )
    UNRESOLVED_GROUP = (
        r"\AError resolving interpolation '(.*?)', possible interpolation keys: (.*)",
        "an interpolation (1) in a defaults list names none of the groups (2)",
        "hydra/core/default_element.py",
    )
    # of values
    NO_SUCH_KEY = (
        r"Could not override",
        "the key does not exist; it is quoted",
        _HYDRA + "config_loader_impl.py",
    )
    NOT_MERGED = (
        r"(?s)\AError merging override (.*)",
        "the key does not take the value of the override (1); the cause is OmegaConf's error",
        _HYDRA + "config_loader_impl.py",
    )
    DELETED_OTHER_VALUE = (
        r"\ACould not delete from config\. The value of '(.*?)' is (.*) and not",
        "~KEY=VALUE, and the key (1) has another value (2)",
        _HYDRA + "config_loader_impl.py",
    )
    NOTHING_TO_DELETE = (
        r"\ACould not delete from config\. '(.*)' does not exist",
        "~KEY, and the key (1) does not exist or is null",
        _HYDRA + "config_loader_impl.py",
    )
    ADDED_TWICE = (
        r"\ACould not append to config\. An item is already at '(.*?)'",
        "+KEY=VALUE, and the key (1) exists already",
        _HYDRA + "config_loader_impl.py",
    )
    FILE_NOT_MERGED = (
        r"(?s)\AIn '(.*?)': \w+ raised while composing config:\n(.*)",
        "a file (1) does not fit those before it, as OmegaConf says (2)",
        _HYDRA + "config_loader_impl.py",
    )
    # of what a key takes
    EXPECTED_ONE_OF = (
        r"expected one of \[(.*?)\]",
        "the key takes one of these words (1)",
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
    WANTS_KEYS = (
        r"DictConfig|Dict\[|Merge error",
        "the key takes a mapping",
        _OMEGACONF + "dictconfig.py",
    )
    # of interpolations
    NO_KEY_REFERENCED = (
        r"(?s)\AInterpolation key '(.*?)' not found\Z",
        "an interpolation refers to a key (1) that does not exist",
        _OMEGACONF + "base.py",
    )
    MISSING_VALUE = (
        r"(?s)\A(?:.*: )?Missing mandatory value: (\S+)\Z",
        "the key (1) holds ???",
        _OMEGACONF + "dictconfig.py",
    )
    HYDRA_NOT_SET = (
        r"(?s)\A(?:.*: )?HydraConfig was not set\Z",
        "an interpolation ${hydra:…}, with a colon",
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
        "what precedes the reason why an interpolation cannot be resolved",
        _OMEGACONF + "base.py",
    )
    # of any error
    QUOTED = (
        r"\A[^']*'([^']*)",
        "the first quoted text of a message is the key or override at fault (1)",
        _HYDRA + "config_loader_impl.py",
    )
    FULL_KEY = (
        r"full_key: (\S+)",
        "the key at fault (1), where OmegaConf's message is part of another",
        _OMEGACONF + "_utils.py",
    )
    PLACE = (
        r"(?s)\n    full_key.*",
        "the lines below OmegaConf's message, with the place of the error",
        _OMEGACONF + "_utils.py",
    )
    TOO_MANY_DIGITS = (
        r"integer string conversion",
        "Python's refusal of a number of more than 4300 digits, which Hydra lets through",
        "the documentation of sys.set_int_max_str_digits",
    )

    def __init__(self, pattern: str, meaning: str, source: str) -> None:
        self.pattern = re.compile(pattern)
        self.meaning = meaning
        self.source = source

    def find(self, message: str) -> re.Match[str] | None:
        """Search a message."""
        return self.pattern.search(message)

    def without(self, message: str) -> str:
        """Remove the phrase from a message."""
        return self.pattern.sub("", message)
