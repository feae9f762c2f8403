"""Mistakes of a user, told in a line each."""

import difflib
from collections.abc import Iterable, Sequence

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

COMPOSITION_ERRORS = (HydraException, OmegaConfBaseException)


class ConfigProblems(Exception):
    """What is wrong with a command line, all of it, found before anything was made."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(dict.fromkeys(problems))
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
    if "Ambiguous value for argument" in message:
        override = message.split("'")[1]
        return f"{override}: several values; add -m to sweep over them"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = error.missing_cfg_file.removesuffix(".yaml").rpartition("/")
        return f"{group}={option}: no such option; allowed: {', '.join(error.options or [])}"
    if "Could not override" in message or isinstance(error, ConfigKeyError | ConfigAttributeError):
        key = _key_at_fault(error)
        override = next((o for o in overrides if o.lstrip("+~").split("=")[0] == key), key)
        nearest = difflib.get_close_matches(key, keys, n=1)
        return f"{override}: no such key{f'; did you mean {nearest[0]}?' if nearest else ''}"
    return " ".join(line.strip() for line in message.splitlines() if line.strip())


def _key_at_fault(error: Exception) -> str:
    full_key = getattr(error.__cause__, "full_key", None) or getattr(error, "full_key", None)
    if full_key:
        return str(full_key)
    quoted = str(error).split("'")
    return quoted[1] if len(quoted) > 1 else str(error)
