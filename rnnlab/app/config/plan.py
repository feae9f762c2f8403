"""What a command asks for: its jobs, their names, and the folder that they share."""

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
"""Keys that no result depends on."""
MAX_SWEEP_NAME = 200


@dataclass(frozen=True)
class Job:
    """One run to be made.

    Attributes:
        number: Its place in the sweep, from 0.
        name: From what was swept, such as `lstm seq_len=50`.
        folder: Where its files go, absolute.
        config: The resolved configuration, plain data.
        overrides: The command line's part of it.
        sweep_values: The overrides whose values differ within the sweep, by key.
        choices: The chosen option of every group.
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
        folder: What the runs share, absolute; of a single run its own.
        jobs: Those that could be composed.
        is_sweep: Whether it is a sweep, even of one run.
        pattern: What `folder` was made from, with what is new at every command as `${…}`.
        sweep: The name that all runs of this command share.
        launcher: The chosen Hydra launcher's keys; None for processes on this machine.
        is_continuation: Whether earlier jobs of this command are in the folder already.
        command: The command line.
        problems: A line for each job that could not be composed.
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
        """Folders of earlier commands: where this one's folder could have been at another time, absolute."""
        parts = re.split(r"\$\{[^{}]*\}", self.pattern)
        return [Path(path).absolute() for path in glob.glob("*".join(map(glob.escape, parts)))]


def sweep_name(folder: Path) -> str:
    """The name of a command's runs, from its folder's last two parts.

    In letters that MLflow takes in the key of a tag, and no longer than it takes.
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "_", f"{folder.parent.name}_{folder.name}")[-MAX_SWEEP_NAME:]


def job_name(sweep_values: dict[str, str], overrides: list[str], choices: dict[str, str]) -> str:
    """`lstm seq_len=50`: what was swept; without a sweep the cell and what was overridden."""
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
    """Overrides as (key, value)."""
    return [(key, value) for key, _, value in (override.partition("=") for override in overrides)]


def format_command(overrides: Sequence[str], multirun: bool) -> str:
    """What to type to make these runs from their beginning."""
    given = [override for override in overrides if not override.startswith("resume=")]
    return shlex.join(["python", "-m", "rnnlab", *(["-m"] if multirun else []), *given])
