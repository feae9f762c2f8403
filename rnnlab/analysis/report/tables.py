"""Tables of a report: averages, runs, problems and configuration differences."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from rnnlab.analysis.figures.style import NULL_LABELS
from rnnlab.analysis.frames.runs_frame import RunEntry
from rnnlab.analysis.report.conditions import LAG, TRAINED, UNTRAINED, Condition
from rnnlab.analysis.report.number_text import (
    Format,
    format_axis,
    format_decades,
    format_estimate,
    format_steps,
)
from rnnlab.records import (
    CLIP_RATE,
    ENDED,
    GAIN,
    HORIZON,
    HORIZON_FIRST,
    LOG10_GAIN,
    STEPS_TO_SOLVE,
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

MAX_SINGLE_RUNS = 24
"""Maximum number of conditions that are listed if each has a single run."""
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

    @cached_property
    def numbers(self) -> list[bool]:
        """Return, for each column, True if the column contains numbers."""
        return [
            any(isinstance(row[column].key, float) for row in self.rows)
            for column in range(len(self.columns))
        ]


def conditions_table(conditions: Sequence[Condition], axes: Sequence[str], metric: str) -> Table | None:
    """Return a table of the results with one row per condition, in which replicates are averaged.

    A cell shows the mean and its 95 % interval, or the single values of fewer than three runs. The metric
    excludes diverged runs, whose last values were recorded before they diverged. The result is None if all of
    many conditions have a single run, since it would repeat the table of runs.
    """
    runs = sum(len(condition.runs) for condition in conditions)
    if not conditions or (runs == len(conditions) > MAX_SINGLE_RUNS):
        return None
    with_curves = any(condition.estimate(UNTRAINED).mean is not None for condition in conditions)
    clips = any(condition.estimate(CLIP_RATE).mean for condition in conditions)
    solvable = any(condition.solved is not None for condition in conditions)
    decays = {"untrained decay": UNTRAINED, "trained decay": TRAINED} if with_curves else {}
    lags = {condition.lag for condition in conditions if condition.estimate(LAG).mean is not None}
    with_lags = len(lags) > 1 or None in lags
    columns = [*axes, "runs", *(["lag K"] if with_lags else []), *decays, "horizon", "gain", metric]
    columns += [*(["clip rate"] if clips else []), *(["solved"] if solvable else [])]
    rows = []
    for condition in conditions:
        lost = [(condition.count(word), word) for word in ("unstable", "diverged")]
        total = len(condition.runs)
        parts = [f"{n} {word}" for n, word in lost if n]
        count = parts[0] if total in (n for n, _ in lost) else ", ".join([str(total), *parts])
        row = [axis_cell(condition.values[axis], axis) for axis in axes]
        row.append(Cell(count, float(total)))
        row += [_estimate_cell(condition, LAG, format_steps)] if with_lags else []
        row += [_estimate_cell(condition, column, format_decades) for column in decays.values()]
        row += [_horizon_cell(condition), _gain_cell(condition), _estimate_cell(condition, metric)]
        row += [_clip_cell(condition)] if clips else []
        if solvable:
            solved = condition.solved
            text = (
                Cell(NO_VALUE) if solved is None else Cell("{} of {}".format(*solved), solved[0] / solved[1])
            )
            row.append(text)
        rows.append(row)
    return Table(columns, rows)


def _estimate_cell(condition: Condition, column: str, form: Format = format_metric, prefix: str = "") -> Cell:
    estimate = condition.estimate(column)
    return Cell(format_estimate(estimate, form, prefix), "" if estimate.mean is None else estimate.mean)


def _clip_cell(condition: Condition) -> Cell:
    """Return a cell with the clip rate; without a threshold, there is none."""
    if format_axis(condition.values.get("clip", 0.0), "clip") == NULL_LABELS["clip"]:
        return Cell(NO_VALUE)
    return _estimate_cell(condition, CLIP_RATE, "{:.0%}".format)


def _gain_cell(condition: Condition) -> Cell:
    """Return a cell with the geometric mean of the non-zero gains, and notes on gradients that are 0."""
    if condition.is_zero:
        return Cell("0", 0.0)
    gains = condition.runs[GAIN].dropna() if GAIN in condition.runs else pd.Series(dtype=float)
    lost = int((gains == 0).sum())
    cell = _estimate_cell(condition, LOG10_GAIN, lambda value: format_metric(10.0**value))
    zero_runs = f"0 in {lost} of {len(gains)} runs" if lost else ""
    zero_share = format_zero_share(condition.estimate(ZERO_FRACTION).mean)
    return Cell(append_notes(cell.text, zero_runs, zero_share), cell.key)


def _horizon_cell(condition: Condition) -> Cell:
    """Return a cell with the mean horizon and notes on dips and on zero gradients at the horizon."""
    prefix = "≥ " if condition.is_censored else ""
    cell = _estimate_cell(condition, HORIZON, "{:.0f}".format, prefix)
    if isinstance(cell.key, str):
        return cell
    dip = format_dip(cell.key, condition.estimate(HORIZON_FIRST).mean)
    zero_share = format_zero_share(condition.estimate(ZERO_AT_HORIZON).mean)
    return Cell(append_notes(cell.text, dip, zero_share), cell.key)


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
            *(axis_cell(run.value(axis), axis) for axis in axes),
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


def axis_cell(value: Any, axis: str) -> Cell:
    """Return a table cell that shows the value of a sweep axis."""
    text = format_axis(value, axis)
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and not pd.isna(value)
    return Cell(text, float(value) if is_number else text)


def _text_cell(text: str | None) -> Cell:
    return Cell(NO_VALUE) if text is None else Cell(text, text)


def _number_cell(value: float | None, form: str) -> Cell:
    return Cell(format_number(value, form), _sort_key(value))


def _sort_key(value: float | None) -> float | str:
    return "" if value is None else float(value)
