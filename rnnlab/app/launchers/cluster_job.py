"""Execution of one run as a cluster job, which stops when a stop file is created."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from rnnlab.app.config.run_paths import STOP_PREFIX
from rnnlab.app.jobs.run_job import WorkOrder, execute, use_one_thread, watch_stop_signals
from rnnlab.runs.folder import RunEnded, RunInUse

POLL_SECONDS = 0.5
MAX_NAME_LENGTH = 60  # characters of at most four bytes, so that the file name stays within 255 bytes


def make_run(order: WorkOrder, stop_file: Path) -> None:
    """Execute one run with one BLAS thread.

    If `stop_file` appears or the cluster sends a signal before the time limit is reached, the run writes a
    checkpoint and ends with the outcome `killed`.
    """
    use_one_thread()
    with suppress(RunEnded, RunInUse):  # the cluster may start a job twice
        execute(order, watch_stop_signals(_file_watcher(stop_file)))


def stop_file(orders: Sequence[WorkOrder], folder: Path) -> Path:
    """Return the path of the stop file shared by the jobs on all nodes, and delete any old stop file."""
    path = folder / f"{STOP_PREFIX}{orders[0].folder.name[-MAX_NAME_LENGTH:]}"
    path.unlink(missing_ok=True)
    return path


def _file_watcher(path: Path) -> Callable[[], bool]:
    """Return a function that checks, at most once every POLL_SECONDS, whether a file exists."""
    last_check, exists = 0.0, False

    def file_exists() -> bool:
        nonlocal last_check, exists
        if (now := time.monotonic()) - last_check > POLL_SECONDS:
            last_check, exists = now, path.exists()
        return exists

    return file_exists
