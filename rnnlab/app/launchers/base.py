"""What makes runs: processes here, or the launcher that `hydra/launcher` names."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Protocol

from rnnlab.app.config.validation import InvalidConfig, fields, pop_class, validate
from rnnlab.app.jobs.run_job import WorkOrder


class Engine(Protocol):
    """Makes the runs that were ordered, here or on other machines."""

    def ended(self, timeout: float) -> list[tuple[WorkOrder, str | None]]:
        """Runs that ended meanwhile, and what went wrong with each; waits at most `timeout` seconds."""

    @property
    def busy(self) -> bool:
        """Whether there are runs still to end."""

    def stop(self) -> None:
        """Start no more runs, and end those that go on as `killed`; to be asked for repeatedly."""

    def close(self) -> None:
        """Leave nothing behind; kills what still runs."""


class Launcher(Protocol):
    """The class that `hydra.launcher._target_` names."""

    needs: ClassVar[dict[str, str]]
    """Modules that it imports, and the extra of rnnlab that installs each."""

    def engine(self, orders: Sequence[WorkOrder], jobs: int | None, folder: Path) -> Engine:
        """Take the orders.

        Args:
            orders: The runs.
            jobs: How many at once; None leaves that to the launcher.
            folder: What the runs share.

        Raises:
            ConfigProblems: It does not take the orders.
        """


def build_launcher(config: dict[str, Any]) -> Launcher:
    """Check the keys of `hydra.launcher` and make the launcher.

    Raises:
        InvalidConfig: With a line for each key at fault.
    """
    keys, problems = dict(config), list[str]()
    cls = pop_class(keys, "hydra.launcher", Launcher, problems)
    values = cls and validate(cls.__name__, fields(cls), keys, "hydra.launcher.", problems)
    if not values:
        raise InvalidConfig(problems)
    launcher: Launcher = cls(**values)
    for module, extra in launcher.needs.items():
        if find_spec(module) is None:
            raise InvalidConfig([f"hydra/launcher: needs {module}; pip install 'rnnlab[{extra}]'"])
    return launcher
