"""Folder of the user's cache in which compiled loops are kept.

Each loop has a folder of its own. The name of the folder contains a digest of the source of the loop, of the
sources of this package, of the versions of Python, NumPy, Numba and LLVM, and of the processor, so that an
edited equation never meets an old result. Only the user can write to the folder (mode 0700): Numba stores its
results as pickles, which are as trusted as the code of this package.
"""

import hashlib
import os
import platform
import shutil
import stat
import sys
from contextlib import suppress
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import llvmlite
import llvmlite.binding as llvm
import numba
import numpy as np
from filelock import FileLock
from platformdirs import user_cache_path

MODULE = "loop.py"
FOLDER_VARIABLE = "RNNLAB_CACHE"
"""Environment variable that names another folder; an empty value turns the cache off."""


def load(text: str, name: str) -> ModuleType:
    """Return the module with a given source text, compiled now or by an earlier process.

    The text contains the word CACHE, which is replaced by True if Numba may keep the result.
    """
    folder = _folder_of(text, name)
    if folder is not None:
        with suppress(OSError), FileLock(f"{folder}.lock", mode=0o600):  # one process compiles, others wait
            try:
                return _import(folder, text.replace("CACHE", "True"))
            except Exception:  # damaged files raise exceptions of many kinds
                shutil.rmtree(folder, ignore_errors=True)
                return _import(folder, text.replace("CACHE", "True"))
    with TemporaryDirectory(prefix="rnnlab-") as temporary:
        return _import(Path(temporary), text.replace("CACHE", "False"))


def is_compiled(text: str, name: str) -> bool:
    """Return True if the cache contains the compiled form of a module."""
    folder = _folder_of(text, name)
    return folder is not None and any(folder.glob("__pycache__/*.nbc"))


def cache_folder() -> Path | None:
    """Return the folder of all compiled loops, or None if the user has no private, writable folder."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named == "":
        return None
    folder = Path(named) if named else user_cache_path("rnnlab", appauthor=False) / "loops"
    return folder if _make_private(folder) else None


def _make_private(folder: Path) -> bool:
    """Create a folder with mode 0700; return False unless it belongs to the user and only they can write."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return False
    is_own = not hasattr(os, "getuid") or found.st_uid == os.getuid()
    return stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o022 and is_own and os.access(folder, os.W_OK)


def _folder_of(text: str, name: str) -> Path | None:
    top = cache_folder()
    digest = hashlib.sha256(f"{_surroundings()}\n{text}".encode()).hexdigest()[:24]
    return None if top is None else top / f"{name}-{digest}"


@cache
def _surroundings() -> str:
    """Return everything besides its own source on which a compiled loop depends."""
    versions = [platform.python_version(), np.__version__, numba.__version__, llvmlite.__version__]
    processor = [platform.machine(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()]
    files = [*sorted(Path(__file__).parent.glob("*.py")), Path(__file__).parents[1] / "exponents.py"]
    return "\n".join([*versions, *processor, *(path.read_text(encoding="utf-8") for path in files)])


def _import(folder: Path, text: str) -> ModuleType:
    """Write the text of a module into a folder, unless it is there, and import the module from there."""
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / MODULE
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
    name = f"rnnlab_loop_{hashlib.sha256(text.encode()).hexdigest()[:24]}"
    specification = spec_from_file_location(name, path)
    assert specification is not None and specification.loader is not None
    module = module_from_spec(specification)
    sys.modules[name] = module  # where Numba looks for the globals of a function from its cache
    specification.loader.exec_module(module)
    return module
