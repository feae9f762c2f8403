"""One run as a job of a cluster, whose processes end by themselves only."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from rnnlab.app.config.run_paths import STOP_PREFIX
from rnnlab.app.jobs.run_job import WorkOrder, execute, use_one_thread, watch_stop_signals
from rnnlab.runs.folder import RunEnded, RunInUse

POLL_SECONDS = 0.5
MAX_NAME_LENGTH = 60  # of four bytes at most: with them the name is no longer than the system takes


def make_run(order: WorkOrder, stop_file: Path) -> None:
    """Make one run with one BLAS thread.

    It ends as `killed`, with a checkpoint, once `stop_file` exists, or at one of the signals by which
    clusters tell a job that its time is up.
    """
    use_one_thread()
    with suppress(RunEnded, RunInUse):  # a job that was submitted twice
        execute(order, watch_stop_signals(_file_watcher(stop_file)))


def stop_file(orders: Sequence[WorkOrder], folder: Path) -> Path:
    """The file, beside the runs, that asks their jobs to end, wherever they are; it is not there yet."""
    path = folder / f"{STOP_PREFIX}{orders[0].folder.name[-MAX_NAME_LENGTH:]}"
    path.unlink(missing_ok=True)
    return path


def _file_watcher(path: Path) -> Callable[[], bool]:
    """Whether a file is there, looked for every LOOK_SECONDS."""
    looked, found = 0.0, False

    def is_there() -> bool:
        nonlocal looked, found
        if (now := time.monotonic()) - looked > POLL_SECONDS:
            looked, found = now, path.exists()
        return found

    return is_there
