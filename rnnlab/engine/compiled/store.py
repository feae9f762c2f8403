"""Folder of the user's cache in which compiled loops are kept.

Each loop has a folder of its own, whose name contains a digest of its generated source, of the sources of
this package, and of the versions of Python, NumPy, Numba and LLVM, and of the processor. An edited equation
therefore never meets an old result. Only the user can write to the folder (mode 0700), because Numba stores
its results as pickles, which are read in the same way as code.
"""

import hashlib
import os
import platform
import shutil
import stat
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ModuleType

import llvmlite
import llvmlite.binding as llvm
import numba
import numpy as np
from filelock import FileLock
from platformdirs import user_cache_path

MODULE = "loop.py"
FOLDER_ENV = "RNNLAB_CACHE"
"""Environment variable that names another folder; empty for no cache."""


def cache_folder() -> Path | None:
    """Return the folder of all compiled loops, or None if the user has no private, writable folder."""
    named = os.environ.get(FOLDER_ENV)
    if named == "":
        return None
    folder = Path(named) if named else user_cache_path("rnnlab", appauthor=False) / "loops"
    return folder if make_private(folder) else None


def make_private(folder: Path) -> bool:
    """Create a folder with mode 0700; return False unless it belongs to the user and to nobody else."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return False
    is_private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o022
    is_own = not hasattr(os, "getuid") or found.st_uid == os.getuid()
    return is_private and is_own and os.access(folder, os.W_OK)


@cache
def _surroundings() -> str:
    """Return the versions, the processor and the sources on which compiled code depends."""
    versions = [platform.python_version(), np.__version__, numba.__version__, llvmlite.__version__]
    processor = [platform.machine(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()]
    sources = [path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("*.py"))]
    exponents = Path(__file__).parents[1] / "exponents.py"
    return "\n".join([*versions, *processor, *sources, exponents.read_text(encoding="utf-8")])


def folder_of(text: str, name: str) -> Path | None:
    """Return the folder of a loop with the given source, or None without a cache."""
    top = cache_folder()
    if top is None:
        return None
    digest = hashlib.sha256(f"{surroundings()}\n{text}".encode()).hexdigest()[:24]
    return top / f"{name}-{digest}"


def load(text: str, name: str) -> ModuleType:
    """Return the module with a given source text, compiled now or by an earlier process.

    The text refers to CACHE, which is True if Numba may keep the result in the folder of the module.
    """
    folder = _folder_of(text, name)
    if folder is None:
        return _run(text, f"<rnnlab {name}>", False)
    with suppress(OSError), FileLock(folder.with_suffix(".lock"), mode=0o600):  # one process compiles
        try:
            return _load(folder, text)
        except Exception:  # damaged files raise exceptions of many kinds
            shutil.rmtree(folder, ignore_errors=True)
            return _load(folder, text)
    return _run(text, f"<rnnlab {name}>", False)


def is_compiled(text: str, name: str) -> bool:
    """Return True if the cache contains the compiled form of a module."""
    folder = _folder_of(text, name)
    return folder is not None and any(folder.glob("__pycache__/*.nbc"))


def _folder_of(text: str, name: str) -> Path | None:
    top = cache_folder()
    digest = hashlib.sha256(f"{_surroundings()}\n{text}".encode()).hexdigest()[:24]
    return None if top is None else top / f"{name}-{digest}"


def _load(folder: Path, text: str) -> ModuleType:
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / MODULE
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
    return _run(text, str(path), True)


def _run(text: str, path: str, cache: bool) -> ModuleType:
    module = ModuleType(f"rnnlab_loop_{hashlib.sha256(text.encode()).hexdigest()[:24]}")
    module.__file__ = path
    vars(module)["CACHE"] = cache
    sys.modules[module.__name__] = module  # where Numba looks for the globals of a function from its cache
    exec(compile(text, path, "exec"), vars(module))
    return module
