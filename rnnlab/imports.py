"""Fast imports of large libraries, and imports after which a process may still be forked."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_owner = {"is_command": False}
_ARROW_SETTINGS = "JE_ARROW_MALLOC_CONF"


def own_process() -> None:
    """Declare that the process runs a command or a worker of rnnlab, and no code of a user."""
    _owner["is_command"] = True


def is_own_process() -> bool:
    """Return True if the process runs a command or a worker of rnnlab."""
    return _owner["is_command"]


def start_no_threads() -> None:
    """Prevent BLAS, and the memory allocator of Arrow, from starting threads when they are loaded later."""
    os.environ |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    settings = [text for text in os.environ.get(_ARROW_SETTINGS, "").split(",") if text]
    if not any(text.startswith("background_thread:") for text in settings):
        os.environ[_ARROW_SETTINGS] = ",".join([*settings, "background_thread:false"])


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
        if is_own_process():
            gc.freeze()
        if was_enabled:
            gc.enable()


@contextmanager
def hidden(*modules: str) -> Iterator[None]:
    """Hide modules in a `with` block, unless they are already imported; importing one raises ImportError."""
    absent = [name for name in modules if name not in sys.modules]
    sys.modules |= dict.fromkeys(absent)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
