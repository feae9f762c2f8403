"""Mistakes of a user, told in a line each."""

import re
from collections.abc import Iterable, Sequence

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
from rnnlab.app.config.suggestions import Known, no_such_key, no_such_option, quoted
from rnnlab.paths import conf_dir
from rnnlab.text import one_line

SUPPORTED = {"hydra/launcher": ("basic", "ray", "submitit_slurm"), "hydra/sweeper": ("basic", "optuna")}
"""Options of groups that Hydra and its plugins fill with others, too."""

_TRIPPED = (TypeError, AttributeError, AssertionError, OSError, RecursionError)
"""Raised by Hydra itself over what it does not expect: a group given a list of numbers, a name too long."""
# ValueError: a group that is given null or a number. YAMLError: in a file of --config-dir.
COMPOSITION_ERRORS = (HydraException, OmegaConfBaseException, ValueError, YAMLError, *_TRIPPED)


LONGEST_SHOWN = 200
MANY_DIGITS = re.compile(r"\d{4301}")
"""More than Python makes a number of."""


class ConfigProblems(Exception):
    """What is wrong with a command line, all of it, found before anything was made."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(dict.fromkeys(map(one_line, problems)))
        super().__init__("\n".join(self.problems))


def explain_composition_error(error: Exception, overrides: Sequence[str], known: Known) -> str:
    """Say in one line what Hydra could not compose, naming the override and what is allowed.

    Args:
        error: What Hydra or OmegaConf raised.
        overrides: The command line's overrides, to name the one at fault.
        known: What there is.
    """
    message = str(error)
    if not message and error.__cause__ is not None:  # Hydra's way to hand on what OmegaConf raised
        message = str(error.__cause__)
    if isinstance(error, OverrideParseException):
        if Phrase.EMPTY_CHOICE.find(message):
            return f"{error.override}: has no values; an axis needs at least one"
        return _unreadable(str(error.override), overrides)
    if composing := Phrase.FILE_NOT_MERGED.find(message):
        unfit = Phrase.FULL_KEY.find(composing[2])
        place = f"{composing[1]}.yaml" + (f": {unfit[1]}" if unfit else "")
        return f"{place}: {_unfit(composing[2])}"
    if Phrase.AMBIGUOUS.find(message) or Phrase.NEEDS_MULTIRUN.find(message):
        return _several_values(_first_quoted(message))
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _missing_option(error)
    if Phrase.NOT_IN_DEFAULTS.find(message):
        override = next(o for o in overrides if f"'{o.split('=')[0]}'" in message)
        if "@" in override or override.startswith("hydra="):
            return f"{override}: no such key"
        return f"{override}: nothing of the kind to replace; add it with +{override}"
    if Phrase.CHOSEN_TWICE.find(message):
        override = next((o for o in overrides if o.startswith("+")), "")
        return f"{override}: is there already; write {override.lstrip('+')}"
    if merging := Phrase.NOT_MERGED.find(message):
        return f"{merging[1]}: {_unfit(error.__cause__)}"
    if differing := Phrase.DELETED_OTHER_VALUE.find(message):
        return f"{_override_of(differing[1], overrides)}: is {differing[2]}"
    if isinstance(error, InterpolationKeyError):
        missing = _first_quoted(message)
        return f"{_with_interpolation(overrides, missing)}: there is no key {missing}"
    if deleting := Phrase.NOTHING_TO_DELETE.find(message):
        is_one = deleting[1] in known.keys  # Hydra takes a key of value null for none
        return f"~{deleting[1]}: {'cannot be left out' if is_one else no_such_key(deleting[1], known)}"
    if appending := Phrase.ADDED_TWICE.find(message):
        override = _override_of(appending[1], overrides)
        return f"{override}: is there already; write {override.lstrip('+')}"
    if unchosen := Phrase.NOT_CHOSEN.find(message):
        return f"~{unchosen[1]}: is not chosen"
    if Phrase.NO_SUCH_KEY.find(message) or isinstance(error, ConfigKeyError | ConfigAttributeError):
        key = _key_at_fault(error)
        return f"{_override_of(key, overrides)}: {no_such_key(key, known)}"
    if Phrase.NOT_AN_OPTION.find(message):
        at_fault = [override for override in overrides if _names_no_option(override, known.keys)]
        return f"{' '.join(at_fault)}: must name an option"
    if named := Phrase.UNRESOLVED_GROUP.find(message):
        if any("${" in override for override in overrides):
            return f"{_with_interpolation(overrides, '')}: must name an option"
        return f"{named[1]} in a defaults list: must name a group, such as ${{{named[2].split(', ')[0]}}}"
    params = [override for override in overrides if override.lstrip("+").startswith("hydra.sweeper.params")]
    if params and isinstance(
        error, AttributeError | AssertionError
    ):  # Hydra cannot merge into what holds nothing
        return f"{params[0]}: on the command line axes stand by themselves; write -m <key>=a,b"
    if isinstance(error, MissingMandatoryValue):
        return f"{getattr(error, 'full_key', None) or message.rpartition(' ')[2]}: has no value"
    if Phrase.TOO_MANY_DIGITS.find(message):
        key = next((o.partition("=")[0] for o in overrides if MANY_DIGITS.search(o)), "")
        return f"{key}: a number of more than 4300 digits"
    if isinstance(error, InterpolationResolutionError | UnsupportedInterpolationType):
        told = (message.partition(": ")[2] or message).strip('"')
        return f"{_with_interpolation(overrides, '')}: {told}"
    if isinstance(error, _TRIPPED):
        return f"{' '.join(filter(_is_odd, overrides)) or ' '.join(overrides)}: cannot be composed"
    return " ".join(line.strip() for line in message.splitlines() if line.strip())


def _unfit(error: BaseException | str | None) -> str:
    """What a key of Hydra's must hold, from what OmegaConf says of a value that it does not take."""
    said = str(error)
    if allowed := Phrase.EXPECTED_ONE_OF.find(said):
        return f"must be {' or '.join(allowed[1].split(', '))}"
    if Phrase.NOT_OPTIONAL.find(said):
        return "must not be null"
    if Phrase.KEY_NOT_TEXT.find(said):
        return "a key must be text"
    if Phrase.WANTS_KEYS.find(said):
        return "must have keys of its own"
    return "not of the kind that this key holds"


def _first_quoted(message: str) -> str:
    """The key or override that a message names first; the message if it names none."""
    found = Phrase.QUOTED.find(message)
    return found[1] if found else message


def _is_odd(override: str) -> bool:
    """Whether its key or value is such as no option has."""
    parsed = OverridesParser.create().parse_override(override)
    value, key = parsed.value(), parsed.key_or_group
    has_others = isinstance(value, list) and not all(isinstance(v, str | QuotedString) for v in value)
    return has_others or not key or len(override) > LONGEST_SHOWN


def _with_interpolation(overrides: Sequence[str], name: str) -> str:
    """The override that looks a name up."""
    return next((o for o in overrides if "${" in o and name in o), "${" + name + "}")


def _unreadable(override: str, overrides: Sequence[str]) -> str:
    """What to type instead, where quotes help."""
    before = overrides[overrides.index(override) - 1] if override in overrides[1:] else ""
    if not override.strip("+~ "):
        return f"{override!r}: an argument that names nothing; is a variable of the shell empty?"
    if "=" not in override and "=" in before:
        whole = quoted(f"{before} {override}")
        return f"{override}: has no key; if it belongs to the one before, write {whole}"
    if "=" not in override and not override.startswith("~"):
        return f"{override}: has no value; write key=value"
    helping = quoted(override)
    return f"{override}: cannot be read" + (f"; with special characters, write {helping}" if helping else "")


def _several_values(override: str) -> str:
    value = override.partition("=")[2]
    told = f"{override}: several values; add -m to sweep over them"
    is_one = any(mark in value for mark in "./\\ ") and not any(map(_is_number, value.split(",")))
    return f"{told}, or if it is one, write {quoted(override)}" if is_one else told


def _missing_option(error: MissingConfigException) -> str:
    group, _, option = str(error.missing_cfg_file).removesuffix(".yaml").rpartition("/")
    if (group, option) == ("hydra/sweeper", "optuna"):
        return "hydra/sweeper=optuna: needs Hydra's Optuna sweeper; pip install 'rnnlab[optuna]'"
    ours = sorted(file.stem for file in (conf_dir() / group).glob("*.yaml"))  # of a list Hydra names none
    allowed = SUPPORTED.get(group) or error.options or ours
    if not allowed:
        return f"{group}={option}: no such option; there is no group {group}"
    return f"{group}={option}: {no_such_option(option, allowed)}"


def _override_of(key: str, overrides: Sequence[str]) -> str:
    """The override that sets a key, else the key."""
    return next((o for o in overrides if o.lstrip("+~").split("=")[0] == key), key)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _names_no_option(override: str, keys: Sequence[str]) -> bool:
    parsed = OverridesParser.create().parse_override(override)
    is_value = parsed.key_or_group in keys and not any(k.startswith(f"{parsed.key_or_group}.") for k in keys)
    return not (is_value or isinstance(parsed.value(), str | list | QuotedString) or parsed.is_delete())


def _key_at_fault(error: Exception) -> str:
    full_key = getattr(error.__cause__, "full_key", None) or getattr(error, "full_key", None)
    return str(full_key) if full_key else _first_quoted(str(error))
