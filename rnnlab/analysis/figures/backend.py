"""Libraries for drawing: a backend without windows, and seaborn without SciPy's statistics."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rnnlab.imports import fast_imports, hidden, is_own_process

_OPTIONAL = ("scipy.stats", "scipy.cluster")
"""Modules for density estimates and clustering, which seaborn can do without."""


@contextmanager
def without_windows() -> Iterator[None]:
    """Draw the figures of a `with` block in memory, and then restore the backend."""
    import matplotlib
    import matplotlib.pyplot as plt

    before = matplotlib.get_backend()
    plt.switch_backend("agg")
    try:
        yield
    finally:
        plt.switch_backend(before)


def import_seaborn() -> Any:
    """Import and return seaborn.

    A command of rnnlab draws only grids and heat maps with seaborn. It therefore imports seaborn without the
    optional modules, which take most of the time.
    """
    with fast_imports(), hidden(*(_OPTIONAL if is_own_process() else ())):
        import seaborn
    return seaborn
