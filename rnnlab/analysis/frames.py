"""Tracked runs as tidy pandas frames: one row a run, a metric's value, or a gradient norm.

The source is a folder with runs below it, a list of such folders, or `MLflowRuns`; all give the same frame.
"""

import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from rnnlab.analysis.run_tables import (
    DamagedTable,
    GradientColumns,
    gradients_rows,
    gradients_table,
    metrics_table,
)
from rnnlab.analysis.runs_frame import KnownRun, runs_frame
from rnnlab.analysis.sources import Source, StoredRun, find_runs
from rnnlab.records import GRADIENTS_FILE, METRICS_FILE
from rnnlab.tracking.gradient_log import GRADIENT_SCHEMA

AT_ONCE = 16
"""Runs that are read, or fetched, side by side."""
NAMED = 10
"""Runs that a warning names."""
ALWAYS = ("cell", "task", "seq_len", "seed")
"""Axes that long frames have even where all runs agree."""
_METRICS = pa.schema(
    [("step", pa.int64()), ("metric", pa.dictionary(pa.int32(), pa.string())), ("value", pa.float64())]
)
_NO_METRICS = pa.table({"step": pa.array([], pa.int64())})


class IncompleteRuns(UserWarning):
    """Some runs have not come to their end, or cannot be read to theirs."""


def load_runs(source: Source, where: str | None = None) -> pd.DataFrame:
    """One row a run: axes, outcome, summary with the last value of every metric, and where it was made.

    Words are categories, in the order in which they first come; whole numbers that may be missing are Int64;
    what is off, such as `clip=null`, is NaN. A run whose `run.json` is damaged has a row with its name.

    Args:
        source: A folder with runs below it, several, or `MLflowRuns`.
        where: Which runs, as `DataFrame.query` takes it: `"cell == 'lstm' and seq_len > 50"`.

    Raises:
        ValueError: There are no runs, or `where` cannot be asked of them.
        ConnectionError: MLflow does not answer.

    Warns:
        IncompleteRuns: Of runs that were killed, failed, still run or are damaged.
    """
    found = _find(source, where)
    _warn(found.runs, [run.problem for run in found.runs], 2)
    return found.frame


def load_metrics(
    source: Source, metrics: str | Sequence[str] | None = None, where: str | None = None
) -> pd.DataFrame:
    """Long form: one row a run × metric × training step, with the axes that differ between the runs.

    A value that was not finite has no row.

    Args:
        source: As in `load_runs`.
        metrics: A name or several, such as `"val/loss"`; None is all.
        where: As in `load_runs`.

    Raises:
        ValueError: As `load_runs`; or no run has such a metric.
        ConnectionError: MLflow does not answer.

    Warns:
        IncompleteRuns: Of runs that `load_runs` warns of, or whose metrics cannot be read to their end.
    """
    found = _find(source, where)
    wanted = _several(metrics)
    tables = list(found.tables(lambda run: metrics_table(run.file(METRICS_FILE)), _NO_METRICS))
    _check("metrics", wanted, {name for table in tables for name in table.column_names} - {"step"})
    long = [_melted(table, wanted) for table in tables]
    frame: pd.DataFrame = pa.concat_tables(long).unify_dictionaries().to_pandas(split_blocks=True)
    return found.labelled(frame, [table.num_rows for table in long])


def load_gradients(
    source: Source,
    quantities: str | Sequence[str] | None = None,
    axis: Literal["lag", "timestep"] | None = None,
    steps: Literal["first", "last", "ends"] | Sequence[int] | None = None,
    where: str | None = None,
    targets: bool = False,
) -> pd.DataFrame:
    """Long form: one row a run × training step × quantity × (time step or lag), with the axes that differ.

    The other columns are `records.GRADIENT_COLUMNS`; lag curves show `log10_gmean`.

    Args:
        source: As in `load_runs`.
        quantities: A name or several, such as `"state"`; None is all.
        axis: Lag curves alone, or what is by time step; None is both.
        steps: Each run's first or last recording, both ends, or these training steps; None is all.
        where: As in `load_runs`.
        targets: Whether to have the lag curves that start at other targets than the last, too.

    Raises:
        ValueError: As `load_runs`; or no run has such a quantity; or `axis` or `steps` is none of these.
        ConnectionError: MLflow does not answer.

    Warns:
        IncompleteRuns: Of runs that `load_runs` warns of, or whose table cannot be read.
    """
    if axis not in ("lag", "timestep", None):
        raise ValueError(f"axis={axis!r}: must be 'lag', 'timestep' or None")
    if isinstance(steps, str) and steps not in ("first", "last", "ends"):
        raise ValueError(f"steps={steps!r}: must be 'first', 'last', 'ends', training steps or None")
    found = _find(source, where)
    wanted = _several(quantities)
    there: set[str] = set()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        sizes = list(pool.map(lambda run: gradients_rows(run.stored.file(GRADIENTS_FILE)), found.runs))

    def selected(run: StoredRun) -> pa.Table:
        try:
            table = gradients_table(run.file(GRADIENTS_FILE))
        except DamagedTable as damaged:
            raise DamagedTable(str(damaged), GRADIENT_SCHEMA.empty_table()) from None
        there.update(pc.unique(table["quantity"]).to_pylist())
        return _selected(table, wanted, axis, steps, targets)

    columns, lengths = GradientColumns(sum(sizes)), []
    for table, size in zip(found.tables(selected, GRADIENT_SCHEMA.empty_table()), sizes, strict=True):
        columns.add(table[:size])  # of a run that goes on there may be more by now
        lengths.append(min(size, len(table)))
    _check("quantities", wanted, there)
    return found.labelled(columns.frame(), lengths)


@dataclass(frozen=True)
class _Found:
    """The runs of a source.

    Attributes:
        runs: In their order.
        frame: With a row for each.
        axes: Those of its columns that long frames have.
    """

    runs: list[KnownRun]
    frame: pd.DataFrame
    axes: list[str]

    def tables(self, read: Callable[[StoredRun], pa.Table], absent: pa.Table) -> Iterator[pa.Table]:
        """A table of each run, read side by side, and in the end a warning of those that are not whole.

        Raises:
            ConnectionError: A server does not answer.
        """

        def told(run: KnownRun) -> tuple[pa.Table, str | None]:
            try:
                return read(run.stored), run.problem
            except DamagedTable as damaged:
                return damaged.rows, f"damaged: {damaged}"
            except FileNotFoundError as error:
                return (
                    absent,
                    run.problem or f"without {error.filename and error.filename.rpartition('/')[2]}",
                )

        problems = []
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for start in range(0, len(self.runs), AT_ONCE):  # no more in memory than that
                for table, problem in pool.map(told, self.runs[start : start + AT_ONCE]):
                    problems.append(problem)
                    yield table
        _warn(self.runs, problems, 3)

    def labelled(self, long: pd.DataFrame, lengths: Sequence[int]) -> pd.DataFrame:
        """The runs' tables below one another, each row with its run and axes."""
        row = np.repeat(np.arange(len(self.frame)), lengths)
        ids = pd.Categorical.from_codes(row, categories=pd.Index(self.frame["run"]))
        labels: dict[str, Any] = {"run": ids} | {axis: self.frame[axis].array.take(row) for axis in self.axes}
        for place, (name, values) in enumerate(labels.items()):
            long.insert(place, name, values)
        return long


def _find(source: Source, where: str | None) -> _Found:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        known = sorted(pool.map(KnownRun, find_runs(source)), key=lambda run: run.place)
    runs = list({run.row["run"]: run for run in reversed(known)}.values())[::-1]  # copies of a folder once
    frame, axes = runs_frame(runs)
    if where is not None:
        runs = [runs[row] for row in _rows(frame, where)]
        frame, axes = runs_frame(runs)
    varying = [axis for axis in axes if axis in ALWAYS or frame[axis].nunique(dropna=False) > 1]
    return _Found(runs, frame, varying)


def _rows(frame: pd.DataFrame, where: str) -> list[int]:
    try:
        rows = frame.query(where).index.tolist()
    except Exception as error:  # whatever the parser, a comparison or a name can raise
        raise ValueError(f"where={where!r}: {error}; columns: {', '.join(frame.columns)}") from error
    if not rows:
        raise ValueError(f"where={where!r}: holds for none of the {len(frame)} runs")
    return rows


def _several(names: str | Sequence[str] | None) -> list[str] | None:
    return [names] if isinstance(names, str) else names if names is None else list(names)


def _check(argument: str, wanted: list[str] | None, there: Collection[str]) -> None:
    if missing := [name for name in wanted or () if name not in there]:
        raise ValueError(
            f"{argument}={missing}: in none of the runs; there: {', '.join(sorted(there)) or 'none'}"
        )


def _warn(runs: Sequence[KnownRun], problems: Sequence[str | None], callers: int) -> None:
    told = [f"{run.row['name']} ({problem})" for run, problem in zip(runs, problems, strict=True) if problem]
    if told:
        more = f" and {len(told) - NAMED} more" if len(told) > NAMED else ""
        text = f"{len(told)} of {len(runs)} runs are not whole: {', '.join(told[:NAMED])}{more}"
        warnings.warn(text, IncompleteRuns, stacklevel=callers + 1)


def _melted(table: pa.Table, wanted: list[str] | None) -> pa.Table:
    """One row a value of a table with a column a metric."""
    names = [name for name in table.column_names if name != "step" and (wanted is None or name in wanted)]
    steps, values, lengths = [], [], []
    for name in names:
        there = table[name].is_valid()
        steps += table["step"].filter(there).chunks
        values += table[name].filter(there).chunks
        lengths.append(pc.sum(there).as_py() or 0)
    kind = pa.DictionaryArray.from_arrays(
        pa.array(np.repeat(np.arange(len(names), dtype=np.int32), lengths)), pa.array(names, pa.string())
    )
    columns = [pa.chunked_array(steps, pa.int64()), kind, pa.chunked_array(values, pa.float64())]
    return pa.table(columns, schema=_METRICS)


def _selected(
    table: pa.Table,
    quantities: list[str] | None,
    axis: str | None,
    steps: str | Sequence[int] | None,
    targets: bool,
) -> pa.Table:
    """The rows that are asked for."""
    tests = [] if quantities is None else [pc.is_in(table["quantity"], pa.array(quantities))]
    if axis is not None:
        tests.append(table[axis].is_valid())
    if not targets and table["target"].null_count < len(table):
        tests.append(table["target"].is_null())
    if steps is not None and not isinstance(steps, str):
        tests.append(pc.is_in(table["step"], pa.array([int(step) for step in steps], pa.int64())))
    table = table.filter(reduce(pc.and_, tests)) if tests else table
    return table.filter(_at_end(table, steps)) if isinstance(steps, str) and len(table) else table


def _at_end(table: pa.Table, end: str) -> pa.Array:
    """Which rows are of the first or the last recording of their quantity by its axis."""
    step = table["step"].to_numpy()
    quantity = table["quantity"].combine_chunks().indices.to_numpy()
    series = 2 * quantity + table["lag"].is_valid().to_numpy()
    first, last = np.full(series.max() + 1, step.max()), np.full(series.max() + 1, step.min())
    np.minimum.at(first, series, step)
    np.maximum.at(last, series, step)
    is_end = {"first": step == first[series], "last": step == last[series]}
    return pa.array(is_end[end] if end in is_end else is_end["first"] | is_end["last"])
