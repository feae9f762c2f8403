"""Check, before any run starts, that this machine has enough memory for the runs."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

GIB = 2**30
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Files that contain the memory limit of a container."""
LYAPUNOV = "probe.measurements.lyapunov.steps"
KEYS = {
    "weights": ("hidden_size", "task.features", "task.classes"),
    "training step": ("hidden_size", "batch_size", "seq_len", "task.length_range"),
    "validation": ("hidden_size", "seq_len", "task.validation_examples"),
    "probe": ("hidden_size", "seq_len", "probe.examples", "probe.length", LYAPUNOV),
}
"""Configuration keys that determine the memory use of each part of a run."""
MEMORY_KEYS = (
    *("cell", "task", "optimizer", "initial_state", "probe"),
    *("hidden_size", "batch_size", "seq_len", "dtype"),
)
"""All keys and groups that determine the memory use of a run."""


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def memory() -> int | None:
    """Return the total memory of this machine or container in bytes, or None if it cannot be determined."""
    sizes = []
    with suppress(OSError, ValueError, AttributeError):
        sizes.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for file in LIMITS:
        with suppress(OSError, ValueError):  # the file is missing or contains "max"
            sizes.append(int(Path(file).read_text(encoding="ascii")))
    return min((size for size in sizes if size > 0), default=None)


def memory_problem(sizes: Mapping[str, int], values: Mapping[str, object]) -> str | None:
    """Return a message if a run needs more memory than this machine has, otherwise None.

    Args:
        sizes: Memory of each part of the run in bytes, as estimated by `training.memory_needed`.
        values: Configuration values by key.
    """
    total, available = sum(sizes.values()), memory()
    if available is None or total <= available:
        return None
    largest = max(sizes, key=lambda part: sizes[part])
    overrides = " ".join(f"{key}={values[key]}" for key in KEYS[largest] if values.get(key) is not None)
    need = f"needs about {format_gib(total)} of memory, mostly for the {largest}"
    return f"{overrides}: {need}; this machine has {format_gib(available)}"


def parallel_memory_problem(sizes: Sequence[int], parallel_runs: int, jobs: int | None) -> str | None:
    """Return a message if parallel runs together need more memory than this machine has, otherwise None."""
    available = memory()
    largest = sorted(sizes, reverse=True)[:parallel_runs]
    if available is None or sum(largest) <= available:
        return None
    fitting = next(count for count in range(parallel_runs, 0, -1) if sum(largest[:count]) <= available)
    value = "null" if jobs is None else jobs
    return (
        f"jobs={value}: {parallel_runs} of these runs in parallel need about {format_gib(sum(largest))} of "
        f"memory, but this machine has {format_gib(available)}; reduce to jobs={fitting}"
    )


def format_gib(size: int) -> str:
    """Format a number of bytes as a string, such as `1.5 GiB`."""
    is_between = 1000 * GIB <= size < 10**6 * GIB
    return f"{size / GIB:,.0f} GiB" if is_between else f"{size / GIB:,.3g} GiB"
