"""Engine and launcher interfaces, and construction of the launcher chosen by `hydra/launcher`."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Protocol

from rnnlab.app.config.validation import InvalidConfig, fields, pop_class, validate
from rnnlab.app.jobs.run_job import WorkOrder


class Engine(Protocol):
    """Executor of runs on this machine or on other machines."""

    def ended(self, timeout: float) -> list[tuple[WorkOrder, str | None]]:
        """Wait at most `timeout` seconds; return each run that has ended, with an error message or None."""

    @property
    def busy(self) -> bool:
        """True until all runs have ended."""

    def stop(self) -> None:
        """Start no more runs, and stop active runs with the outcome `killed`.

        Call this method repeatedly until all runs have ended.
        """

    def close(self) -> None:
        """Kill active runs and release all resources."""


class Launcher(Protocol):
    """Interface of the class named by `hydra.launcher._target_`."""

    needs: ClassVar[dict[str, str]]
    """Map from each required module to the rnnlab extra that installs the module."""

    def engine(self, orders: Sequence[WorkOrder], jobs: int | None, folder: Path) -> Engine:
        """Submit the runs and return the engine that executes them.

        Args:
            orders: Work orders of the runs.
            jobs: Maximum number of parallel runs; None for the launcher's default.
            folder: Folder that contains the run folders.

        Raises:
            ConfigProblems: If the launcher cannot accept the runs.
        """


def build_launcher(config: dict[str, Any]) -> Launcher:
    """Validate the keys of `hydra.launcher` and return the launcher.

    Raises:
        InvalidConfig: If a key is invalid; the error has one line per invalid key.
    """
    keys, problems = dict(config), list[str]()
    cls = pop_class(keys, "hydra.launcher", Launcher, problems)
    values = cls and validate(cls.__name__, fields(cls), keys, "hydra.launcher.", problems)
    if not values:
        raise InvalidConfig(problems)
    launcher: Launcher = cls(**values)
    for module, extra in launcher.needs.items():
        if find_spec(module) is None:
            raise InvalidConfig(
                [f"hydra/launcher: requires {module}; install it with: pip install 'rnnlab[{extra}]'"]
            )
    return launcher
