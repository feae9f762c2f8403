"""Gradient log of a run in progress: an Arrow stream with one batch of rows per recording.

Unlike a Parquet file, an Arrow stream remains readable if the writing process dies. Rows are therefore
appended to an Arrow stream, which is converted to `gradients.parquet` when the run ends. The stream has no
end marker, because readers do not need an end marker and a resumed run must be able to append to the stream.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rnnlab.records import GRADIENT_COLUMNS, GRADIENTS_FILE, Curve
from rnnlab.runs.checkpoint import GRADIENT_LOG, Prefix
from rnnlab.runs.files import DamagedFile, LineFile, replace_file
from rnnlab.user_files import error_reason

_STATISTICS = GRADIENT_COLUMNS[7:]
_TYPES = [pa.int64(), pa.string(), *[pa.int64()] * 5] + [pa.float64()] * len(_STATISTICS)
_SCHEMA = pa.schema(list(zip(GRADIENT_COLUMNS, _TYPES, strict=True)))
_QUANTITY = GRADIENT_COLUMNS.index("quantity")
GRADIENT_SCHEMA = _SCHEMA.set(_QUANTITY, pa.field("quantity", pa.dictionary(pa.int32(), pa.string())))
"""Schema of `gradients.parquet`; quantity names are dictionary-encoded because each name occurs often."""
_REPEATED = [*GRADIENT_COLUMNS[:7], "zero_fraction"]  # a dictionary enlarges columns without repetition


class GradientLog:
    """Writer that appends recordings to a run's gradient log."""

    def __init__(self, folder: Path, written: Prefix | None = None) -> None:
        """Open the gradient log of a run.

        Args:
            folder: Run folder.
            written: Length and checksum of the part of the log to keep, updated at each write. Any later data
                in the log are removed.
        """
        self._written = Prefix() if written is None else written
        self._file = LineFile(folder / GRADIENT_LOG, self._written.size)
        if self._written.size == 0:
            self._write(_SCHEMA.serialize())

    def append(self, step: int, curves: Sequence[Curve]) -> None:
        """Append the curves of one recording to the log.

        Raises:
            OSError: If the curves cannot be written.
        """
        if curves:
            self._write(_as_batch(step, curves).serialize())

    def _write(self, message: pa.Buffer) -> None:
        data = message.to_pybytes()
        self._file.write(data)
        self._written.add(data)

    def sync(self) -> None:
        """Flush all written data to disk."""
        self._file.sync()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def write_gradients(folder: Path) -> None:
    """Convert the gradient log to `gradients.parquet`.

    Raises:
        OSError: If `gradients.parquet` cannot be written.
    """
    table = _as_table(_batches(folder))
    replace_file(folder / GRADIENTS_FILE, lambda file: _write(table, file))


def _write(table: pa.Table, file: BinaryIO) -> None:
    pq.write_table(table, file, use_dictionary=_REPEATED, write_page_checksum=True)


def read_gradients(file: Path) -> pa.Table:
    """Return the table in `gradients.parquet`.

    Raises:
        DamagedFile: If the file is not a valid gradient table.
        OSError: If the file does not exist.
    """
    try:
        with file.open("rb") as opened:
            table = pq.ParquetFile(opened, page_checksum_verification=True).read(use_threads=False)
        table = _with_layers(table).select(GRADIENT_SCHEMA.names).cast(GRADIENT_SCHEMA)
        table.validate(full=True)
        for name in ("step", "layer", "unit", "timestep", "lag", "target"):
            if (pc.min(table[name]).as_py() or 0) < 0:
                raise ValueError(f"{name} is negative")
        return table
    except FileNotFoundError:
        raise
    except Exception as error:  # parsing a damaged file may raise anything
        raise DamagedFile(f"{file.name}: {error_reason(error)}") from None


def _with_layers(table: pa.Table) -> pa.Table:
    """Return a table with the columns `layer` and `unit`, which tables of earlier versions lack."""
    rows = table.num_rows
    if "layer" not in table.column_names:
        table = table.append_column("layer", pa.repeat(pa.scalar(1, pa.int64()), rows))
    if "unit" not in table.column_names:
        table = table.append_column("unit", pa.nulls(rows, pa.int64()))
    return table


def logged_gradients(folder: Path) -> pa.Table | None:
    """Return all recordings in the log as a table with GRADIENT_SCHEMA, or None if no log exists."""
    return _as_table(_batches(folder)) if (folder / GRADIENT_LOG).is_file() else None


def table_of_curves(step: int, curves: Sequence[Curve]) -> pa.Table:
    """Return the curves of one recording as a table with GRADIENT_SCHEMA."""
    return _as_table([_as_batch(step, curves)])


def _as_table(batches: Iterable[pa.RecordBatch]) -> pa.Table:
    table = pa.Table.from_batches(batches, _SCHEMA)
    quantities = pc.dictionary_encode(table["quantity"]).combine_chunks()
    return table.set_column(_QUANTITY, GRADIENT_SCHEMA.field(_QUANTITY), quantities)


def recorded_steps(folder: Path, size: int | None = None) -> list[int]:
    """Return the training steps recorded in the log; if `size` is given, read only the first `size` bytes."""
    return [batch["step"][0].as_py() for batch in _batches(folder, size)]


def _batches(folder: Path, size: int | None = None) -> Iterator[pa.RecordBatch]:
    """Yield the complete recordings in the log; if `size` is given, read only the first `size` bytes."""
    path = folder / GRADIENT_LOG
    if not path.is_file():
        return
    last = -1
    with suppress(Exception), pa.ipc.open_stream(path.read_bytes()[:size]) as reader:
        for batch in reader if reader.schema == _SCHEMA else ():  # raises at the end of a truncated file
            batch.validate(full=True)  # a damaged batch may refer to memory outside its buffers
            steps = pc.min_max(batch["step"]).as_py()
            if not (batch.num_rows and steps["min"] == steps["max"] > last):
                return
            last = steps["max"]
            yield batch


def _as_batch(step: int, curves: Sequence[Curve]) -> pa.RecordBatch:
    sizes = [len(curve.index) for curve in curves]
    absent = [pa.nulls(size, pa.int64()) for size in sizes]

    def along(axis: str) -> pa.Array:
        parts = [
            pa.array(c.index, pa.int64()) if c.axis == axis else a
            for c, a in zip(curves, absent, strict=True)
        ]
        return pa.concat_arrays(parts)

    def repeated(values: Sequence[object], kind: pa.DataType) -> pa.Array:
        return pa.concat_arrays(
            [pa.repeat(pa.scalar(v, kind), size) for v, size in zip(values, sizes, strict=True)]
        )

    def statistic(name: str) -> pa.Array:
        values = np.concatenate([np.asarray(getattr(curve, name), np.float64) for curve in curves])
        return pa.array(values, mask=~np.isfinite(values))

    columns = [
        pa.repeat(pa.scalar(step, pa.int64()), sum(sizes)),
        repeated([curve.quantity for curve in curves], pa.string()),
        repeated([curve.layer for curve in curves], pa.int64()),
        repeated([curve.unit for curve in curves], pa.int64()),
        along("timestep"),
        along("lag"),
        repeated([curve.target for curve in curves], pa.int64()),
        *map(statistic, _STATISTICS),
    ]
    return pa.record_batch(columns, _SCHEMA)
