"""Selection of the sweep axes whose values differ between the runs."""

from collections.abc import Sequence

import pandas as pd

from rnnlab.analysis.frames.runs_frame import DAMAGED


def find_varying_axes(runs: pd.DataFrame, axes: Sequence[str]) -> list[str]:
    """Return the sweep axes that have more than one value among the undamaged runs.

    Args:
        runs: Data frame with one row per run.
        axes: Columns of the data frame that are sweep axes.
    """
    undamaged = runs[runs["outcome"] != DAMAGED]
    return [axis for axis in axes if undamaged[axis].nunique(dropna=False) > 1]
