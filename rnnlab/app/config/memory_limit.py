"""What this machine has, and whether runs fit into its memory, said before they start."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

GIB = 2**30
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where a container says how much of the machine it may have."""
LYAPUNOV = "probe.measurements.lyapunov.steps"
KEYS = {
    "weights": ("hidden_size", "task.features", "task.classes"),
    "training step": ("hidden_size", "batch_size", "seq_len", "task.length_range"),
    "validation": ("hidden_size", "seq_len", "task.validation_examples"),
    "probe": ("hidden_size", "seq_len", "probe.examples", "probe.length", LYAPUNOV),
}
"""The keys on which it depends how much of a run's memory something takes."""


def cores() -> int:
    """How many runs this machine can make at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def memory() -> int | None:
    """Bytes that this machine, or the container, has in all; None where that is not told."""
    found = []
    with suppress(OSError, ValueError, AttributeError):
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for file in LIMITS:
        with suppress(OSError, ValueError):  # there is none, or it says "max"
            found.append(int(Path(file).read_text(encoding="ascii")))
    return min((bytes_ for bytes_ in found if bytes_ > 0), default=None)


def too_large(needed: Mapping[str, int], values: Mapping[str, object]) -> str | None:
    """What is wrong with a run that would not fit, or None.

    Args:
        needed: Bytes, by what they are for, as `training.memory_needed` reckons them.
        values: The configuration's values by key.
    """
    total, there = sum(needed.values()), memory()
    if there is None or total <= there:
        return None
    most = max(needed, key=lambda part: needed[part])
    given = " ".join(f"{key}={values[key]}" for key in KEYS[most] if values.get(key) is not None)
    of_it = f"needs about {gib(total)} of memory, most of it for the {most}"
    return f"{given}: {of_it}, and this machine has {gib(there)}"


def too_many(needed: Sequence[int], at_once: int, jobs: int | None) -> str | None:
    """What is wrong with runs that fit one by one, but not so many at once, or None."""
    there = memory()
    largest = sorted(needed, reverse=True)[:at_once]
    if there is None or sum(largest) <= there:
        return None
    fitting = next(count for count in range(at_once, 0, -1) if sum(largest[:count]) <= there)
    asked = "null" if jobs is None else jobs
    return (
        f"jobs={asked}: {at_once} of these runs at once need about {gib(sum(largest))} of memory, and this "
        f"machine has {gib(there)}; jobs={fitting} fits"
    )


def gib(size: int) -> str:
    """`1.5 GiB`."""
    return f"{size / GIB:,.3g} GiB" if size < 1000 * GIB else f"{size / GIB:,.0f} GiB"
