"""Means and proportions over runs with 95 % confidence intervals, and the corresponding captions."""

from collections.abc import Sequence

import pandas as pd
import scipy.stats

LEVEL = 0.95


def mean_interval(frame: pd.DataFrame, by: list[str], value: str) -> pd.DataFrame:
    """Return the mean of each group with its 95 % t interval.

    Returns:
        Data frame with the columns in `by` and the columns `mean`, `low`, `high` and `count`; `low` and
        `high` are NaN for groups with only one value.
    """
    summary = frame.groupby(by, observed=True)[value].agg(["mean", "sem", "count"]).reset_index()
    summary["low"] = summary["high"] = summary["mean"].where(summary["count"] > 1)
    spread = summary[summary["sem"] > 0]  # SciPy returns NaN for the other groups
    limits = scipy.stats.t.interval(LEVEL, spread["count"] - 1, spread["mean"], spread["sem"])
    summary.loc[spread.index, "low"], summary.loc[spread.index, "high"] = limits
    return summary.drop(columns="sem")


def share_interval(frame: pd.DataFrame, by: list[str], value: str) -> pd.DataFrame:
    """Return the proportion of ones in each group with its 95 % confidence interval (Wilson, 1927).

    Returns:
        Data frame with the columns in `by` and the columns `mean` (the proportion), `low`, `high` and
        `count`.
    """
    summary = frame.groupby(by, observed=True)[value].agg(["sum", "count"]).reset_index()
    limits = [
        scipy.stats.binomtest(int(k), int(n)).proportion_ci(LEVEL, "wilson")
        for k, n in zip(summary["sum"], summary["count"], strict=True)
    ]
    summary["mean"] = summary["sum"] / summary["count"]
    summary["low"] = [limit.low for limit in limits]
    summary["high"] = [limit.high for limit in limits]
    return summary.drop(columns="sum")


def format_count(counts: pd.Series) -> str:
    """Return the counts as one number if they are equal, or as a range such as `2–5` otherwise."""
    low, high = int(counts.min()), int(counts.max())
    return str(high) if low == high else f"{low}–{high}"


def describe_mean(counts: pd.Series, over: Sequence[str], what: str, single: str = "single runs") -> str:
    """Return a caption with the statistic, the number of runs and the sweep axes in which the runs differ."""
    if counts.empty or counts.max() == 1:
        return single
    across = f" (over {', '.join(over)})" if over else ""
    return f"{what} of {format_count(counts)} runs{across}"


def is_hashable(values: pd.Series) -> bool:
    """Return True if the values are hashable; a user's column may contain unhashable values such as lists."""
    try:
        values.unique()
    except TypeError:
        return False
    return True


def find_averaged_axes(frame: pd.DataFrame, by: Sequence[str], excluded: Sequence[str]) -> list[str]:
    """Return the sweep axes in which runs of the same group differ."""
    runs = frame.drop_duplicates("run") if "run" in frame else frame
    axes = [str(name) for name in runs if name not in excluded and name != "run" and name not in by]
    axes = [name for name in axes if runs[name].dtype != object or is_hashable(runs[name])]
    if not axes:
        return []
    varies = runs[axes].nunique(dropna=False) > 1
    axes = [name for name in axes if varies[name]]
    if not by or not axes:
        return axes
    value_counts = runs.groupby(list(by), observed=True, dropna=False)[axes].nunique(dropna=False)
    return [name for name in axes if (value_counts[name] > 1).any()]
