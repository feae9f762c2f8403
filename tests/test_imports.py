"""Tests of imports of large libraries."""

import subprocess
import sys

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
