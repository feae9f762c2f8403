"""Fast imports of large libraries."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def fast_imports() -> Iterator[None]:
    """Pause the garbage collector in a `with` block that imports libraries, and ignore their objects later.

    Importing a library creates several 100,000 objects that are never garbage. Without this function, the
    collector would search them many times during the import, and later again each time it searches all
    objects: a sixth of the import of MLflow and a quarter of the time to send a run.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
