"""Fast imports of large libraries."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_owner = {"is_command": False}


def own_process() -> None:
    """Declare that the process runs a command or a worker of rnnlab, and no code of a user."""
    _owner["is_command"] = True


@contextmanager
def fast_imports() -> Iterator[None]:
    """Pause the garbage collector in a `with` block that imports libraries, and ignore their objects later.

    Importing a library creates several 100,000 objects that are never garbage. Without this function, the
    collector would search them many times during the import, and later again each time it searches all
    objects: a sixth of the import of MLflow and a quarter of the time to send a run. In a process with code
    of a user, such as a notebook, no objects are ignored later, because some of them belong to the user.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if _owner["is_command"]:
            gc.freeze()
        if was_enabled:
            gc.enable()
