"""The BLAS functions that compiled loops call, which Numba takes from SciPy."""

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

import scipy

MODULE = "scipy.linalg.cython_blas"


def load_blas_functions() -> None:
    """Import SciPy's BLAS functions without the rest of `scipy.linalg`, which takes half of Numba's start.

    If that fails, Numba itself imports all of `scipy.linalg` before the first product.
    """
    if MODULE in sys.modules or "scipy.linalg" in sys.modules:
        return
    specification = PathFinder.find_spec(MODULE, [str(Path(scipy.__file__).parent / "linalg")])
    if specification is None or specification.loader is None:
        return
    try:
        sys.modules[MODULE] = module = module_from_spec(specification)
        specification.loader.exec_module(module)
    except Exception:
        sys.modules.pop(MODULE, None)
