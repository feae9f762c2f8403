"""The tables of one run's folder, as Arrow and as pandas."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
import pyarrow.parquet as pq

from rnnlab.records import GRADIENT_COLUMNS, GRADIENTS_FILE, METRICS_FILE
from rnnlab.runs.files import DamagedFile
from rnnlab.runs.gradient_table import GRADIENT_SCHEMA, logged_gradients
from rnnlab.runs.gradient_table import read_gradients as tracked_gradients

INDEX_COLUMNS, STATISTIC_COLUMNS = GRADIENT_COLUMNS[2:5], GRADIENT_COLUMNS[5:]


class DamagedTable(ValueError):
    """A table of a run cannot be read, or not to its end.

    Attributes:
        rows: What could be read of it.
    """

    def __init__(self, problem: str, rows: pa.Table) -> None:
        super().__init__(problem)
        self.rows = rows


def metrics_table(file: Path) -> pa.Table:
    """`metrics.jsonl`: a row a training step, a column a metric, null where a step has no finite value.

    Raises:
        DamagedTable: It is empty, ends within a line, as that of a process that was killed may, or has a line
            that is no row; with the rows before it.
        OSError: It cannot be read.
    """
    written = file.read_bytes()
    whole = written[: written.rfind(b"\n") + 1]
    try:
        rows = _parse(whole)
    except (pa.ArrowException, ValueError):  # a name that is no UTF-8 is found when it is asked for
        lines = whole.splitlines(keepends=True)
        good = next((n for n, line in enumerate(lines) if not _is_row(line)), 0)
        problem = f"{file.name}: line {good + 1} is no row"
        raise DamagedTable(problem, _parse(b"".join(lines[:good]))) from None
    if whole != written or not whole:
        raise DamagedTable(f"{file.name}: {'ends within a line' if written else 'is empty'}", rows)
    return rows


def _parse(lines: bytes) -> pa.Table:
    if not lines:
        return pa.table({"step": pa.array([], pa.int64())})
    # In one block: a metric may first come late, and its type with it.
    options = pj.ReadOptions(use_threads=False, block_size=len(lines))
    table = pj.read_json(pa.BufferReader(lines), read_options=options)
    steps = table["step"] if "step" in table.column_names else None
    if steps is None or steps.null_count or not all(map(_is_number, table.schema.types)):
        raise pa.ArrowInvalid("no row of numbers with a step")
    types = [pa.field(name, pa.int64() if name == "step" else pa.float64()) for name in table.column_names]
    return table.cast(pa.schema(types))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind))


def _is_row(line: bytes) -> bool:
    try:
        row = json.loads(line)
        return isinstance(row, dict) and isinstance(row["step"], int) and _parse(line) is not None
    except (ValueError, KeyError, RecursionError, pa.ArrowException):
        return False


def gradients_table(file: Path) -> pa.Table:
    """`gradients.parquet`, or of a run that has not ended what its log beside it holds.

    Raises:
        DamagedTable: It is there, and is no such table.
        OSError: Neither can be read.
    """
    if not file.is_file() and (logged := logged_gradients(file.parent)) is not None:
        return logged
    try:
        return tracked_gradients(file)
    except DamagedFile as error:
        raise DamagedTable(str(error), GRADIENT_SCHEMA.empty_table()) from None


def read_metrics(folder: Path) -> pd.DataFrame:
    """One row a training step, one column a metric, NaN where a step has no value.

    Of a damaged file the rows before the damage: a process may have been killed while it wrote.

    Raises:
        OSError: It cannot be read.
    """
    try:
        table = metrics_table(folder / METRICS_FILE)
    except DamagedTable as damaged:
        table = damaged.rows
    frame: pd.DataFrame = table.to_pandas()
    return frame


def read_gradients(folder: Path) -> pd.DataFrame:
    """Gradient norms in long form: one row a step × quantity × time step, or × lag.

    Columns are `records.GRADIENT_COLUMNS`; `timestep`, `lag` and `target` are nullable integers.

    Raises:
        DamagedTable: It is no such table.
        OSError: It cannot be read.
    """
    table = gradients_table(folder / GRADIENTS_FILE)
    columns = GradientColumns(len(table))
    columns.add(table)
    return columns.frame()


def gradients_rows(file: Path) -> int:
    """How many rows `gradients_table` will have, or at least had a moment ago; 0 if it cannot be read."""
    try:
        return int(pq.read_metadata(file).num_rows) if file.is_file() else len(gradients_table(file))
    except Exception:  # whatever parsing a damaged file can raise
        return 0


class GradientColumns:
    """The columns of a frame of gradients, allocated once and filled table by table.

    Arrow's tables of many runs beside a frame of them would need twice the memory, and twice the time.
    """

    def __init__(self, rows: int) -> None:
        """Make room for so many rows."""
        self._rows = 0
        self._step = np.empty(rows, np.int64)
        self._quantity = np.empty(rows, np.int16)
        self._codes: dict[str, int] = {}
        self._indices = {name: (np.empty(rows, np.int64), np.empty(rows, bool)) for name in INDEX_COLUMNS}
        self._statistics = {name: np.empty(rows) for name in STATISTIC_COLUMNS}

    def add(self, table: pa.Table) -> None:
        """Append a table's rows, which there must be room for."""
        rows = slice(self._rows, self._rows + len(table))
        self._rows = rows.stop
        self._step[rows] = table["step"]
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
        """What was added: `step` int64, `quantity` a category, and what may be missing Int64 or NaN."""
        n = self._rows
        columns: dict[str, Any] = {"step": self._step[:n]}
        columns["quantity"] = pd.Categorical.from_codes(self._quantity[:n], pd.Index(list(self._codes)))
        for name, (values, missing) in self._indices.items():
            columns[name] = pd.arrays.IntegerArray(values[:n], missing[:n])
        columns |= {name: statistic[:n] for name, statistic in self._statistics.items()}
        return pd.DataFrame(columns, copy=False)
