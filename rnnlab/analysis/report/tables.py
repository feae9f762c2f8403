"""Tables of a report: averages, runs, problems and configuration differences."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from rnnlab.analysis.figures.intervals import mean_interval
from rnnlab.analysis.figures.style import NULL_LABELS
from rnnlab.analysis.figures.sweep_scalars import judge_runs
from rnnlab.analysis.frames.runs_frame import DAMAGED, RunEntry
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
    NO_VALUE,
    append_notes,
    describe_outcome,
    format_dip,
    format_gain,
    format_horizon,
    format_metric,
    format_number,
    format_regime,
    format_zero_share,
    gain_from_summary,
    shorten_numbers,
)

MAX_VALUES = 8
"""Maximum number of values listed per configuration key."""


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: Displayed text.
        key: Sort key.
    """

    text: str
    key: float | str = ""


@dataclass(frozen=True)
class Table:
    """A table with sortable columns."""

    columns: list[str]
    rows: list[list[Cell]]

    @property
    def numbers(self) -> list[bool]:
        """Return, for each column, True if the column contains numbers."""
        return [
            any(isinstance(row[column].key, float) for row in self.rows)
            for column in range(len(self.columns))
        ]


def averages_table(runs: pd.DataFrame, axes: Sequence[str]) -> Table | None:
    """Return a table of means and 95 % confidence intervals, with one row per combination of axis values.

    The result is None if no two runs have the same combination of axis values. The mean metrics exclude
    diverged runs, whose last values were recorded before they diverged.
    """
    runs = runs[runs["outcome"] != DAMAGED].assign(all="")
    by = [*axes] or ["all"]
    if len(runs[by].drop_duplicates()) == len(runs):
        return None
    verdicts = judge_runs(runs) if VAL_SOLVED in runs else pd.Series(dtype=float)
    solvable = verdicts.notna().any()
    metrics = list(map(str, runs["metric"].dropna().unique()))
    columns = [*axes, "runs", *metrics, "gain", "horizon", "clip rate", *(["solved"] if solvable else [])]
    rows = []
    for values, group in runs.groupby(by, dropna=False, observed=True, sort=False):
        ended = Counter(group["outcome"].astype(str))
        lost = "".join(f", {ended[word]} {word}" for word in ("unstable", "diverged") if ended[word])
        row = [format_cell(value, axis) for value, axis in zip(values, axes, strict=False)]
        row += [Cell(f"{len(group)}{lost}", float(len(group)))]
        row += [_mean_cell(group[group["outcome"] != "diverged"], name) for name in metrics]
        row += [
            _mean_gain_cell(group),
            _mean_horizon_cell(group),
            _mean_cell(group, CLIP_RATE, ".1%", within=(0, 1)),
        ]
        if solvable:
            judged = verdicts[group.index].dropna()
            share = f"{int(judged.sum())} of {len(judged)}"
            row.append(Cell(share, judged.mean()) if len(judged) else Cell(NO_VALUE))
        rows.append(row)
    return Table(columns, rows)


def _mean_cell(
    group: pd.DataFrame,
    name: str,
    form: str = ".3g",
    power: bool = False,
    within: tuple[float, float] = (-math.inf, math.inf),
) -> Cell:
    """Return a cell with a mean and its confidence interval; ≥ marks a mean horizon that is a lower bound."""
    rows_with_value = group.dropna(subset=[name]) if name in group else group[:0]
    if rows_with_value.empty:
        return Cell(NO_VALUE)
    interval = mean_interval(rows_with_value.assign(all=0), ["all"], name).iloc[0]
    middle, low, high = (10 ** interval[key] if power else interval[key] for key in ("mean", "low", "high"))
    low, high = max(low, within[0]), min(high, within[1])
    at_least = (
        "≥ "
        if name == HORIZON and CENSORED in rows_with_value and (rows_with_value[CENSORED] == 1).any()
        else ""
    )
    is_point = len(rows_with_value) == 1 or low == high
    between = "" if is_point else f" ({format_number(low, form)} … {format_number(high, form)})"
    return Cell(f"{at_least}{format_number(middle, form)}{between}", float(middle))


def _mean_gain_cell(group: pd.DataFrame) -> Cell:
    """Return a cell with the geometric mean of the non-zero gains.

    The cell also shows the number of gains that are 0 and the mean fraction of examples with zero gradient.
    """
    gains = group[GAIN].dropna() if GAIN in group else pd.Series(dtype=float)
    lost = int((gains == 0).sum())
    if lost and lost == len(gains):
        return Cell("0", 0.0)
    mean = _mean_cell(group, LOG10_GAIN, power=True)
    zero_runs = f"0 in {lost} of {len(gains)} runs" if lost else ""
    return Cell(
        append_notes(mean.text, zero_runs, format_zero_share(_plain_mean(group, ZERO_FRACTION))), mean.key
    )


def _mean_horizon_cell(group: pd.DataFrame) -> Cell:
    """Return a cell with the mean horizon and notes on dips and on zero gradients at the horizon."""
    mean = _mean_cell(group, HORIZON, ".0f", within=(0, math.inf))
    if mean.text == NO_VALUE:
        return mean
    dip = format_dip(float(mean.key), _plain_mean(group, HORIZON_FIRST))
    return Cell(
        append_notes(mean.text, dip, format_zero_share(_plain_mean(group, ZERO_AT_HORIZON))), mean.key
    )


def _plain_mean(group: pd.DataFrame, name: str) -> float | None:
    rows_with_value = group[name].dropna() if name in group else pd.Series(dtype=float)
    return float(rows_with_value.mean()) if len(rows_with_value) else None


def runs_table(entries: Sequence[RunEntry], axes: Sequence[str]) -> Table:
    """Return a table with one row per run."""
    solvable = any((run.info.get("goal") or {}).get("criterion") for run in entries)
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
    for run in entries:
        summary, metric, baseline = run.info.get("summary") or {}, run.row["metric"], run.row["baseline"]
        value = summary.get(metric)
        row = [
            _text_cell(run.row["name"]),
            *(format_cell(run.value(axis), axis) for axis in axes),
            _text_cell(metric),
        ]
        row += [
            Cell(format_metric(value), _sort_key(value)),
            Cell(format_metric(baseline), _sort_key(baseline)),
        ]
        row += [Cell(format_gain(summary), _sort_key(gain_from_summary(summary)))]
        row += [Cell(format_horizon(summary), _sort_key(summary.get(HORIZON)))]
        row += [
            _text_cell(format_regime(summary)),
            _number_cell(summary.get(CLIP_RATE), ".1%"),
            _text_cell(run.row["outcome"]),
        ]
        row += [_number_cell(summary.get(STEPS_TO_SOLVE), ".0f")] if solvable else []
        rows.append([*row, _number_cell(summary.get("seconds"), ".1f")])
    return Table([*columns, *(["solved at"] if solvable else []), "seconds"], rows)


def failures_table(entries: Sequence[RunEntry], problems: Mapping[str, str]) -> Table | None:
    """Return a table of the runs that did not finish normally or have damaged files, with the reasons."""
    rows = []
    for run in entries:
        outcome, summary = run.row["outcome"], run.info.get("summary") or {}
        ended = [describe_outcome(outcome, summary)] if outcome in ENDED else []
        problem = [problems[run.row["run"]]] if run.row["run"] in problems else []
        why = "; ".join([*ended, *problem])
        if why != "finished":
            rows.append(
                [_text_cell(run.row["name"]), _text_cell(why), _text_cell(Path(run.row["folder"]).name)]
            )
    return Table(["run", "problem", "folder"], rows) if rows else None


def differences_table(configs: Sequence[dict[str, Any]]) -> Table | None:
    """Return a table of the configuration keys that differ between the runs, with their values."""
    rows = []
    for key in dict.fromkeys(key for config in configs for key in config):
        counts = Counter(str(config.get(key, NO_VALUE)) for config in configs)
        if len(counts) > 1:
            frequent = dict(counts.most_common(MAX_VALUES))
            values = shorten_numbers(list(frequent))
            named = [f"{text} ({n})" for text, n in zip(values, frequent.values(), strict=True)]
            more = [f"and {len(counts) - MAX_VALUES} more"] if len(counts) > MAX_VALUES else []
            rows.append([_text_cell(key), _text_cell(", ".join([*named, *more]))])
    return Table(["key", "values (number of runs)"], rows) if rows else None


def format_cell(value: Any, axis: str) -> Cell:
    """Return a table cell that shows the value of a sweep axis.

    A null clip threshold is shown as "off"; any other null is shown as a missing value.
    """
    if value is None or (not isinstance(value, str) and pd.isna(value)):
        return Cell(NULL_LABELS.get(axis, NO_VALUE))
    if isinstance(value, str | bool):
        return _text_cell(str(value))
    return Cell(f"{value:g}" if isinstance(value, float) else str(value), float(value))


def _text_cell(text: str | None) -> Cell:
    return Cell(NO_VALUE) if text is None else Cell(text, text)


def _number_cell(value: float | None, form: str) -> Cell:
    return Cell(format_number(value, form), _sort_key(value))


def _sort_key(value: float | None) -> float | str:
    return "" if value is None else float(value)
