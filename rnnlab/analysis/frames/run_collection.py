"""The runs from a source and their tables, from which the `load_*` functions build data frames."""

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

from rnnlab.analysis.frames.run_tables import (
    DamagedTable,
    GradientColumns,
    gradients_rows,
    gradients_table,
    metrics_table,
)
from rnnlab.analysis.frames.runs_frame import DAMAGED, RunEntry, drop_copies, runs_frame
from rnnlab.analysis.frames.sources import Source, StoredRun, find_runs
from rnnlab.analysis.frames.varying_axes import find_varying_axes
from rnnlab.records import ENDED, GRADIENTS_FILE, METRICS_FILE
from rnnlab.runs.gradient_table import GRADIENT_SCHEMA

MAX_PARALLEL_READS = 16
"""Maximum number of runs whose files are read or downloaded in parallel."""
DEFAULT_AXES = ("cell", "task", "seq_len", "seed")
"""Sweep axes included in every long-format data frame, even if all runs have the same value."""
ENDS = ("first", "last", "ends")
_METRICS = pa.schema(
    [("step", pa.int64()), ("metric", pa.dictionary(pa.int32(), pa.string())), ("value", pa.float64())]
)
_NO_METRICS = pa.table({"step": pa.array([], pa.int64())})

Steps = Literal["first", "last", "ends"] | int | Sequence[int]


@dataclass(frozen=True)
class RunCollection:
    """Runs loaded from one source, with methods that read their tables.

    Attributes:
        runs: Runs in sorted order.
        frame: Data frame with one row per run.
        axes: Columns of `frame` that are sweep axes.
        varying: Sweep axes whose values differ between the undamaged runs.
        problems: Description of the problem with each incomplete run, by run id; reading a damaged table adds
            an entry.
    """

    runs: list[RunEntry]
    frame: pd.DataFrame
    axes: list[str]
    varying: list[str]
    problems: dict[str, str]

    @classmethod
    def find(cls, source: Source, where: str | None = None) -> "RunCollection":
        """Return the runs from a source, raising the same exceptions as `load_runs`."""
        with ThreadPoolExecutor(MAX_PARALLEL_READS) as pool:
            runs = drop_copies(sorted(pool.map(RunEntry, find_runs(source)), key=lambda run: run.sort_key))
            axes = {key for run in runs for key in run.axes}
            list(pool.map(lambda run: run.config, [run for run in runs if axes - run.axes.keys()]))
        frame, axis_names = runs_frame(runs)
        if where is not None:
            runs = [runs[row] for row in _rows(frame, where)]
            frame, axis_names = runs_frame(runs)
        varying = find_varying_axes(frame, axis_names)
        problems = {run.row["run"]: run.problem for run in runs if run.problem is not None}
        return cls(runs, frame, axis_names, varying, problems)

    def select(self, indices: Iterable[int]) -> "RunCollection":
        """Return a collection of the runs at the given positions, with `varying` and `problems` unchanged."""
        positions = [int(index) for index in indices]
        frame = self.frame.iloc[positions].reset_index(drop=True)
        return replace(self, runs=[self.runs[position] for position in positions], frame=frame)

    def metrics(self, metrics: str | Sequence[str] | None = None) -> pd.DataFrame:
        """Return the data frame of `load_metrics`."""
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
        """Return the data frame of `load_gradients`."""
        if axis not in ("lag", "timestep", None):
            raise ValueError(f"axis={axis!r}: must be 'lag', 'timestep' or None")
        if isinstance(steps, str) and steps not in ENDS:
            raise ValueError(
                f"steps={steps!r}: must be 'first', 'last', 'ends', None, or one or more training steps"
            )
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
            columns.add(table[:size])  # the table of a run in progress may have grown
            lengths.append(min(size, len(table)))
        _check_present("quantities", requested, names)
        if isinstance(chosen, list):
            _check_present("steps", chosen, recorded)
        return self._add_labels(columns.frame(), lengths)

    def _tables(self, read: Callable[[StoredRun], pa.Table], absent: pa.Table) -> Iterator[pa.Table]:
        """Read the tables of the runs in parallel, yield each table, and add any problem to `problems`.

        Raises:
            ConnectionError: If a tracking server does not respond.
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
            for start in range(0, len(self.runs), MAX_PARALLEL_READS):  # limits the tables in memory
                runs = self.runs[start : start + MAX_PARALLEL_READS]
                for run, (table, problem) in zip(runs, pool.map(read_table, runs), strict=True):
                    if problem is not None and run.row["outcome"] in (*ENDED, DAMAGED):
                        self.problems.setdefault(run.row["run"], problem)  # an unfinished run may end mid-row
                    yield table

    def _add_labels(self, long: pd.DataFrame, lengths: Sequence[int]) -> pd.DataFrame:
        """Insert the run id and sweep axes in `long` as the first columns, and return the data frame."""
        row = np.repeat(np.arange(len(self.frame)), lengths)
        ids = pd.Categorical.from_codes(row, categories=pd.Index(self.frame["run"]))
        axes = [axis for axis in self.axes if axis in DEFAULT_AXES or axis in self.varying]
        if self.frame["sweep"].nunique() > 1:  # replicates of different sweeps are not averaged
            axes = ["sweep", *axes]
        labels: dict[str, Any] = {"run": ids} | {axis: self.frame[axis].array.take(row) for axis in axes}
        for position, (name, values) in enumerate(labels.items()):
            long.insert(position, name, values)
        return long


def _rows(frame: pd.DataFrame, where: str) -> list[int]:
    try:
        mask = frame.eval(where)
    except Exception as error:  # the parser, a comparison or a name may raise anything
        raise ValueError(
            f"where={where!r}: {error}; available columns: {', '.join(frame.columns)}"
        ) from error
    if not (isinstance(mask, pd.Series) and pd.api.types.is_bool_dtype(mask)):
        columns = ", ".join(frame.columns)
        raise ValueError(f"where={where!r}: must be a condition on the columns; available columns: {columns}")
    rows: list[int] = np.flatnonzero(mask.fillna(False)).tolist()
    if not rows:
        raise ValueError(f"where={where!r}: matches none of the {len(frame)} runs")
    return rows


def _as_list(names: str | Sequence[str] | None) -> list[str] | None:
    return [names] if isinstance(names, str) else names if names is None else list(names)


def _as_step_list(steps: int | Sequence[int]) -> list[int]:
    return [int(steps)] if isinstance(steps, int | np.integer) else [int(step) for step in steps]


def _check_present(argument: str, requested: Iterable[Any] | None, present: Collection[Any]) -> None:
    if missing := [name for name in requested or () if name not in present]:
        names = ", ".join(map(str, sorted(present))) or "none"
        raise ValueError(f"{argument}={missing}: not found in any run; available: {names}")


def _melt(table: pa.Table, requested: list[str] | None) -> pa.Table:
    """Convert a table with one column per metric to a table with one row per metric value."""
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
    """Return the requested rows."""
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
    """Return a mask that selects the rows from the first or last recording of each quantity and axis."""
    step = table["step"].to_numpy()
    quantity = table["quantity"].combine_chunks().indices.to_numpy()
    series = 2 * quantity + table["lag"].is_valid().to_numpy()
    first, last = np.full(series.max() + 1, step.max()), np.full(series.max() + 1, step.min())
    np.minimum.at(first, series, step)
    np.maximum.at(last, series, step)
    is_end = {"first": step == first[series], "last": step == last[series]}
    return pa.array(is_end[end] if end in is_end else is_end["first"] | is_end["last"])
