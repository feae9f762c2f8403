"""Drawing of figures that are only saved."""

from collections.abc import Iterator
from contextlib import contextmanager


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
