"""A numeric series: predict the next value of one or more columns of a CSV or Parquet file.

    x[t] = v[t]    y[t] = v[t+1]    v standardised: (value - mean) / std of the training part

The first part trains, its last part (`held_out`) validates. A training batch is windows of T values from
random places; the validation reads the held-out part in windows end to end. Every window starts from the
initial state. There is no threshold; who knows nothing tells the last value again (persistence), in the
standardised mean squared error `val/mse`.
"""

import hashlib
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from errno import ENOENT
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Len, Lt, MinLen

from rnnlab.arrays import Array, Params
from rnnlab.losses import Loss
from rnnlab.model import Batch, Model, Tape
from rnnlab.paths import of_user
from rnnlab.tasks.base import Goal, NamedTask, ValidationSize
from rnnlab.tasks.scores import MSE, squared_errors

if TYPE_CHECKING:
    import pandas as pd

VALIDATION_WINDOWS = 256
"""Most windows of one validation batch."""
NAMELESS = "Unnamed: "
"""How pandas calls columns without a name, such as an index that was written along."""
_HINT = "; task.separator and task.decimal say how it is written"


@dataclass(frozen=True)
class Series(NamedTask):
    """Columns of a file as a task; `path` None is the monthly sunspot numbers shipped with the package."""

    seq_len: Annotated[int, Ge(1)]
    batch_size: Annotated[int, Ge(1)]
    path: Annotated[str, MinLen(1)] | None
    columns: Annotated[list[str], MinLen(1)] | None
    held_out: Annotated[float, Gt(0), Lt(1)]
    separator: Annotated[str, Len(1, 1)]
    decimal: Literal[".", ","]

    def __post_init__(self) -> None:
        for name, part in (("training", self._values[: self._cut]), ("held-out", self._values[self._cut :])):
            if len(part) <= self.seq_len:
                raise ValueError(
                    f"held_out={self.held_out}: leaves {len(part)} values for the {name} part, and "
                    f"seq_len={self.seq_len} needs {self.seq_len + 1}"
                )
        training = self._values[: self._cut]
        for name, column in zip(self.input_names, training.T, strict=True):
            if column.min() == column.max():
                raise ValueError(f"columns={name}: its training part is constant")
            with np.errstate(over="ignore"):
                if not np.isfinite(column.std()):
                    raise ValueError(f"columns={name}: its values are too large to be standardised")

    @property
    def time(self) -> int:
        """T."""
        return self.seq_len

    @property
    def input_names(self) -> list[str]:
        """The columns."""
        return self._table[0]

    @property
    def output_names(self) -> list[str]:
        """The columns."""
        return self._table[0]

    @property
    def lag(self) -> None:
        """A series needs no particular lag."""
        return None

    @property
    def mean_square(self) -> float:
        """The number of columns: the variance of each is 1."""
        return float(self.output_size)

    def goal(self, loss: Loss) -> Goal:
        """The squared error, against telling the last value again."""
        return Goal(MSE, self._persistence)

    @cached_property
    def dataset(self) -> dict[str, str]:
        """Name, digest (SHA-256 of the values, first 16 hex digits) and source."""
        digest = hashlib.sha256(self._values.tobytes()).hexdigest()[:16]
        if self.path is None:
            return {"name": "sunspots", "digest": digest, "source": "National Geophysical Data Center"}
        return {"name": Path(self.path).name, "digest": digest, "source": self.path}

    def batch(self, rng: np.random.Generator, step: int) -> Batch:
        """Windows from random places in the training part."""
        return _windows(self._parts[0], rng, self.batch_size, self.seq_len)

    def probe_batch(self, rng: np.random.Generator, examples: int, length: int) -> Batch:
        """Windows of `length` values from random places in the held-out part."""
        held_out = self._parts[1]
        if length >= len(held_out):
            raise ValueError(f"the held-out part has only {len(held_out)} values; raise task.held_out")
        return _windows(held_out, rng, examples, length)

    def validation(self) -> Iterator[Batch]:
        """The held-out part in windows end to end; what is left over at its end is not used."""
        held_out = self._parts[1]
        starts = np.arange(0, len(held_out) - self.seq_len, self.seq_len)
        for some in np.array_split(starts, -(-len(starts) // VALIDATION_WINDOWS)):
            yield _as_batch(held_out, some, self.seq_len)

    @property
    def validation_size(self) -> ValidationSize:
        """Some windows of the held-out part."""
        windows = (len(self._parts[1]) - 1) // self.seq_len
        return ValidationSize(0, min(windows, VALIDATION_WINDOWS), self.seq_len)

    def scores(self, loss: Loss, batch: Batch, tape: Tape) -> Mapping[str, Array]:
        """`val/mse`, standardised."""
        return {MSE: squared_errors(batch, tape)}

    def samples(self, model: Model, params: Params, rng: np.random.Generator) -> dict[str, str]:
        """Nothing to show."""
        return {}

    @property
    def _values(self) -> Array:
        return self._table[1]

    @cached_property
    def _persistence(self) -> float:
        """The mean squared error of telling the last value again."""
        errors = [(batch.x - batch.y).reshape(-1) for batch in self.validation()]
        return float(np.mean(np.square(np.concatenate(errors))))

    @property
    def _cut(self) -> int:
        """How many values train."""
        return len(self._values) - round(len(self._values) * self.held_out)

    @cached_property
    def _parts(self) -> tuple[Array, Array]:
        """The training and held-out parts, standardised, (values, columns)."""
        training = self._values[: self._cut]
        standardised = (self._values - training.mean(axis=0)) / training.std(axis=0)
        return standardised[: self._cut], standardised[self._cut :]

    @cached_property
    def _table(self) -> tuple[list[str], Array]:
        """The columns' names and values, (values, columns)."""
        frame = _read(self.path, self.separator, self.decimal)
        if frame.empty:
            raise ValueError(f"path={self.path}: has no values")
        frame.columns = frame.columns.map(str)
        numeric = [str(name) for name in frame if frame[name].dtype.kind in "iuf"]
        names = self.columns or [name for name in numeric if not name.startswith(NAMELESS)]
        if not names:
            raise ValueError(f"path={self.path}: has no numeric column; there are {_quoted(frame)}")
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"columns={name}: stands there more than once")
            if name not in frame:
                raise ValueError(f"columns={name}: there is no such column; there are {_quoted(frame)}")
            if frame[name].dtype.kind not in "iuf":
                raise ValueError(f"columns={name}: is not numeric, but {frame[name].dtype}")
        values = frame[names].to_numpy(dtype=np.float64)
        for name, column in zip(names, values.T, strict=True):
            if missing := int((~np.isfinite(column)).sum()):
                raise ValueError(f"columns={name}: {missing} of {len(column)} values are missing or infinite")
        return names, values


def _windows(values: Array, rng: np.random.Generator, examples: int, length: int) -> Batch:
    return _as_batch(values, rng.integers(0, len(values) - length, examples), length)


def _as_batch(values: Array, starts: Array, length: int) -> Batch:
    """Windows (T, X, B) with the next values as targets."""
    windows = values[starts + np.arange(length + 1)[:, None]].transpose(0, 2, 1)
    return Batch(np.ascontiguousarray(windows[:-1]), np.ascontiguousarray(windows[1:]))


def _quoted(frame: "pd.DataFrame") -> str:
    return ", ".join(f"'{name}'" for name in frame)


def _read(path: str | None, separator: str, decimal: str) -> "pd.DataFrame":
    import pandas as pd  # late: it takes as long as all else to import

    if path is None:
        with (files("rnnlab.tasks") / "data" / "sunspots.csv").open("rb") as file:
            return pd.read_csv(file)
    try:
        if of_user(path).suffix in (".parquet", ".pq"):
            return pd.read_parquet(path)
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header
            # Without index_col=False such rows lose their first fields to an index.
            frame = pd.read_csv(path, sep=separator, decimal=decimal, index_col=False)
    except pd.errors.ParserWarning:
        raise ValueError(f"path={path}: its rows have more fields than its header{_HINT}") from None
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)  # of pyarrow's own, without its text
        reason = error.strerror or (os.strerror(ENOENT) if missing else "not a Parquet file")
        raise ValueError(f"path={path}: cannot be read ({reason})") from None
    except (ValueError, UnicodeDecodeError) as error:  # also what pandas and pyarrow raise for a broken file
        told = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"path={path}: cannot be read ({told}){_HINT}") from None
    if all(_is_number(str(name)) for name in frame):
        raise ValueError(f"path={path}: has no header; its first row must name the columns")
    if len(frame.columns) == 1 and any(mark in str(frame.columns[0]) for mark in ";\t|"):
        raise ValueError(f"path={path}: its one column is {str(frame.columns[0])!r}{_HINT}")
    return frame


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True
