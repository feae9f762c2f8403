"""Table of the results of a command, with one line that explains its columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from rnnlab.app.config.plan import Job
from rnnlab.records import CENSORED, CLIP_RATE, STEPS_TO_SOLVE
from rnnlab.text import (
    SEVERAL_METRICS,
    describe_outcome,
    explain,
    format_gain,
    format_horizon,
    format_metric,
    format_number,
    loss_unit_from_info,
    shorten_numbers,
)

OUTCOME_STYLES = {"finished": "green", "unstable": "yellow", "diverged": "magenta", "killed": "red"}
OUTCOME = "outcome"
MIN_OUTCOME_WIDTH = 10
GAP = 2


@dataclass(frozen=True)
class Column:
    """Column of the table, with one cell per run."""

    heading: str
    cells: list[str]
    justify: Literal["left", "right"] = "right"

    @property
    def width(self) -> int:
        """Width of the widest cell in characters."""
        return max(map(cell_len, (self.heading, *self.cells)))


def result_columns(jobs: Sequence[Job], infos: Sequence[Mapping[str, Any]]) -> list[Column]:
    """Return the columns of the table of results."""
    axes = list(dict.fromkeys(key for job in jobs for key in job.sweep_values)) or ["cell"]
    goals = [info.get("goal") or {} for info in infos]  # a damaged run.json may lack the goal
    summaries = [info.get("summary", {}) for info in infos]
    metrics = [goal.get("metric", "") for goal in goals]
    values = [format_metric(summary.get(m)) for summary, m in zip(summaries, metrics, strict=True)]
    one_metric = metrics[0] if len(set(metrics)) == 1 else ""
    if not one_metric:
        values = [f"{metric} {value}" for metric, value in zip(metrics, values, strict=True)]
    columns = []
    for axis in axes:
        cells = [job.sweep_values.get(axis) or job.choices.get(axis, "") for job in jobs]
        columns.append(Column(axis, shorten_numbers(cells), "left"))
    columns += [
        Column(one_metric or SEVERAL_METRICS, values),
        Column("baseline", [format_metric(goal.get("baseline")) for goal in goals]),
        Column("gain", [format_gain(summary) for summary in summaries]),
        Column("horizon", [format_horizon(summary) for summary in summaries]),
        Column("clip rate", [format_number(summary.get(CLIP_RATE), ".1%") for summary in summaries]),
    ]
    outcomes = [describe_outcome(info["outcome"], s) for info, s in zip(infos, summaries, strict=True)]
    columns.append(Column(OUTCOME, outcomes, "left"))
    if any(goal.get("criterion") for goal in goals):
        solved = [format_number(summary.get(STEPS_TO_SOLVE), ".0f") for summary in summaries]
        columns.append(Column("solved at", solved))
    return [*columns, Column("seconds", [format_number(s.get("seconds"), ".1f") for s in summaries])]


def full_width(columns: Sequence[Column]) -> int:
    """Return the width of the table, in characters, if no cell is wrapped."""
    return sum(column.width + GAP for column in columns) - GAP


def min_width(columns: Sequence[Column]) -> int:
    """Return the width of the table, in characters, if outcomes are wrapped."""
    outcomes = (column.width for column in columns if column.heading == OUTCOME)
    return full_width(columns) - sum(max(width - MIN_OUTCOME_WIDTH, 0) for width in outcomes)


def make_list(columns: Sequence[Column]) -> Table:
    """Return the results of a single run with one line per column."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, GAP, 0, 0))
    for column in columns:
        table.add_row(Text(column.heading, "bold"), Text(column.cells[0]))
    return table


def without_constants(columns: Sequence[Column]) -> tuple[list[Column], str]:
    """Return the columns whose cells differ, and a line with the values that all runs share."""
    shared = [column for column in columns if len(set(column.cells)) == 1 and column.heading != OUTCOME]
    line = ", ".join(f"{column.heading} {column.cells[0]}" for column in shared)
    return [column for column in columns if column not in shared], f"All runs: {line}" if line else ""


def make_table(columns: Sequence[Column], width: int | None = None) -> Table:
    """Return the table; if it is wider than `width`, outcomes are wrapped but numbers are not cut."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, GAP, 0, 0))
    excess = 0 if width is None else max(full_width(columns) - width, 0)
    for column in columns:
        wrapped = max(column.width - excess, MIN_OUTCOME_WIDTH) if column.heading == OUTCOME else column.width
        column_width = min(wrapped, column.width)
        table.add_column(column.heading, justify=column.justify, width=column_width, overflow="fold")
    for row in zip(*(column.cells for column in columns), strict=True):
        cells = [Text(cell) for cell in row]
        for column, cell in zip(columns, cells, strict=True):
            if column.heading == OUTCOME:
                word = cell.plain.partition(" ")[0].rstrip(":,")
                cell.stylize(OUTCOME_STYLES.get(word, "red"))
        table.add_row(*cells)
    return table


def explain_columns(columns: Sequence[Column], infos: Sequence[Mapping[str, Any]]) -> str:
    """Return one line with the meaning of each column of the table that needs an explanation."""
    headings = [column.heading for column in columns]
    if any(info.get("summary", {}).get(CENSORED) for info in infos):
        headings.insert(headings.index("horizon") + 1, "≥")
    units = {loss_unit_from_info(info)[0] for info in infos}
    return explain(headings, units.pop() if len(units) == 1 else "")
