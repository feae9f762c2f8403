"""Mistakes of a user, told in a line each."""

import difflib
from collections.abc import Iterable, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from rnnlab.wording import in_a_line

# ValueError: a group that is given null or a number.
COMPOSITION_ERRORS = (HydraException, OmegaConfBaseException, ValueError)


INTERRUPTED = 130
"""The exit code after Ctrl-C or SIGTERM."""


class ConfigProblems(Exception):
    """What is wrong with a command line, all of it, found before anything was made."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(dict.fromkeys(map(in_a_line, problems)))
        super().__init__("\n".join(self.problems))


def explain_composition_error(error: Exception, overrides: Sequence[str], keys: Sequence[str]) -> str:
    """Say in one line what Hydra could not compose, naming the override and what is allowed.

    Args:
        error: What Hydra or OmegaConf raised.
        overrides: The command line's overrides, to name the one at fault.
        keys: All keys there are.
    """
    message = str(error)
    if isinstance(error, OverrideParseException):
        return f"{error.override}: cannot be read; quote special characters, as in 'key=\"a=b (c)\"'"
    if "Ambiguous value for argument" in message or "requires --multirun" in message:
        override = message.split("'")[1]
        return f"{override}: several values; add -m to sweep over them"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = error.missing_cfg_file.removesuffix(".yaml").rpartition("/")
        if (group, option) == ("hydra/sweeper", "optuna"):
            return "hydra/sweeper=optuna: needs Hydra's Optuna sweeper; pip install 'rnnlab[optuna]'"
        return f"{group}={option}: no such option; allowed: {', '.join(error.options or [])}"
    if "To append to your default list use" in message:
        override = next(o for o in overrides if f"'{o.split('=')[0]}'" in message)
        return f"{override}: nothing of the kind to replace; add it with +{override}"
    if "Could not override" in message or isinstance(error, ConfigKeyError | ConfigAttributeError):
        key = _key_at_fault(error)
        override = next((o for o in overrides if o.lstrip("+~").split("=")[0] == key), key)
        if key in keys:
            return f"{override}: the chosen {key.partition('.')[0]} has no such key"
        group, dot, _ = key.partition(".")
        inside = f"{group}." if dot and group in keys else ""
        siblings = [other for other in keys if other.startswith(inside) and not other.endswith("._target_")]
        nearest = difflib.get_close_matches(key, siblings, n=1)
        return f"{override}: no such key{f'; did you mean {nearest[0]}?' if nearest else ''}"
    if "Config group override must be" in message:
        at_fault = [override for override in overrides if _names_no_option(override, keys)]
        return f"{' '.join(at_fault)}: must name an option"
    return " ".join(line.strip() for line in message.splitlines() if line.strip())


def _names_no_option(override: str, keys: Sequence[str]) -> bool:
    parsed = OverridesParser.create().parse_override(override)
    is_value = parsed.key_or_group in keys and not any(k.startswith(f"{parsed.key_or_group}.") for k in keys)
    return not (is_value or isinstance(parsed.value(), str | list | QuotedString) or parsed.is_delete())


def _key_at_fault(error: Exception) -> str:
    full_key = getattr(error.__cause__, "full_key", None) or getattr(error, "full_key", None)
    if full_key:
        return str(full_key)
    quoted = str(error).split("'")
    return quoted[1] if len(quoted) > 1 else str(error)
