"""Workers as forks of the launching process, which share the libraries that it has imported.

A fork copies only the calling thread. If another thread held a lock, such as that of the memory allocator,
the copy would wait for it forever. Only a process with a single thread is therefore forked, and only if it
runs a command of rnnlab. On macOS, where the system's libraries start threads of their own, and in all other
cases, a worker is a new process that imports the libraries again.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from rnnlab.app.jobs.run_job import WorkOrder
from rnnlab.imports import fast_imports, is_own_process
from rnnlab.runs.log import drop_log_files

_TASKS, _DESCRIPTORS = "/proc/self/task", "/proc/self/fd"


def can_fork() -> bool:
    """Return True if this process may be forked."""
    with suppress(OSError):  # /proc is not mounted
        return sys.platform == "linux" and is_own_process() and len(os.listdir(_TASKS)) == 1
    return False


def import_for_workers(orders: Sequence[WorkOrder]) -> None:
    """Import what the runs would import while they record and draw, so that their workers share it."""
    with suppress(Exception), fast_imports():  # a run that cannot draw reports the error itself
        import safetensors.numpy  # noqa: F401

        import rnnlab.runs.gradient_table

        if any(order.config["figures"] for order in orders):
            import matplotlib.backends.backend_svg  # noqa: F401

            import rnnlab.analysis.figures.run_folder  # noqa: F401


def open_files() -> frozenset[int]:
    """Return the descriptors, above those of the standard streams, that a forked process would inherit."""
    listed = [int(name) for name in os.listdir(_DESCRIPTORS)]  # also the descriptor of this list
    return frozenset(
        number for number in listed if number > 2 and os.path.lexists(f"{_DESCRIPTORS}/{number}")
    )


def leave_to_launcher(files: frozenset[int]) -> None:
    """Give up files and locks that a forked process has inherited, and the log files of the launcher.

    Each descriptor stays in use, because an inherited object could still close it.
    """
    drop_log_files()
    for number in files:
        null = os.open(os.devnull, os.O_RDWR)
        if null != number:  # otherwise, a library has closed the descriptor in the meantime
            os.dup2(null, number, inheritable=False)
            os.close(null)
