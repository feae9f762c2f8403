"""Plan of a command: jobs, job names and output folder."""

import glob
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KEYS_OUTSIDE_IDENTITY = (
    *("jobs", "pair", "objective", "fail_fast", "resume"),
    *("checkpoint_every", "figures", "report", "tracking"),
)
"""Configuration keys that do not affect the results of a run."""
MAX_SWEEP_NAME = 200


@dataclass(frozen=True)
class Job:
    """Specification of one run.

    Attributes:
        number: Position of the job in the sweep, starting at 0.
        name: Name derived from the values of the sweep axes, such as `lstm seq_len=50`.
        folder: Absolute path of the run folder.
        config: Resolved configuration, as built-in Python objects.
        overrides: Overrides given on the command line.
        sweep_values: Values, by key, of the overrides that differ between jobs of the sweep.
        choices: Chosen option of each configuration group.
    """

    number: int
    name: str
    folder: Path
    config: dict[str, Any]
    overrides: list[str]
    sweep_values: dict[str, str]
    choices: dict[str, str]


@dataclass(frozen=True)
class Plan:
    """All jobs of one command.

    Attributes:
        folder: Absolute path of the sweep folder or, for a single run, of the run folder.
        jobs: Jobs whose configurations were composed without errors.
        is_sweep: True for a sweep, including a sweep of only one run.
        pattern: Path template from which `folder` was derived; interpolated values `${…}`, such as the
            date, may differ between commands.
        sweep: Name shared by all runs of the command.
        launcher: Configuration of the chosen Hydra launcher; None for worker processes on this machine.
        is_continuation: True if `folder` already contains runs from earlier jobs of this command.
        command: Command line.
        problems: One message per job whose configuration could not be composed.
    """

    folder: Path
    jobs: list[Job]
    is_sweep: bool
    pattern: str
    sweep: str
    launcher: dict[str, Any] | None = None
    is_continuation: bool = False
    command: str = ""
    problems: list[str] = field(default_factory=list)

    @property
    def earlier_folders(self) -> list[Path]:
        """Absolute paths of folders that match `pattern` and may have been created by earlier commands."""
        parts = re.split(r"\$\{[^{}]*\}", self.pattern)
        return [Path(path).absolute() for path in glob.glob("*".join(map(glob.escape, parts)))]


def sweep_name(folder: Path) -> str:
    """Return the name shared by a command's runs, derived from the last two parts of the folder path.

    The name has at most 200 characters and contains only letters, digits, dots, underscores and hyphens, as
    required for the key of an MLflow tag.
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "_", f"{folder.parent.name}_{folder.name}")[-MAX_SWEEP_NAME:]


def job_name(sweep_values: dict[str, str], overrides: list[str], choices: dict[str, str]) -> str:
    """Return the name of a job, such as `lstm seq_len=50`.

    In a sweep, the name lists the values of the sweep axes. For a single run, the name lists the cell and the
    overrides.
    """
    parts = sweep_values
    if not sweep_values:
        values = {
            key: value
            for key, value in keys_and_values(overrides)
            if not key.startswith(("hydra", *KEYS_OUTSIDE_IDENTITY))
        }
        parts = {"cell": choices.get("cell", "")} | values
    return " ".join(value if key in choices else f"{key}={value}" for key, value in parts.items())


def keys_and_values(overrides: Iterable[str]) -> list[tuple[str, str]]:
    """Return overrides as (key, value) pairs."""
    return [(key, value) for key, _, value in (override.partition("=") for override in overrides)]


def format_command(overrides: Sequence[str], multirun: bool) -> str:
    """Return the command that restarts the runs of a plan from the beginning."""
    arguments = [override for override in overrides if not override.startswith("resume=")]
    return shlex.join(["python", "-m", "rnnlab", *(["-m"] if multirun else []), *arguments])
