"""Plan of a command: its jobs, their names, and their common folder."""

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
"""Keys that do not affect the results of a run."""
MAX_SWEEP_NAME = 200


@dataclass(frozen=True)
class Job:
    """Specification of one run.

    Attributes:
        number: Position in the sweep, from 0.
        name: Name derived from the values of the sweep axes, such as `lstm seq_len=50`.
        folder: Run folder, absolute.
        config: Resolved configuration as plain data.
        overrides: Overrides given on the command line.
        sweep_values: Values of the overrides that differ within the sweep, by key.
        choices: Chosen option of every group.
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
        folder: Absolute path of the folder shared by the runs; for a single run, its run folder.
        jobs: Jobs that could be composed.
        is_sweep: True for a sweep, even with only one run.
        pattern: Pattern from which `folder` was derived; `${…}` marks the parts that differ between commands.
        sweep: Name shared by all runs of the command.
        launcher: Keys of the chosen Hydra launcher; None selects processes on this machine.
        is_continuation: True if the folder already contains earlier jobs of this command.
        command: Command line.
        problems: One message per job that could not be composed.
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
        """Absolute paths of the folders that earlier calls of this command could have used."""
        parts = re.split(r"\$\{[^{}]*\}", self.pattern)
        return [Path(path).absolute() for path in glob.glob("*".join(map(glob.escape, parts)))]


def sweep_name(folder: Path) -> str:
    """Return the name shared by a command's runs, derived from the last two parts of its folder path.

    The name is short enough for the key of an MLflow tag and contains only valid characters.
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "_", f"{folder.parent.name}_{folder.name}")[-MAX_SWEEP_NAME:]


def job_name(sweep_values: dict[str, str], overrides: list[str], choices: dict[str, str]) -> str:
    """Return the name of a job, such as `lstm seq_len=50`.

    The name lists the values of the sweep axes. For a single run, the name lists the cell and the overrides.
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
    """Return the command that restarts these runs from the beginning."""
    arguments = [override for override in overrides if not override.startswith("resume=")]
    return shlex.join(["python", "-m", "rnnlab", *(["-m"] if multirun else []), *arguments])
