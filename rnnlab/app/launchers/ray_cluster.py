"""Execution of runs as tasks on a Ray cluster; the results are written to the run folders."""

import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt

from rnnlab.app.config.messages import ConfigProblems
from rnnlab.app.jobs.run_job import WorkOrder
from rnnlab.app.launchers.cluster_job import make_run, stop_file
from rnnlab.runs.files import touch

KILL_SECONDS = 5.0
"""Time limit in seconds for tasks to stop before they are cancelled."""


@dataclass(frozen=True)
class Ray:
    """Ray launcher and resources per run; conf/hydra/launcher/ray.yaml describes the keys."""

    num_cpus: Annotated[float, Ge(0)]
    memory_gb: Annotated[float, Gt(0)] | None
    init: dict[str, str | int | float | bool | None]

    needs: ClassVar[dict[str, str]] = {"ray": "ray"}

    def engine(self, orders: Sequence[WorkOrder], jobs: int | None, folder: Path) -> "RayEngine":
        """Start Ray or connect to a cluster.

        Raises:
            ConfigProblems: If the cluster cannot be reached.
        """
        import ray

        stop = stop_file(orders, folder)
        quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
        try:
            ray.init(**quiet | self.init)
        except (ConnectionError, RuntimeError, TypeError, ValueError) as error:
            raise ConfigProblems([f"hydra.launcher.init: {' '.join(str(error).split())}"]) from None
        options: dict[str, Any] = {"num_cpus": self.num_cpus, "max_retries": 0}
        if self.memory_gb is not None:
            options["memory"] = int(self.memory_gb * 1e9)
        return RayEngine(orders, jobs, options, stop)


class RayEngine:
    """An `Engine` that executes runs as Ray tasks."""

    def __init__(
        self, orders: Sequence[WorkOrder], jobs: int | None, options: dict[str, Any], stop_file: Path
    ) -> None:
        import ray

        self._ray = ray
        self._work = ray.remote(**options)(make_run)
        self._waiting = deque(replace(order, resume=True) for order in orders)
        self._max_tasks = jobs or len(orders)
        self._tasks: dict[Any, WorkOrder] = {}
        self._stop_file = stop_file
        self._stopped_at: float | None = None

    @property
    def busy(self) -> bool:
        """True until all runs have ended."""
        return bool(self._waiting or self._tasks)

    def ended(self, timeout: float) -> list[tuple[WorkOrder, str | None]]:
        """Submit tasks up to the limit, then wait for a task to end."""
        while self._waiting and len(self._tasks) < self._max_tasks:
            order = self._waiting.popleft()
            self._tasks[self._work.remote(order, self._stop_file)] = order
        done, _ = self._ray.wait(list(self._tasks), timeout=timeout) if self._tasks else ([], [])
        return [(self._tasks.pop(task), self._problem(task)) for task in done]

    def stop(self) -> None:
        """Start no more runs, signal active runs to stop, and cancel runs still active after KILL_SECONDS."""
        self._waiting.clear()
        if self._stopped_at is None:
            self._stopped_at = time.monotonic()
            touch(self._stop_file)
        elif time.monotonic() - self._stopped_at > KILL_SECONDS:
            for task in self._tasks:
                self._ray.cancel(task, force=True)

    def close(self) -> None:
        """Cancel all tasks and disconnect; a cluster started by this process then stops."""
        for task in self._tasks:
            self._ray.cancel(task, force=True)
        self._tasks.clear()  # a second call cancels nothing
        self._ray.shutdown()

    def _problem(self, task: Any) -> str | None:
        try:
            self._ray.get(task)
        except self._ray.exceptions.RayError as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            return f"Ray task lost ({type(error).__name__}: {lines[0] if lines else 'no reason given'})"
        return None
