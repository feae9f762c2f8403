"""Functions that read the tables of a run folder as Arrow tables or pandas data frames."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
import pyarrow.parquet as pq

from rnnlab.records import GRADIENT_COLUMNS, GRADIENTS_FILE, METRICS_FILE, Curve
from rnnlab.runs.files import DamagedFile
from rnnlab.runs.gradient_table import GRADIENT_SCHEMA, logged_gradients, table_of_curves
from rnnlab.runs.gradient_table import read_gradients as tracked_gradients

FLAT_OBJECTS = re.compile(rb"(?:\{[^{}\[\]\n]*\}\n)+")
"""Pattern for lines of one flat JSON object; Arrow's JSON reader can crash on other lines, such as `null`."""
PARSE_ERRORS = (pa.ArrowException, ValueError, RecursionError, OverflowError)
INDEX_COLUMNS, STATISTIC_COLUMNS = GRADIENT_COLUMNS[3:7], GRADIENT_COLUMNS[7:]


class DamagedTable(ValueError):
    """Exception raised if a table of a run cannot be read completely.

    Attributes:
        rows: Readable rows of the table.
    """

    def __init__(self, problem: str, rows: pa.Table) -> None:
        super().__init__(problem)
        self.rows = rows


def metrics_table(file: Path) -> pa.Table:
    """Return `metrics.jsonl` as a table with one row per training step and one column per metric.

    Missing and non-finite values are null.

    Raises:
        DamagedTable: If the file is empty, ends in the middle of a line (for example, because the process was
            killed) or contains an invalid line; the exception contains the rows that precede the
            damaged part.
        OSError: If the file cannot be read.
    """
    content = file.read_bytes()
    complete = content[: content.rfind(b"\n") + 1]
    try:
        rows = _parse(complete)
    except PARSE_ERRORS:  # an invalid UTF-8 name raises only when it is accessed
        lines = complete.splitlines(keepends=True)
        valid = next((n for n, line in enumerate(lines) if not _is_row(line)), 0)
        problem = f"{file.name}: line {valid + 1} is not a valid row"
        raise DamagedTable(problem, _parse(b"".join(lines[:valid]))) from None
    if complete != content or not complete:
        raise DamagedTable(f"{file.name}: {'ends within a line' if content else 'is empty'}", rows)
    return rows


def _parse(lines: bytes) -> pa.Table:
    if not lines:
        return pa.table({"step": pa.array([], pa.int64())})
    if FLAT_OBJECTS.fullmatch(lines):
        # A single block, because a metric and its type may first appear late in the file.
        options = pj.ReadOptions(use_threads=False, block_size=len(lines))
        table = pj.read_json(pa.BufferReader(lines), read_options=options)
    else:
        table = pa.Table.from_pylist([_parse_line(line) for line in lines.splitlines()])
    steps = table["step"] if "step" in table.column_names else None
    if steps is None or steps.null_count or not all(map(_is_number, table.schema.types)):
        raise pa.ArrowInvalid("row must be an object with numeric values and a step")
    types = [pa.field(name, pa.int64() if name == "step" else pa.float64()) for name in table.column_names]
    return table.cast(pa.schema(types))


def _parse_line(line: bytes) -> dict[str, float | None]:
    row = json.loads(line)
    if not isinstance(row, dict) or not {type(value) for value in row.values()} <= {int, float, type(None)}:
        raise pa.ArrowInvalid("row must be an object with numeric values")
    return {name: value if name == "step" or value is None else float(value) for name, value in row.items()}


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind))


def _is_row(line: bytes) -> bool:
    try:
        row = json.loads(line)
        return isinstance(row, dict) and isinstance(row["step"], int) and _parse(line) is not None
    except (KeyError, *PARSE_ERRORS):
        return False


def gradients_table(file: Path) -> pa.Table:
    """Return the gradient table of a run.

    For an unfinished run, which has no `gradients.parquet`, the rows are read from the gradient log.

    Raises:
        DamagedTable: If the file is not a valid gradient table.
        OSError: If neither `gradients.parquet` nor the gradient log can be read.
    """
    if not file.is_file() and (logged := logged_gradients(file.parent)) is not None:
        return logged
    try:
        return tracked_gradients(file)
    except DamagedFile as error:
        raise DamagedTable(str(error), GRADIENT_SCHEMA.empty_table()) from None


def read_metrics(folder: Path) -> pd.DataFrame:
    """Return a data frame with one row per training step and one column per metric; missing values are NaN.

    If the file is damaged, for example because the process was killed while writing the file, the data frame
    contains only the rows that precede the damaged part.

    Raises:
        OSError: If the file cannot be read.
    """
    try:
        table = metrics_table(folder / METRICS_FILE)
    except DamagedTable as damaged:
        table = damaged.rows
    frame: pd.DataFrame = table.to_pandas()
    return frame


def read_gradients(folder: Path) -> pd.DataFrame:
    """Return gradient norms, with one row per training step, quantity, and time step or lag.

    The columns are listed in `records.GRADIENT_COLUMNS`. The columns `timestep`, `lag` and `target` contain
    nullable integers.

    Raises:
        DamagedTable: If the file is not a valid gradient table.
        OSError: If the file cannot be read.
    """
    return _frame_of_table(gradients_table(folder / GRADIENTS_FILE))


def frame_of_curves(step: int, curves: Sequence[Curve]) -> pd.DataFrame:
    """Return curves as a data frame with the columns and dtypes of `read_gradients`."""
    return _frame_of_table(table_of_curves(step, curves))


def _frame_of_table(table: pa.Table) -> pd.DataFrame:
    columns = GradientColumns(len(table))
    columns.add(table)
    return columns.frame()


def gradients_rows(file: Path) -> int:
    """Return the current number of rows in a gradient table, or 0 if the table cannot be read."""
    try:
        return int(pq.read_metadata(file).num_rows) if file.is_file() else len(gradients_table(file))
    except Exception:  # parsing a damaged file may raise anything
        return 0


class GradientColumns:
    """Preallocated columns of a gradient data frame, filled one table at a time.

    Collecting all Arrow tables and converting them together would double the required memory and time.
    """

    def __init__(self, rows: int) -> None:
        """Allocate columns for a given number of rows."""
        self._rows = 0
        self._step, self._layer = np.empty(rows, np.int64), np.empty(rows, np.int64)
        self._quantity = np.empty(rows, np.int16)
        self._codes: dict[str, int] = {}
        self._indices = {name: (np.empty(rows, np.int64), np.empty(rows, bool)) for name in INDEX_COLUMNS}
        self._statistics = {name: np.empty(rows) for name in STATISTIC_COLUMNS}

    def add(self, table: pa.Table) -> None:
        """Append the rows of a table; the rows must fit into the allocated columns."""
        rows = slice(self._rows, self._rows + len(table))
        self._rows = rows.stop
        self._step[rows], self._layer[rows] = table["step"], table["layer"]
        quantity = table["quantity"].combine_chunks()
        names = quantity.dictionary.to_pylist()
        codes = [self._codes.setdefault(name, len(self._codes)) for name in names]
        self._quantity[rows] = np.array(codes, np.int16)[quantity.indices] if names else 0
        for name, (values, missing) in self._indices.items():
            values[rows] = pc.fill_null(table[name], 0)
            missing[rows] = table[name].is_null()
        for name, statistic in self._statistics.items():
            statistic[rows] = table[name]

    def frame(self) -> pd.DataFrame:
        """Return a data frame with index columns of dtype Int64 and statistics of dtype float64."""
        n = self._rows
        columns: dict[str, Any] = {"step": self._step[:n]}
        columns["quantity"] = pd.Categorical.from_codes(self._quantity[:n], pd.Index(list(self._codes)))
        columns["layer"] = self._layer[:n]
        for name, (values, missing) in self._indices.items():
            columns[name] = pd.arrays.IntegerArray(values[:n], missing[:n])
        columns |= {name: statistic[:n] for name, statistic in self._statistics.items()}
        return pd.DataFrame(columns, copy=False)
