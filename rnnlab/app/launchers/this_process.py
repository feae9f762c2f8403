"""Execution of runs in the calling process, one after another, for runs that are started from Python."""

import time
from collections import deque
from collections.abc import Callable, Sequence

from threadpoolctl import threadpool_limits

from rnnlab.app.jobs.run_job import WorkOrder, execute


class ThisProcess:
    """An `Engine` that executes runs in the calling process.

    Each run uses one BLAS thread, as in a worker process, so the results are bit-identical.
    """

    def __init__(self, orders: Sequence[WorkOrder], proceed: Callable[[], bool], seconds: float) -> None:
        """Create an engine.

        Args:
            orders: Work orders of the runs.
            proceed: Function called during a run; if it returns False, the run ends.
            seconds: Interval between the calls of `proceed`.
        """
        self._waiting = deque(orders)
        self._proceed, self._seconds = proceed, seconds

    @property
    def busy(self) -> bool:
        """True until all runs have ended."""
        return bool(self._waiting)

    def ended(self, timeout: float) -> list[tuple[WorkOrder, str | None]]:
        """Execute the next run until it ends; the timeout has no effect."""
        order, due, stopped = self._waiting.popleft(), time.monotonic(), False

        def stopping() -> bool:
            nonlocal due, stopped
            if not stopped and time.monotonic() >= due:
                stopped = not self._proceed()
                due = time.monotonic() + self._seconds
            return stopped

        with threadpool_limits(1):
            execute(order, stopping)
        return [(order, None)]

    def stop(self) -> None:
        """Start no more runs."""
        self._waiting.clear()

    def close(self) -> None:
        """Release nothing, because a run holds no resources after its end."""
