"""Tests of imports of large libraries."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.surroundings import environment

SEABORN = """
import sys
from rnnlab.analysis.figures.backend import import_seaborn
from rnnlab.imports import own_process
own_process()
sns = import_seaborn()
print("scipy.stats" in sys.modules)
import matplotlib.pyplot as plt, pandas as pd, scipy.stats
sns.FacetGrid(pd.DataFrame({"col": ["a", "b"]}), col="col")
sns.heatmap(pd.DataFrame([[1.0, 2.0]]), ax=plt.figure().subplots())
"""


def test_a_command_imports_seaborn_without_statistics() -> None:
    """Importing `scipy.stats` takes ten times as long as importing the rest of seaborn."""
    command = [sys.executable, "-c", SEABORN]
    done = subprocess.run(
        command, env=environment(MPLBACKEND="agg"), capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False"]


BLAS = """
import sys
import rnnlab.engine.compiled.loops
print("scipy.linalg.cython_blas" in sys.modules, "scipy.linalg" in sys.modules)
import numba, numpy as np
product = numba.njit("float32[:,::1](float32[:,::1], float32[:,::1])")(lambda a, b: np.dot(a, b))
a = np.arange(9, dtype=np.float32).reshape(3, 3)
print(np.array_equal(product(a, a), a @ a), "scipy.linalg" in sys.modules)
import scipy.linalg
scipy.linalg.inv(np.eye(3))
"""


@pytest.mark.skipif(find_spec("numba") is None, reason="needs Numba")
def test_the_compiled_engine_imports_no_more_of_scipy_than_products() -> None:
    command = [sys.executable, "-c", BLAS]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "True", "False"]
