"""One-line messages about command-line errors."""

import re
from collections.abc import Collection, Iterable, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationKeyError,
    InterpolationResolutionError,
    MissingMandatoryValue,
    OmegaConfBaseException,
    UnsupportedInterpolationType,
)
from yaml import YAMLError

from rnnlab.app.config.hydra_internals.phrases import Phrase
from rnnlab.app.config.suggestions import (
    KeyIndex,
    explain_unknown_key,
    explain_unknown_option,
    quote_override,
)
from rnnlab.paths import conf_dir
from rnnlab.text import one_line

SUPPORTED = {"hydra/launcher": ("basic", "ray", "submitit_slurm"), "hydra/sweeper": ("basic", "optuna")}
"""Options supported by rnnlab, for groups in which Hydra and its plugins define additional options."""

_INTERNAL_ERRORS = (TypeError, AttributeError, AssertionError, OSError, RecursionError)
"""Exceptions that Hydra raises for unexpected input, such as a long name or a group set to numbers."""
# ValueError: a group set to null or a number. YAMLError: a file of --config-dir.
COMPOSITION_ERRORS = (HydraException, OmegaConfBaseException, ValueError, YAMLError, *_INTERNAL_ERRORS)

MAX_OVERRIDE_LENGTH = 200
LONG_NUMBER = re.compile(r"\d{4301}")
"""Pattern that matches a number with more digits than Python can convert to an integer."""


class ConfigProblems(Exception):
    """Exception, raised before any file or folder is created, that lists the errors in a command line.

    Attributes:
        problems: Messages of one line each.
        keys: Keys that cause a problem, in addition to the keys that the messages name.
    """

    def __init__(self, problems: Iterable[str], keys: Iterable[str] = ()) -> None:
        self.problems = list(dict.fromkeys(map(one_line, problems)))
        self.keys = frozenset(keys)
        super().__init__("\n".join(self.problems))


def explain_composition_error(error: Exception, overrides: Sequence[str], index: KeyIndex) -> str:
    """Return a one-line message that names the invalid override and the allowed values.

    Args:
        error: Exception of Hydra or OmegaConf.
        overrides: Command-line overrides, one of which is invalid.
        index: Configuration keys, and the chosen option of each configuration group.
    """
    message = str(error)
    if not message and error.__cause__ is not None:  # Hydra's wrapper has no message
        message = str(error.__cause__)
    if isinstance(error, OverrideParseException):
        if Phrase.EMPTY_CHOICE.find(message):
            return f"{error.override}: has no values; an axis needs at least one value"
        return _explain_parse_error(str(error.override), overrides)
    if match := Phrase.FILE_NOT_MERGED.find(message):
        key = Phrase.FULL_KEY.find(match[2])
        location = f"{match[1]}.yaml" + (f": {key[1]}" if key else "")
        return f"{location}: {_type_requirement(match[2])}"
    if Phrase.AMBIGUOUS.find(message) or Phrase.NEEDS_MULTIRUN.find(message):
        return _explain_several_values(_first_quoted(message))
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _explain_missing_option(error)
    if Phrase.NOT_IN_DEFAULTS.find(message):
        override = next(o for o in overrides if f"'{o.split('=')[0]}'" in message)
        if "@" in override or override.startswith("hydra="):
            return f"{override}: unknown key"
        return f"{override}: the group has no option to replace; add one with +{override}"
    if match := Phrase.CHOSEN_TWICE.find(message):
        override = _override_of(match[1], overrides)
        if not override.startswith("+"):
            return f"{override}: chosen twice; in an option file, write override /{match[1]}: OPTION"
        return f"{override}: the group already exists; write {override.lstrip('+')}"
    if match := Phrase.NOT_MERGED.find(message):
        return f"{match[1]}: {_type_requirement(error.__cause__)}"
    if match := Phrase.DELETED_OTHER_VALUE.find(message):
        return f"{_override_of(match[1], overrides)}: the current value is {match[2]}"
    if isinstance(error, InterpolationKeyError):
        name = _first_quoted(message)
        return f"{_override_with_interpolation(overrides, name)}: refers to the unknown key {name}"
    if match := Phrase.NOTHING_TO_DELETE.find(message):
        exists = match[1] in index.keys  # Hydra treats a key with the value null as missing
        return f"~{match[1]}: {'cannot be removed' if exists else explain_unknown_key(match[1], index)}"
    if match := Phrase.ADDED_TWICE.find(message):
        override = _override_of(match[1], overrides)
        return f"{override}: the key already exists; write {override.lstrip('+')}"
    if match := Phrase.NOT_CHOSEN.find(message):
        return f"~{match[1]}: this option is not selected"
    if Phrase.NO_SUCH_KEY.find(message) or isinstance(error, ConfigKeyError | ConfigAttributeError):
        path = _key_at_fault(error)
        return f"{_override_of(path, overrides)}: {explain_unknown_key(path, index)}"
    if Phrase.NOT_AN_OPTION.find(message):
        at_fault = next((override for override in overrides if _lacks_option(override, index.choices)), "")
        return f"{at_fault}: must name an option"
    if match := Phrase.UNRESOLVED_GROUP.find(message):
        if any("${" in override for override in overrides):
            return f"{_override_with_interpolation(overrides, '')}: must name an option"
        return f"{match[1]} in a defaults list: must refer to a group, such as ${{{match[2].split(', ')[0]}}}"
    params = [override for override in overrides if override.lstrip("+").startswith("hydra.sweeper.params")]
    if params and isinstance(error, AttributeError | AssertionError):  # Hydra cannot merge into null
        return f"{params[0]}: cannot be set on the command line; write each axis as -m <key>=a,b"
    if isinstance(error, MissingMandatoryValue):
        return f"{getattr(error, 'full_key', None) or message.rpartition(' ')[2]}: has no value"
    if Phrase.TOO_MANY_DIGITS.find(message):
        path = next((o.partition("=")[0] for o in overrides if LONG_NUMBER.search(o)), "")
        return f"{path}: must have at most 4300 digits"
    if isinstance(error, InterpolationResolutionError | UnsupportedInterpolationType):
        reason = (message.partition(": ")[2] or message).strip('"')
        return f"{_override_with_interpolation(overrides, '')}: {reason}"
    if isinstance(error, _INTERNAL_ERRORS):
        return f"{' '.join(filter(_is_unusual, overrides)) or ' '.join(overrides)}: cannot be composed"
    return " ".join(line.strip() for line in message.splitlines() if line.strip())


def _type_requirement(error: BaseException | str | None) -> str:
    """Return the type that a key requires, as inferred from OmegaConf's error message."""
    message = str(error)
    if match := Phrase.EXPECTED_ONE_OF.find(message):
        return f"must be {' or '.join(match[1].split(', '))}"
    if Phrase.NOT_OPTIONAL.find(message):
        return "must not be null"
    if Phrase.KEY_NOT_TEXT.find(message):
        return "each key must be text"
    if Phrase.MAPPING_EXPECTED.find(message):
        return "must be a mapping, as in {key: value}"
    return "wrong type for this key"


def _first_quoted(message: str) -> str:
    """Return the first quoted key or override in a message, or the full message if it contains no quotes."""
    match = Phrase.QUOTED.find(message)
    return match[1] if match else message


def _is_unusual(override: str) -> bool:
    """Return True if an override has no key, is very long, or sets a list with non-string elements."""
    parsed = OverridesParser.create().parse_override(override)
    value, key = parsed.value(), parsed.key_or_group
    has_other_types = isinstance(value, list) and not all(isinstance(v, str | QuotedString) for v in value)
    return has_other_types or not key or len(override) > MAX_OVERRIDE_LENGTH


def _override_with_interpolation(overrides: Sequence[str], name: str) -> str:
    """Return the override that contains an interpolation with the given name."""
    return next((o for o in overrides if "${" in o and name in o), "${" + name + "}")


def _explain_parse_error(override: str, overrides: Sequence[str]) -> str:
    """Explain why an override cannot be parsed, and suggest a quoted form if that form is valid."""
    previous = overrides[overrides.index(override) - 1] if override in overrides[1:] else ""
    if not override.strip("+~ "):
        return f"{override!r}: empty argument; check for an empty shell variable"
    if "=" not in override and "=" in previous:
        joined = quote_override(f"{previous} {override}")
        return f"{override}: has no key; if it belongs to the previous argument, write {joined}"
    if "=" not in override and not override.startswith("~"):
        return f"{override}: must have the form key=value"
    remedy = quote_override(override)
    return f"{override}: cannot be parsed" + (f"; quote special characters: {remedy}" if remedy else "")


def _explain_several_values(override: str) -> str:
    value = override.partition("=")[2]
    message = f"{override}: has several values; add -m to sweep over them"
    may_be_one = any(mark in value for mark in "./\\ ") and not any(map(_is_number, value.split(",")))
    return f"{message}, or write {quote_override(override)} to pass a single value" if may_be_one else message


def _explain_missing_option(error: MissingConfigException) -> str:
    group, _, option = str(error.missing_cfg_file).removesuffix(".yaml").rpartition("/")
    if (group, option) == ("hydra/sweeper", "optuna"):
        return "hydra/sweeper=optuna: not installed; install it with: pip install 'rnnlab[optuna]'"
    # If several options are requested as a list, Hydra's error does not contain the available options.
    own = sorted(file.stem for file in (conf_dir() / group).glob("*.yaml"))
    allowed = SUPPORTED.get(group) or error.options or own
    if not allowed:
        return f"{group}={option}: unknown group {group}"
    return f"{group}={option}: {explain_unknown_option(option, allowed)}"


def _override_of(key: str, overrides: Sequence[str]) -> str:
    """Return the override that sets a key, or the key itself if no override sets the key."""
    return next((o for o in overrides if o.lstrip("+~").split("=")[0] == key), key)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _lacks_option(override: str, groups: Collection[str]) -> bool:
    """Return True if an override sets a group to a value that cannot be the name of an option."""
    parsed = OverridesParser.create().parse_override(override)
    key = parsed.key_or_group
    is_group = key in groups or "/" in key or (key != "" and (conf_dir() / key).is_dir())
    return is_group and not (
        isinstance(parsed.value(), str | list | dict | QuotedString) or parsed.is_delete()
    )


def _key_at_fault(error: Exception) -> str:
    full_key = getattr(error.__cause__, "full_key", None) or getattr(error, "full_key", None)
    return str(full_key) if full_key else _first_quoted(str(error))
