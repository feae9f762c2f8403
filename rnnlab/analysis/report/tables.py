"""The tables of a report: averages, runs, what went wrong, what differs in the configurations."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from rnnlab.analysis.figures.intervals import mean_interval
from rnnlab.analysis.figures.style import OFF
from rnnlab.analysis.figures.sweep_scalars import solved
from rnnlab.analysis.frames.runs_frame import DAMAGED, KnownRun
from rnnlab.records import (
    CENSORED,
    CLIP_RATE,
    ENDED,
    GAIN,
    HORIZON,
    HORIZON_FIRST,
    LOG10_GAIN,
    STEPS_TO_SOLVE,
    VAL_SOLVED,
    ZERO_AT_HORIZON,
    ZERO_FRACTION,
)
from rnnlab.text import (
    NONE,
    dip_told,
    gain_of,
    gain_told,
    horizon_told,
    metric_told,
    noted,
    outcome_told,
    regime_told,
    told,
    zeros_told,
)

MOST_VALUES = 8
"""Values of a key that are named."""


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: What is shown.
        key: What it is sorted by.
    """

    text: str
    key: float | str = ""


@dataclass(frozen=True)
class Table:
    """A table whose columns can be sorted; `numbers` says which hold numbers."""

    columns: list[str]
    rows: list[list[Cell]]

    @property
    def numbers(self) -> list[bool]:
        """Which columns hold numbers."""
        return [
            any(isinstance(row[column].key, float) for row in self.rows)
            for column in range(len(self.columns))
        ]


def averages(runs: pd.DataFrame, axes: Sequence[str]) -> Table | None:
    """A row for each combination of axes, where runs share one: means with their 95 % t intervals.

    The metrics are of the runs that did not diverge: what one has is from before it did.
    """
    runs = runs[runs["outcome"] != DAMAGED].assign(all="")
    by = [*axes] or ["all"]
    if len(runs[by].drop_duplicates()) == len(runs):
        return None
    verdicts = solved(runs) if VAL_SOLVED in runs else pd.Series(dtype=float)
    solvable = verdicts.notna().any()
    metrics = list(map(str, runs["metric"].dropna().unique()))
    columns = [*axes, "runs", *metrics, "gain", "horizon", "clip rate", *(["solved"] if solvable else [])]
    rows = []
    for values, group in runs.groupby(by, dropna=False, observed=True, sort=False):
        ended = Counter(group["outcome"].astype(str))
        lost = "".join(f", {ended[word]} {word}" for word in ("unstable", "diverged") if ended[word])
        row = [axis_cell(value, axis) for value, axis in zip(values, axes, strict=False)]
        row += [Cell(f"{len(group)}{lost}", float(len(group)))]
        row += [_mean(group[group["outcome"] != "diverged"], name) for name in metrics]
        row += [_mean_gain(group), _mean_horizon(group), _mean(group, CLIP_RATE, ".1%", within=(0, 1))]
        if solvable:
            judged = verdicts[group.index].dropna()
            told_share = f"{int(judged.sum())} of {len(judged)}"
            row.append(Cell(told_share, judged.mean()) if len(judged) else Cell(NONE))
        rows.append(row)
    return Table(columns, rows)


def _mean(
    group: pd.DataFrame,
    name: str,
    form: str = ".3g",
    power: bool = False,
    within: tuple[float, float] = (-math.inf, math.inf),
) -> Cell:
    """A mean and its interval; ≥ where a horizon in it may be longer."""
    known = group.dropna(subset=[name]) if name in group else group[:0]
    if known.empty:
        return Cell(NONE)
    found = mean_interval(known.assign(all=0), ["all"], name).iloc[0]
    middle, low, high = (10 ** found[key] if power else found[key] for key in ("mean", "low", "high"))
    low, high = max(low, within[0]), min(high, within[1])
    at_least = "≥ " if name == HORIZON and CENSORED in known and (known[CENSORED] == 1).any() else ""
    between = "" if len(known) == 1 or low == high else f" ({low:{form}} … {high:{form}})"
    return Cell(f"{at_least}{middle:{form}}{between}", float(middle))


def _mean_gain(group: pd.DataFrame) -> Cell:
    """The geometric mean of the gains over 0, how many are 0, and the mean share of examples that are."""
    gains = group[GAIN].dropna() if GAIN in group else pd.Series(dtype=float)
    lost = int((gains == 0).sum())
    if lost and lost == len(gains):
        return Cell("0", 0.0)
    mean = _mean(group, LOG10_GAIN, power=True)
    runs_told = f"0 in {lost} of {len(gains)} runs" if lost else ""
    return Cell(noted(mean.text, runs_told, zeros_told(_plain_mean(group, ZERO_FRACTION))), mean.key)


def _mean_horizon(group: pd.DataFrame) -> Cell:
    """The mean horizon, what a dip makes of it, and the mean share of examples that are 0 there."""
    mean = _mean(group, HORIZON, ".0f", within=(0, math.inf))
    if mean.text == NONE:
        return mean
    dip = dip_told(float(mean.key), _plain_mean(group, HORIZON_FIRST))
    return Cell(noted(mean.text, dip, zeros_told(_plain_mean(group, ZERO_AT_HORIZON))), mean.key)


def _plain_mean(group: pd.DataFrame, name: str) -> float | None:
    known = group[name].dropna() if name in group else pd.Series(dtype=float)
    return float(known.mean()) if len(known) else None


def runs_table(several: Sequence[KnownRun], axes: Sequence[str]) -> Table:
    """A row a run."""
    solvable = any((run.info.get("goal") or {}).get("criterion") for run in several)
    columns = [
        "run",
        *axes,
        "metric",
        "value",
        "baseline",
        "gain",
        "horizon",
        "regime",
        "clip rate",
        "outcome",
    ]
    rows = []
    for run in several:
        summary, metric, baseline = run.info.get("summary") or {}, run.row["metric"], run.row["baseline"]
        value = summary.get(metric)
        row = [_word(run.row["name"]), *(axis_cell(run.value(axis), axis) for axis in axes), _word(metric)]
        row += [Cell(metric_told(value), _key(value)), Cell(metric_told(baseline), _key(baseline))]
        row += [Cell(gain_told(summary), _key(gain_of(summary)))]
        row += [Cell(horizon_told(summary), _key(summary.get(HORIZON)))]
        row += [
            _word(regime_told(summary)),
            _number(summary.get(CLIP_RATE), ".1%"),
            _word(run.row["outcome"]),
        ]
        row += [_number(summary.get(STEPS_TO_SOLVE), ".0f")] if solvable else []
        rows.append([*row, _number(summary.get("seconds"), ".1f")])
    return Table([*columns, *(["solved at"] if solvable else []), "seconds"], rows)


def failures(several: Sequence[KnownRun], problems: Mapping[str, str]) -> Table | None:
    """Runs that did not simply finish, or whose files are damaged, and why."""
    rows = []
    for run in several:
        outcome, summary = run.row["outcome"], run.info.get("summary") or {}
        ended = [outcome_told(outcome, summary)] if outcome in ENDED else []
        problem = [problems[run.row["run"]]] if run.row["run"] in problems else []
        told_why = "; ".join([*ended, *problem])
        if told_why != "finished":
            rows.append([_word(run.row["name"]), _word(told_why), _word(Path(run.row["folder"]).name)])
    return Table(["run", "what happened", "folder"], rows) if rows else None


def differing(configs: Sequence[dict[str, Any]]) -> Table | None:
    """Every key that not all runs have in common, with its values."""
    rows = []
    for key in dict.fromkeys(key for config in configs for key in config):
        counts = Counter(str(config.get(key, NONE)) for config in configs)
        if len(counts) > 1:
            named = [f"{value} ({number})" for value, number in counts.most_common(MOST_VALUES)]
            more = [f"and {len(counts) - MOST_VALUES} more"] if len(counts) > MOST_VALUES else []
            rows.append([_word(key), _word(", ".join([*named, *more]))])
    return Table(["key", "values (of so many runs)"], rows) if rows else None


def axis_cell(value: Any, axis: str) -> Cell:
    """The value of an axis; null is off for a threshold, else the run has no such key."""
    if value is None or (not isinstance(value, str) and pd.isna(value)):
        return Cell(OFF.get(axis, NONE))
    if isinstance(value, str | bool):
        return _word(str(value))
    return Cell(f"{value:g}" if isinstance(value, float) else str(value), float(value))


def _word(text: str | None) -> Cell:
    return Cell(NONE) if text is None else Cell(text, text)


def _number(value: float | None, form: str) -> Cell:
    return Cell(told(value, form), _key(value))


def _key(value: float | None) -> float | str:
    return "" if value is None else float(value)
