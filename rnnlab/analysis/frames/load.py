"""Tracked runs as tidy pandas frames: one row a run, a metric's value, or a gradient norm.

The source is a folder with runs below it, a list of such folders, or `MLflowRuns`; all give the same frame.
"""

import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from rnnlab.analysis.arguments import check_arguments
from rnnlab.analysis.frames.run_tables import (
    DamagedTable,
    GradientColumns,
    gradients_rows,
    gradients_table,
    metrics_table,
)
from rnnlab.analysis.frames.runs_frame import DAMAGED, RunEntry, drop_copies, runs_frame
from rnnlab.analysis.frames.sources import Source, StoredRun, find_runs
from rnnlab.records import ENDED, GRADIENTS_FILE, METRICS_FILE
from rnnlab.runs.gradient_table import GRADIENT_SCHEMA
from rnnlab.text import one_line

MAX_PARALLEL_READS = 16
"""Runs that are read, or fetched, side by side."""
MAX_NAMED_RUNS = 10
"""Runs that a warning names."""
DEFAULT_AXES = ("cell", "task", "seq_len", "seed")
"""Axes that long frames have even where all runs agree."""
ENDS = ("first", "last", "ends")
_METRICS = pa.schema(
    [("step", pa.int64()), ("metric", pa.dictionary(pa.int32(), pa.string())), ("value", pa.float64())]
)
_NO_METRICS = pa.table({"step": pa.array([], pa.int64())})

Steps = Literal["first", "last", "ends"] | int | Sequence[int]


class IncompleteRuns(UserWarning):
    """Some runs have not come to their end, or cannot be read to theirs."""


@check_arguments
def load_runs(source: Source, where: str | None = None) -> pd.DataFrame:
    """One row a run: axes, outcome, summary with the last value of every metric, and where it was made.

    Words are categories, in the order in which they first come; whole numbers that may be missing are Int64;
    what is off, such as `clip=null`, is NaN. A run whose `run.json` is damaged has a row with its name. `run`
    is the lab's id of a run, the same in all of its copies; `mlflow_run_id` is MLflow's, NaN for a run that
    was never sent there. Of a folder whose run is in several stores it is that in the first.

    Args:
        source: A folder with runs below it, several, or `MLflowRuns`.
        where: Which runs, as `DataFrame.query` takes it: `"cell == 'lstm' and seq_len > 50"`.

    Raises:
        ValueError: There are no runs, or `where` is no condition on them.
        TypeError: An argument has another type.
        ConnectionError: MLflow does not answer.

    Warns:
        IncompleteRuns: Of runs that were killed, failed, still run or are damaged.
    """
    found = RunCollection.find(source, where)
    _warn(found)
    return found.frame


@check_arguments
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
        TypeError: An argument has another type.
        ConnectionError: MLflow does not answer.

    Warns:
        IncompleteRuns: Of runs that `load_runs` warns of, or whose metrics cannot be read to their end.
    """
    found = RunCollection.find(source, where)
    frame = found.metrics(metrics)
    _warn(found)
    return frame


@check_arguments
def load_gradients(
    source: Source,
    quantities: str | Sequence[str] | None = None,
    axis: Literal["lag", "timestep"] | None = None,
    steps: Steps | None = None,
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
        ValueError: As `load_runs`; or no run has such a quantity or step; or `axis` or `steps` is another.
        TypeError: An argument has another type.
        ConnectionError: MLflow does not answer.

    Warns:
        IncompleteRuns: Of runs that `load_runs` warns of, or whose table cannot be read.
    """
    found = RunCollection.find(source, where)
    frame = found.gradients(quantities, axis, steps, targets)
    _warn(found)
    return frame


@dataclass(frozen=True)
class RunCollection:
    """The runs of a source, found once, and their tables.

    Attributes:
        runs: In their order.
        frame: With a row for each.
        axes: The frame's columns that are axes.
        varying: Those of them in which runs differ; of damaged runs they are not known.
        problems: Why a run is not whole, by its id; of its tables, once they have been read.
    """

    runs: list[RunEntry]
    frame: pd.DataFrame
    axes: list[str]
    varying: list[str]
    problems: dict[str, str]

    @classmethod
    def find(cls, source: Source, where: str | None = None) -> "RunCollection":
        """Find them; errors as in `load_runs`."""
        with ThreadPoolExecutor(MAX_PARALLEL_READS) as pool:
            runs = drop_copies(sorted(pool.map(RunEntry, find_runs(source)), key=lambda run: run.sort_key))
            axes = {key for run in runs for key in run.axes}
            list(pool.map(lambda run: run.config, [run for run in runs if axes - run.axes.keys()]))
        frame, axis_names = runs_frame(runs)
        if where is not None:
            runs = [runs[row] for row in _rows(frame, where)]
            frame, axis_names = runs_frame(runs)
        whole = frame[frame["outcome"] != DAMAGED]
        varying = [axis for axis in axis_names if whole[axis].nunique(dropna=False) > 1]
        problems = {run.row["run"]: run.problem for run in runs if run.problem is not None}
        return cls(runs, frame, axis_names, varying, problems)

    def select(self, indices: Iterable[int]) -> "RunCollection":
        """Some of them, by their places, told apart by the same axes; of their problems all know."""
        chosen = [int(place) for place in indices]
        frame = self.frame.iloc[chosen].reset_index(drop=True)
        return replace(self, runs=[self.runs[place] for place in chosen], frame=frame)

    def metrics(self, metrics: str | Sequence[str] | None = None) -> pd.DataFrame:
        """As `load_metrics`."""
        requested = _as_list(metrics)
        tables = list(self._tables(lambda run: metrics_table(run.file(METRICS_FILE)), _NO_METRICS))
        _check_present(
            "metrics", requested, {name for table in tables for name in table.column_names} - {"step"}
        )
        long = [_melt(table, requested) for table in tables]
        frame: pd.DataFrame = pa.concat_tables(long).unify_dictionaries().to_pandas(split_blocks=True)
        return self._add_labels(frame, [table.num_rows for table in long])

    def gradients(
        self,
        quantities: str | Sequence[str] | None = None,
        axis: str | None = None,
        steps: Steps | None = None,
        targets: bool = False,
    ) -> pd.DataFrame:
        """As `load_gradients`."""
        if axis not in ("lag", "timestep", None):
            raise ValueError(f"axis={axis!r}: must be 'lag', 'timestep' or None")
        if isinstance(steps, str) and steps not in ENDS:
            raise ValueError(f"steps={steps!r}: must be 'first', 'last', 'ends', training steps or None")
        requested = _as_list(quantities)
        chosen = steps if steps is None or isinstance(steps, str) else _as_step_list(steps)
        names: set[str] = set()
        recorded: set[int] = set()

        def read(run: StoredRun) -> pa.Table:
            table = gradients_table(run.file(GRADIENTS_FILE))
            names.update(pc.unique(table["quantity"]).to_pylist())
            recorded.update(pc.unique(table["step"]).to_pylist())
            return _select(table, requested, axis, chosen, targets)

        with ThreadPoolExecutor(MAX_PARALLEL_READS) as pool:
            sizes = list(pool.map(lambda run: gradients_rows(run.stored.file(GRADIENTS_FILE)), self.runs))
        columns, lengths = GradientColumns(sum(sizes)), []
        for table, size in zip(self._tables(read, GRADIENT_SCHEMA.empty_table()), sizes, strict=True):
            columns.add(table[:size])  # of a run that goes on there may be more by now
            lengths.append(min(size, len(table)))
        _check_present("quantities", requested, names)
        if isinstance(chosen, list):
            _check_present("steps", chosen, recorded)
        return self._add_labels(columns.frame(), lengths)

    def _tables(self, read: Callable[[StoredRun], pa.Table], absent: pa.Table) -> Iterator[pa.Table]:
        """A table of each run, read side by side; what is wrong with one is noted.

        Raises:
            ConnectionError: A server does not answer.
        """

        def read_table(run: RunEntry) -> tuple[pa.Table, str | None]:
            try:
                table = read(run.stored)
            except DamagedTable as damaged:
                return damaged.rows, f"{DAMAGED}: {damaged}"
            except ConnectionError:
                raise
            except OSError as error:
                return absent, f"{Path(str(error.filename)).name}: {error.strerror}"
            return table, None

        with ThreadPoolExecutor(MAX_PARALLEL_READS) as pool:
            for start in range(0, len(self.runs), MAX_PARALLEL_READS):  # no more in memory than that
                some = self.runs[start : start + MAX_PARALLEL_READS]
                for run, (table, problem) in zip(some, pool.map(read_table, some), strict=True):
                    if problem is not None and run.row["outcome"] in (*ENDED, DAMAGED):
                        self.problems.setdefault(run.row["run"], problem)  # others may end within a row
                    yield table

    def _add_labels(self, long: pd.DataFrame, lengths: Sequence[int]) -> pd.DataFrame:
        """The runs' tables below one another, each row with its run and axes."""
        row = np.repeat(np.arange(len(self.frame)), lengths)
        ids = pd.Categorical.from_codes(row, categories=pd.Index(self.frame["run"]))
        axes = [axis for axis in self.axes if axis in DEFAULT_AXES or axis in self.varying]
        labels: dict[str, Any] = {"run": ids} | {axis: self.frame[axis].array.take(row) for axis in axes}
        for place, (name, values) in enumerate(labels.items()):
            long.insert(place, name, values)
        return long


def _rows(frame: pd.DataFrame, where: str) -> list[int]:
    try:
        holds = frame.eval(where)
    except Exception as error:  # whatever the parser, a comparison or a name can raise
        raise ValueError(f"where={where!r}: {error}; columns: {', '.join(frame.columns)}") from error
    if not (isinstance(holds, pd.Series) and pd.api.types.is_bool_dtype(holds)):
        raise ValueError(f"where={where!r}: is no condition; columns: {', '.join(frame.columns)}")
    rows: list[int] = np.flatnonzero(holds.fillna(False)).tolist()
    if not rows:
        raise ValueError(f"where={where!r}: holds for none of the {len(frame)} runs")
    return rows


def _as_list(names: str | Sequence[str] | None) -> list[str] | None:
    return [names] if isinstance(names, str) else names if names is None else list(names)


def _as_step_list(steps: int | Sequence[int]) -> list[int]:
    return [int(steps)] if isinstance(steps, int | np.integer) else [int(step) for step in steps]


def _check_present(argument: str, requested: Iterable[Any] | None, present: Collection[Any]) -> None:
    if missing := [name for name in requested or () if name not in present]:
        names = ", ".join(map(str, sorted(present))) or "none"
        raise ValueError(f"{argument}={missing}: in none of the runs; there: {names}")


def _warn(found: RunCollection) -> None:
    """Warn the caller of a loader of the runs that are not whole."""
    names = {run.row["run"]: run.row["name"] for run in found.runs}
    descriptions = [
        one_line(f"{name} ({found.problems[run]})") for run, name in names.items() if run in found.problems
    ]
    if descriptions:
        more = f" and {len(descriptions) - MAX_NAMED_RUNS} more" if len(descriptions) > MAX_NAMED_RUNS else ""
        listed = ", ".join(descriptions[:MAX_NAMED_RUNS])
        text = f"{len(descriptions)} of {len(found.runs)} runs are not whole: {listed}{more}"
        warnings.warn(text, IncompleteRuns, stacklevel=4)


def _melt(table: pa.Table, requested: list[str] | None) -> pa.Table:
    """One row a value of a table with a column a metric."""
    names = [
        name for name in table.column_names if name != "step" and (requested is None or name in requested)
    ]
    steps, values, lengths = [], [], []
    for name in names:
        is_valid = table[name].is_valid()
        steps += table["step"].filter(is_valid).chunks
        values += table[name].filter(is_valid).chunks
        lengths.append(pc.sum(is_valid).as_py() or 0)
    kind = pa.DictionaryArray.from_arrays(
        pa.array(np.repeat(np.arange(len(names), dtype=np.int32), lengths)), pa.array(names, pa.string())
    )
    columns = [pa.chunked_array(steps, pa.int64()), kind, pa.chunked_array(values, pa.float64())]
    return pa.table(columns, schema=_METRICS)


def _select(
    table: pa.Table,
    quantities: list[str] | None,
    axis: str | None,
    steps: str | list[int] | None,
    targets: bool,
) -> pa.Table:
    """The rows that are asked for."""
    tests = [] if quantities is None else [pc.is_in(table["quantity"], pa.array(quantities))]
    if axis is not None:
        tests.append(table[axis].is_valid())
    if not targets and table["target"].null_count < len(table):
        tests.append(table["target"].is_null())
    if isinstance(steps, list):
        tests.append(pc.is_in(table["step"], pa.array(steps, pa.int64())))
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
