"""One run as a job of a cluster, whose processes end by themselves only."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from rnnlab.app.config.run_paths import STOP
from rnnlab.app.jobs.run_job import WorkOrder, execute, one_thread, stopping_at_signals
from rnnlab.runs.folder import RunEnded, RunInUse

LOOK_SECONDS = 0.5
MOST_LETTERS = 60  # of four bytes at most: with them the name is no longer than the system takes


def work(order: WorkOrder, stop_file: Path) -> None:
    """Make one run with one BLAS thread.

    It ends as `killed`, with a checkpoint, once `stop_file` exists, or at one of the signals by which
    clusters tell a job that its time is up.
    """
    one_thread()
    with suppress(RunEnded, RunInUse):  # a job that was submitted twice
        execute(order, stopping_at_signals(_looks_for(stop_file)))


def stop_file(orders: Sequence[WorkOrder], folder: Path) -> Path:
    """The file, beside the runs, that asks their jobs to end, wherever they are; it is not there yet."""
    path = folder / f"{STOP}{orders[0].folder.name[-MOST_LETTERS:]}"
    path.unlink(missing_ok=True)
    return path


def _looks_for(path: Path) -> Callable[[], bool]:
    """Whether a file is there, looked for every LOOK_SECONDS."""
    looked, found = 0.0, False

    def is_there() -> bool:
        nonlocal looked, found
        if (now := time.monotonic()) - looked > LOOK_SECONDS:
            looked, found = now, path.exists()
        return found

    return is_there
