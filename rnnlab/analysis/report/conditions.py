"""Summary of a sweep by condition.

A *condition* is a combination of values of all sweep axes except the seed, so the runs of a condition are
replicates. The mean of a condition has a 95 % interval if the condition has at least three runs with a value.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np
import pandas as pd

from rnnlab.analysis.figures.intervals import MIN_REPLICATES, half_width
from rnnlab.analysis.figures.sweep_scalars import judge_runs
from rnnlab.analysis.frames.run_collection import RunCollection
from rnnlab.analysis.frames.runs_frame import DAMAGED
from rnnlab.records import CENSORED, CLIP_RATE, GAIN, HORIZON, VAL_LOSS, VAL_SOLVED

LAG, UNTRAINED, TRAINED = "longest lag", "untrained decay", "trained decay"
LAST_STEP = "last recording"
"""Columns added by `summarize_ends`: the longest lag K, log10 g(K)/g(1) before and after training, and
the training step of the last recording."""
COMMON_LAG, COMMON_DECAY = "common lag", "common decay"
"""Columns added by `summarize_ends`: the longest lag that all lag curves have, and the decay at this lag at
the last recording."""
SOLVED = "solved"
FRACTIONS = (CLIP_RATE, "val/accuracy", "val/error_rate")


@dataclass(frozen=True)
class Estimate:
    """Mean of the runs of a condition.

    Attributes:
        values: Values of the single runs.
        mean: Mean of the values, or None without values.
        low: Lower limit of the 95 % interval, or None for fewer than three values.
        high: Upper limit of the 95 % interval, or None for fewer than three values.
    """

    values: list[float]
    mean: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, values: pd.Series, bounds: tuple[float, float] = (-inf, inf)) -> "Estimate":
        """Return the estimate from the values of single runs, without missing values.

        Args:
            values: Values of the single runs.
            bounds: Smallest and largest possible value; an interval is cut at these bounds.
        """
        numbers = values.to_numpy(dtype="float64", na_value=np.nan)
        numbers = numbers[np.isfinite(numbers)]
        if not len(numbers):
            return cls([], None, None, None)
        mean = float(numbers.mean())
        if len(numbers) < MIN_REPLICATES:
            return cls(numbers.tolist(), mean, None, None)
        half = float(half_width(numbers.std(ddof=1) / np.sqrt(len(numbers)), len(numbers)))
        return cls(numbers.tolist(), mean, max(bounds[0], mean - half), min(bounds[1], mean + half))


@dataclass(frozen=True)
class Condition:
    """The runs that share the values of all sweep axes except the seed.

    Attributes:
        values: Value of each sweep axis.
        runs: Data frame with one row per run.
    """

    values: dict[str, Any]
    runs: pd.DataFrame
    _estimates: dict[str, Estimate] = field(default_factory=dict, init=False, repr=False, compare=False)

    def estimate(self, column: str) -> Estimate:
        """Return the mean of a column; validation metrics exclude diverged runs."""
        if column not in self._estimates:
            self._estimates[column] = self._estimate(column)
        return self._estimates[column]

    def _estimate(self, column: str) -> Estimate:
        if column not in self.runs:
            return Estimate.of(pd.Series(dtype=float))
        runs = self.runs
        if column.startswith("val/"):
            runs = runs[runs["outcome"] != "diverged"]
        bounds = (0.0, 1.0 if column in FRACTIONS else inf) if _is_positive(column) else (-inf, inf)
        if column == HORIZON and self.lag is not None:
            bounds = (0.0, float(self.lag))
        if column == TRAINED and self.is_untrained:
            return Estimate.of(pd.Series(dtype=float))
        return Estimate.of(runs[column], bounds)

    @property
    def last_decay(self) -> Estimate:
        """Decay of the gradient at the last recording, which may precede training."""
        return Estimate.of(self._known(TRAINED))

    @property
    def lag(self) -> int | None:
        """Longest lag K of the lag curves, or None if the runs have none or different ones."""
        lags = self._known(LAG).unique()
        return int(lags[0]) if len(lags) == 1 else None

    @property
    def is_censored(self) -> bool:
        """True if the lag curve of a run ends above 1 %, so that the mean horizon is a lower bound."""
        return bool((self._known(CENSORED) == 1).any())

    def _known(self, column: str) -> pd.Series:
        """Return the values of a column, without missing values; none if the column does not exist."""
        return self.runs[column].dropna() if column in self.runs else pd.Series(dtype=float)

    def count(self, outcome: str) -> int:
        """Return the number of runs with an outcome."""
        return int((self.runs["outcome"].astype(str) == outcome).sum())

    @property
    def is_untrained(self) -> bool:
        """True if all recordings of the runs precede training, as in runs that diverge at once."""
        steps = self._known(LAST_STEP)
        return len(steps) > 0 and bool((steps == 0).all())

    @property
    def is_zero(self) -> bool:
        """True if the gradient at the longest lag is exactly 0 in all runs."""
        gains = self._known(GAIN)
        return len(gains) > 0 and bool((gains == 0).all())

    @property
    def solved(self) -> tuple[int, int] | None:
        """Number of solved runs and of judged runs, or None if the task has no success criterion."""
        judged = self._known(SOLVED)
        return (int(judged.sum()), len(judged)) if len(judged) else None


def find_conditions(runs: pd.DataFrame, axes: Sequence[str]) -> list[Condition]:
    """Return the conditions of a sweep in ascending order of the values of their axes.

    Args:
        runs: Data frame from `summarize_ends`.
        axes: Sweep axes that differ between the runs, without the seed.
    """
    runs = runs[runs["outcome"] != DAMAGED]
    if VAL_SOLVED in runs:
        runs = runs.assign(**{SOLVED: judge_runs(runs)})
    if not axes:
        return [Condition({}, runs)] if len(runs) else []
    groups = runs.groupby(list(axes), dropna=False, observed=True, sort=True)
    return [Condition(dict(zip(axes, key, strict=True)), group) for key, group in groups]


def summarize_ends(collection: RunCollection, curves: pd.DataFrame | None) -> pd.DataFrame:
    """Return the frame of runs with the decay of the gradient before and after training.

    Args:
        collection: Runs of the sweep.
        curves: Lag curves of the state from the first and last recording of each run, or None.
    """
    runs = collection.frame
    if curves is None or curves.empty:
        return runs
    rows = curves[(curves["lag"] >= 1) & curves["target"].isna()]
    if not (rows["lag"] == 1).any():  # sequences of one time step
        return runs
    rows = rows.assign(run=rows["run"].astype(str), lag=rows["lag"].astype("float64"))
    steps = rows.groupby("run")["step"]
    found = {LAG: rows.groupby("run")["lag"].max(), LAST_STEP: steps.max()}
    ends = {UNTRAINED: steps.transform("min"), TRAINED: steps.transform("max")}
    for name, end in ends.items():
        curve = rows[rows["step"] == end].pivot(index="run", columns="lag", values="log10_gmean")
        relative = curve.sub(curve[1.0], axis="index")
        is_longest = np.equal.outer(found[LAG].reindex(curve.index).to_numpy(), curve.columns.to_numpy())
        found[name] = relative.where(is_longest).max(axis="columns")
    found[COMMON_DECAY] = relative[found[LAG].min()]  # of the last recording
    keys = runs["run"].astype(str)
    columns = {name: keys.map(values) for name, values in found.items()}
    return runs.assign(**columns, **{COMMON_LAG: float(found[LAG].min())})


def _is_positive(column: str) -> bool:
    return column.startswith("val/") or column in (HORIZON, CLIP_RATE)


def choose_metric(runs: pd.DataFrame) -> str:
    """Return the validation metric to show: that of the task, or the loss for several tasks."""
    metrics = list(map(str, runs["metric"].dropna().unique()))
    return metrics[0] if len(metrics) == 1 else VAL_LOSS
