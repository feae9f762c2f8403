"""Means and proportions over replicates with 95 % confidence intervals, and the corresponding captions.

*Replicates* are runs that differ only in their seed. Runs that differ in any other sweep axis are never
averaged, and fewer than three replicates have no interval.
"""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from rnnlab.analysis.arguments import check_arguments

LEVEL = 0.95
MIN_REPLICATES = 3
"""Minimum number of replicates for which an interval is given."""
REPLICATE_AXIS = "seed"
"""Sweep axis in which replicates differ."""


@check_arguments
def mean_interval(frame: pd.DataFrame, by: Sequence[str], value: str) -> pd.DataFrame:
    """Return the mean of each group of replicates with its 95 % t interval.

    Args:
        frame: Data frame, such as that of `load_runs`.
        by: Columns whose values define the groups.
        value: Column of numbers.

    Returns:
        Data frame with the columns in `by` and the columns `mean`, `low`, `high` and `count`; `low` and
        `high` are NaN for groups with fewer than three values.

    Raises:
        ValueError: If a column does not exist.

    >>> losses = pd.DataFrame({"cell": ["rnn"] * 3, "loss": [1.0, 2.0, 3.0]})
    >>> rl.mean_interval(losses, ["cell"], "loss").round(2).values.tolist()
    [['rnn', 2.0, -0.48, 4.48, 3]]
    """
    _check_columns(frame, by, value)
    summary = frame.groupby(list(by), observed=True)[value].agg(["mean", "sem", "count"]).reset_index()
    half = half_width(summary["sem"], summary["count"])
    summary["low"], summary["high"] = summary["mean"] - half, summary["mean"] + half
    return summary[[*by, "mean", "low", "high", "count"]]


def half_width(standard_error: ArrayLike, count: ArrayLike) -> np.ndarray:
    """Return half the width of the t interval of means, or NaN for fewer than three values."""
    import scipy.special  # deferred, because the figures of single runs need no intervals

    count = np.asarray(count, dtype=float)
    quantile = scipy.special.stdtrit(np.maximum(count - 1, 1), (1 + LEVEL) / 2)
    return np.where(count >= MIN_REPLICATES, quantile * np.asarray(standard_error), np.nan)


@check_arguments
def share_interval(frame: pd.DataFrame, by: Sequence[str], value: str) -> pd.DataFrame:
    """Return the proportion of ones in each group with its 95 % confidence interval (Wilson, 1927).

    Args:
        frame: Data frame, such as that of `load_runs`.
        by: Columns whose values define the groups.
        value: Column of zeros and ones.

    Returns:
        Data frame with the columns in `by` and the columns `mean` (the proportion), `low`, `high` and
        `count`; `low` and `high` are NaN for groups with fewer than three values.

    Raises:
        ValueError: If a column does not exist.

    >>> solved = pd.DataFrame({"cell": ["lstm"] * 5, "solved": [1, 1, 1, 1, 0]})
    >>> rl.share_interval(solved, ["cell"], "solved").round(2).values.tolist()
    [['lstm', 0.8, 0.38, 0.96, 5]]
    """
    _check_columns(frame, by, value)
    import scipy.stats  # deferred: takes half a second, and most figures need no proportions

    summary = frame.groupby(list(by), observed=True)[value].agg(["sum", "count"]).reset_index()
    limits = [
        scipy.stats.binomtest(int(k), int(n)).proportion_ci(LEVEL, "wilson")
        for k, n in zip(summary["sum"], summary["count"], strict=True)
    ]
    summary["mean"] = summary["sum"] / summary["count"]
    summary["low"] = [limit.low for limit in limits]
    summary["high"] = [limit.high for limit in limits]
    summary.loc[summary["count"] < MIN_REPLICATES, ["low", "high"]] = float("nan")
    return summary[[*by, "mean", "low", "high", "count"]]


def _check_columns(frame: pd.DataFrame, by: Sequence[str], value: str) -> None:
    if missing := [name for name in (*by, value) if name not in frame]:
        names = ", ".join(map(str, frame.columns))
        raise ValueError(f"column {missing[0]!r}: not in the frame; available: {names}")


def format_count(counts: pd.Series) -> str:
    """Return the counts as one number if they are equal, or as a range such as `2–5` otherwise."""
    low, high = int(counts.min()), int(counts.max())
    return str(high) if low == high else f"{low}–{high}"


def describe_mean(
    counts: pd.Series, what: str, detail: Sequence[str] = (), single: str = "single runs"
) -> str:
    """Return a caption with the statistic and the number of replicates.

    Args:
        counts: Number of replicates in each group.
        what: Name of the statistic, shown for groups of at least three replicates.
        detail: Sweep axes that separate the groups but are not shown by any visual property.
        single: Description of groups of fewer than three replicates.
    """
    many = counts[counts >= MIN_REPLICATES]
    text = single if many.empty else f"{what} of {format_count(many)} runs that differ in {REPLICATE_AXIS}"
    if not many.empty and len(many) < len(counts):
        text += f"; {single} where fewer than {MIN_REPLICATES}"
    return f"{text}; separately for each {' and '.join(detail)}" if detail else text


def is_hashable(values: pd.Series) -> bool:
    """Return True if the values are hashable; a user's column may contain unhashable values such as lists."""
    try:
        values.unique()
    except TypeError:
        return False
    return True


def find_detail_axes(frame: pd.DataFrame, by: Sequence[str], excluded: Collection[str]) -> list[str]:
    """Return the sweep axes, apart from the seed, in which runs of the same group differ."""
    runs = frame.drop_duplicates("run") if "run" in frame else frame
    excluded = {*excluded, *by, "run", REPLICATE_AXIS}
    axes = [str(name) for name in runs if name not in excluded]
    axes = [name for name in axes if runs[name].dtype != object or is_hashable(runs[name])]
    if not axes:
        return []
    varies = runs[axes].nunique(dropna=False) > 1
    axes = [name for name in axes if varies[name]]
    if not by or not axes:
        return axes
    value_counts = runs.groupby(list(by), observed=True, dropna=False)[axes].nunique(dropna=False)
    return [name for name in axes if (value_counts[name] > 1).any()]
