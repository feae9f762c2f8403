"""Means and shares over runs with their 95 % intervals, and in words what was averaged."""

from collections.abc import Sequence

import pandas as pd
import scipy.stats

LEVEL = 0.95


def mean_interval(frame: pd.DataFrame, by: list[str], value: str) -> pd.DataFrame:
    """Mean of each group with the t interval of the mean.

    Returns:
        The columns `by`, `mean`, `low`, `high` (NaN where a group has one value) and `count`.
    """
    found = frame.groupby(by, observed=True)[value].agg(["mean", "sem", "count"]).reset_index()
    found["low"] = found["high"] = found["mean"].where(found["count"] > 1)
    apart = found[found["sem"] > 0]  # of the others SciPy returns NaN
    limits = scipy.stats.t.interval(LEVEL, apart["count"] - 1, apart["mean"], apart["sem"])
    found.loc[apart.index, "low"], found.loc[apart.index, "high"] = limits
    return found.drop(columns="sem")


def share_interval(frame: pd.DataFrame, by: list[str], value: str) -> pd.DataFrame:
    """Share of each group's ones with the interval of Wilson (1927).

    Returns:
        The columns `by`, `mean` (the share), `low`, `high` and `count`.
    """
    found = frame.groupby(by, observed=True)[value].agg(["sum", "count"]).reset_index()
    limits = [
        scipy.stats.binomtest(int(k), int(n)).proportion_ci(LEVEL, "wilson")
        for k, n in zip(found["sum"], found["count"], strict=True)
    ]
    found["mean"] = found["sum"] / found["count"]
    found["low"] = [limit.low for limit in limits]
    found["high"] = [limit.high for limit in limits]
    return found.drop(columns="sum")


def format_count(counts: pd.Series) -> str:
    """How many: one number, or from … to."""
    few, many = int(counts.min()), int(counts.max())
    return str(many) if few == many else f"{few}–{many}"


def describe_mean(counts: pd.Series, over: Sequence[str], what: str, single: str = "single runs") -> str:
    """What is shown of how many runs, and over which axes it is averaged."""
    if counts.empty or counts.max() == 1:
        return single
    across = f" (over {', '.join(over)})" if over else ""
    return f"{what} of {format_count(counts)} runs{across}"


def is_hashable(values: pd.Series) -> bool:
    """Whether values can be told apart, as lists, such as a column of one's own may hold, cannot."""
    try:
        values.unique()
    except TypeError:
        return False
    return True


def find_averaged_axes(frame: pd.DataFrame, by: Sequence[str], excluded: Sequence[str]) -> list[str]:
    """The axes in which the runs that are averaged differ."""
    runs = frame.drop_duplicates("run") if "run" in frame else frame
    axes = [str(name) for name in runs if name not in excluded and name != "run" and name not in by]
    axes = [name for name in axes if runs[name].dtype != object or is_hashable(runs[name])]
    if not axes:
        return []
    kinds = runs[axes].nunique(dropna=False) > 1
    axes = [name for name in axes if kinds[name]]
    if not by or not axes:
        return axes
    apart = runs.groupby(list(by), observed=True, dropna=False)[axes].nunique(dropna=False)
    return [name for name in axes if (apart[name] > 1).any()]
