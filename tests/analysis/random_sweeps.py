"""Random sweeps as data frames, and the values that a figure of a sweep may show, computed without the product."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.stats
from hypothesis import strategies as st

from tests.analysis.many_runs import NAN, typed

AXES: dict[str, list[Any]] = {
    "cell": ["rnn", "lstm", "gru"],
    "seq_len": [10, 20, 100],
    "clip": [0.1, 1.0, NAN],
    "lr": [1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1],  # more values than there are line styles
    "bias": [True, False],
    "init.W_hh.gain": [0.5, 1.5, None],
    "odd $name|<b>": ["a|b", "$x$", "<i>"],
}
"""Sweep axes with their values."""
STEPS, LAGS, TIMES = (0, 5, 20), 5, 3
LOG10_GAIN, SOLVED, LOSS = "grad/log10_gain_tail", "val/solved", "val/loss"
MEASURED = (LOG10_GAIN, "grad/log10_gain", "grad/log10_gain_short", "grad/horizon", "grad/clip_rate", LOSS)

Groups = dict[tuple[str, ...], list[str]]


@dataclass(frozen=True)
class Sweep:
    """A sweep with a data frame for each loader.

    Attributes:
        axes: Sweep axes without the seed.
        runs: Data frame like that of `load_runs`.
        gradients: Data frame like that of `load_gradients`.
        metrics: Data frame like that of `load_metrics`.
    """

    axes: list[str]
    runs: pd.DataFrame
    gradients: pd.DataFrame
    metrics: pd.DataFrame

    @property
    def groups(self) -> Groups:
        """The runs of each combination of values of the axes, without the seed."""
        found: Groups = {}
        for _, run in self.runs.iterrows():
            key = tuple("missing" if pd.isna(run[axis]) else str(run[axis]) for axis in self.axes)
            found.setdefault(key, []).append(str(run["run"]))
        return found


@st.composite
def sweeps(draw: st.DrawFn) -> Sweep:
    """Return a strategy for sweeps of up to seven conditions with one to five seeds each and missing values."""
    axes = draw(st.lists(st.sampled_from(sorted(AXES)), min_size=1, max_size=5, unique=True))
    condition = st.tuples(*(st.sampled_from(AXES[axis]) for axis in axes))
    conditions = draw(st.lists(condition, min_size=1, max_size=7, unique_by=repr))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = []
    for values in conditions:
        for seed in draw(st.sets(st.integers(0, 4), min_size=1)):
            measured = {name: rng.normal() for name in MEASURED}
            row = {"run": f"r{len(rows)}", "outcome": "finished", **dict(zip(axes, values, strict=True))}
            row |= {"seed": seed, "metric": LOSS, "regime": rng.choice(["vanishing", "stable"]), **measured}
            rows.append(row | {SOLVED: float(rng.integers(2)), "grad/censored": float(rng.integers(2))})
    runs = pd.DataFrame(rows)
    for column in (*MEASURED, SOLVED):
        holes = draw(st.sets(st.integers(0, len(runs) - 1), max_size=3))
        runs.loc[sorted(holes), column] = NAN
    for row_number in draw(st.sets(st.integers(0, len(runs) - 1), max_size=2)):
        runs.loc[row_number, "outcome"] = "diverged"
    for row_number in draw(st.sets(st.integers(0, len(runs) - 1), max_size=2)):
        runs.loc[row_number, ["grad/gain_tail", LOG10_GAIN]] = [0.0, NAN]
    if draw(st.booleans()):
        runs = runs.drop(columns="seed")
    labels = [name for name in ("run", *axes, "seed") if name in runs]
    gradients, metrics = _gradients(runs[labels], rng), _metrics(runs[labels], rng)
    for frame, value in ((gradients, "log10_gmean"), (metrics, "value")):
        frame.loc[rng.random(len(frame)) < draw(st.sampled_from([0.0, 0.1])), value] = NAN
    return Sweep(axes, typed(runs), typed(gradients), typed(metrics))


def _gradients(labels: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for run in labels.to_dict("records"):
        for step in STEPS[: rng.integers(1, len(STEPS) + 1)]:
            by_lag = [run | {"step": step, "quantity": "state", "lag": lag} for lag in range(LAGS)]
            by_time = [
                run | {"step": step, "quantity": "h", "timestep": time} for time in range(1, TIMES + 1)
            ]
            rows += [row | {"log10_gmean": rng.normal()} for row in (*by_lag, *by_time)]
    frame = pd.DataFrame(rows).assign(target=pd.NA, layer=1, unit=pd.NA, zero_fraction=0.0)
    return frame.astype({"unit": "Int64", "timestep": "Int64", "lag": "Int64", "target": "Int64"})


def _metrics(labels: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    rows = [
        run | {"step": step, "metric": LOSS, "value": rng.uniform(1, 9)}
        for run in labels.to_dict("records")
        for step in STEPS
    ]
    return pd.DataFrame(rows)


def t_interval(values: Iterable[float]) -> tuple[float, float]:
    """Return the 95 % t interval of a mean."""
    found = scipy.stats.ttest_1samp(list(values), 0.0).confidence_interval(0.95)
    return float(found.low), float(found.high)


def wilson_interval(solved: int, count: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a proportion."""
    z = 1.959963984540054
    share, spread = (solved + z * z / 2) / (count + z * z), z / (count + z * z)
    half = spread * np.sqrt(solved * (count - solved) / count + z * z / 4)
    return share - half, share + half


@dataclass(frozen=True)
class Allowed:
    """Values that a figure may show.

    Attributes:
        curves: Values by x of each single run and of the mean of each group of replicates.
        limits: Interval limits by x of each group with at least three values at that x.
        numbers: All single values and means of replicates.
    """

    curves: list[dict[float, float]]
    limits: list[dict[float, tuple[float, float]]]
    numbers: np.ndarray

    def has_number(self, value: float) -> bool:
        """Return True if a value is that of a single run or a mean of replicates."""
        return bool(np.isclose(self.numbers, value, rtol=1e-9, atol=1e-12).any())


def allowed_of_tables(tables: Iterable[dict[str, dict[float, float]]], groups: Groups) -> Allowed:
    """Return what a figure of curves may show.

    Args:
        tables: Alternative sets of curves, each with the values by x of every run.
        groups: Runs of each group of replicates.
    """
    curves, limits = [], []
    for table in tables:
        curves += list(table.values())
        for runs in groups.values():
            own = [table[run] for run in runs if run in table]
            by_x = {x: [curve[x] for curve in own if x in curve] for x in {x for curve in own for x in curve}}
            curves.append({x: float(np.mean(values)) for x, values in by_x.items()})
            limits.append({x: t_interval(values) for x, values in by_x.items() if len(values) >= 3})
    numbers = np.array([value for curve in curves for value in curve.values()])
    return Allowed(curves, limits, numbers)


def allowed_of_gradients(sweep: Sweep) -> Allowed:
    """Return what a figure of gradient norms may show: by lag, relative to lag 1 or not, and by time step."""
    frame = sweep.gradients
    tables: dict[Any, dict[str, dict[float, float]]] = {}
    for run, rows in frame[frame["lag"].notna()].groupby("run"):
        steps = sorted(rows["step"].unique())
        for step, curve in rows.groupby("step"):
            values = dict(zip(curve["lag"].astype(float), curve["log10_gmean"], strict=True))
            relative = {lag: value - values[1.0] for lag, value in values.items() if lag >= 1}
            for end in (
                step,
                *(["first"] if step == steps[0] else []),
                *(["last"] if step == steps[-1] else []),
                *(["last of several"] if step == steps[-1] != steps[0] else []),
            ):
                for key, found in (((end, "absolute"), values), ((end, "relative"), relative)):
                    tables.setdefault(key, {})[str(run)] = {x: y for x, y in found.items() if np.isfinite(y)}
    for run, rows in frame[frame["timestep"].notna()].groupby("run"):
        for step, norms in rows.dropna(subset=["log10_gmean"]).groupby("step"):
            by_time = dict(zip(norms["timestep"].astype(float), norms["log10_gmean"], strict=True))
            tables.setdefault((step, "by time step"), {})[str(run)] = by_time
    return allowed_of_tables(tables.values(), sweep.groups)


def allowed_of_metrics(sweep: Sweep) -> Allowed:
    """Return what a figure of a metric over training may show."""
    rows = sweep.metrics.dropna(subset=["value"])
    table = {
        str(run): dict(zip(part["step"].astype(float), part["value"], strict=True))
        for run, part in rows.groupby("run")
    }
    return allowed_of_tables([table], sweep.groups)


def allowed_of_runs(sweep: Sweep) -> Allowed:
    """Return what a figure of final values may show: any measured value, or 10 to its power; x is 0."""
    runs = sweep.runs.set_index("run")
    diverged = runs["outcome"] == "diverged"
    judged = runs[SOLVED].mask(runs[SOLVED].isna() & diverged & runs[SOLVED].notna().any(), 0.0)
    columns = [*(runs[name] for name in MEASURED), runs[LOSS].mask(diverged), judged]
    numbers, limits = [], []
    for column in columns:
        for names in sweep.groups.values():
            values = column[names].dropna().tolist()
            if not values:
                continue
            numbers += [*values, float(np.mean(values))]
            if len(values) >= 3:
                is_share = column is judged
                limits.append(
                    wilson_interval(int(sum(values)), len(values)) if is_share else t_interval(values)
                )
    both = np.array(numbers)
    pairs = [*limits, *((10.0**low, 10.0**high) for low, high in limits)]
    return Allowed([], [{0.0: pair} for pair in pairs], np.concatenate([both, 10.0**both]))


ALLOWED: dict[str, Callable[[Sweep], Allowed]] = {
    "runs": allowed_of_runs,
    "gradients": allowed_of_gradients,
    "metrics": allowed_of_metrics,
}
"""Function that returns what a figure may show, by the name of its data frame."""
