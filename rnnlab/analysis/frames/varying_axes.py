"""The axes of a sweep in which its runs differ; the columns of the report's table and of its figures."""

from collections.abc import Sequence

import pandas as pd

from rnnlab.analysis.frames.runs_frame import DAMAGED


def find_varying_axes(runs: pd.DataFrame, axes: Sequence[str]) -> list[str]:
    """Return the axes with several values among the undamaged runs.

    Args:
        runs: Frame with one row per run.
        axes: Columns of the frame that are axes.
    """
    undamaged = runs[runs["outcome"] != DAMAGED]
    return [axis for axis in axes if undamaged[axis].nunique(dropna=False) > 1]
