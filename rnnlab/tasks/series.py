"""A numeric series: predict the next value of one or more columns of a CSV or Parquet file.

    x[t] = v[t]    y[t] = v[t+1]    v standardised: (value - mean) / std of the training part

The first part trains, its last part (`held_out`) validates. A training batch is windows of T values from
random places; the validation reads the held-out part in windows end to end. Every window starts from the
initial state. There is no threshold; who knows nothing tells the last value again (persistence), in the
standardised mean squared error `val/mse`.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Len, Lt, MinLen

from rnnlab.arrays import Array, Params
from rnnlab.losses import Loss
from rnnlab.model import Batch, Model, Tape
from rnnlab.tasks.base import Goal, NamedTask, ValidationSize
from rnnlab.tasks.scores import MSE, squared_errors
from rnnlab.tasks.tables import MAX_NAMED, Table, read_table

VALIDATION_WINDOWS = 256
"""Most windows of one validation batch."""
MIN_SPREAD = 1000 * np.finfo(np.float64).eps
"""Smallest standard deviation, as a share of the largest value, of which float64 still has three digits."""
MAX_DISTANCE = 1e15
"""Most standard deviations from the mean: the squared errors of a batch must have room in float32."""


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
        scale = np.abs(self._scaled[: self._cut]).max(axis=0)
        furthest = np.abs(np.concatenate(self._parts)).max(axis=0, initial=0)
        for n, name in enumerate(self.input_names):
            column = self._values[: self._cut, n]
            if column.min() == column.max():
                raise ValueError(f"columns={name}: its training part is constant")
            if not self._moments[1][n] >= MIN_SPREAD * scale[n]:
                raise ValueError(
                    f"columns={name}: its training part varies by less than 1e-12 of its values, too little "
                    "for float64; subtract a constant from it"
                )
            if not furthest[n] <= MAX_DISTANCE:
                raise ValueError(
                    f"columns={name}: its held-out part has a value of {furthest[n]:.3g} standard deviations "
                    f"of the training part; at most {MAX_DISTANCE:g}"
                )

    @property
    def time(self) -> int:
        """T."""
        return self.seq_len

    @property
    def input_names(self) -> list[str]:
        """The columns."""
        return self._table.names

    @property
    def output_names(self) -> list[str]:
        """The columns."""
        return self._table.names

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

    @property
    def remarks(self) -> tuple[str, ...]:
        """Which columns were left out, and why."""
        left_out = self._table.left_out
        if self.path is None or not left_out:
            return ()
        more = f" and {len(left_out) - MAX_NAMED} more" if len(left_out) > MAX_NAMED else ""
        return (f"task.path={self.path}: left out {', '.join(left_out[:MAX_NAMED])}{more}",)

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
        return self._table.values

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
    def _scaled(self) -> Array:
        """The values, each column divided by the power of 2 that brings the training part to 1.

        That changes no digit, and squares of 1e-200 or 1e300 have room.
        """
        _, exponents = np.frexp(np.abs(self._values[: self._cut]).max(axis=0))
        with np.errstate(over="ignore", under="ignore"):
            scaled: Array = np.ldexp(self._values, -exponents)
        return scaled

    @cached_property
    def _moments(self) -> tuple[Array, Array]:
        """Means and standard deviations of the scaled training part."""
        training = self._scaled[: self._cut]
        return training.mean(axis=0), training.std(axis=0)

    @cached_property
    def _parts(self) -> tuple[Array, Array]:
        """The training and held-out parts, standardised, (values, columns)."""
        mean, std = self._moments
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # refused above
            standardised = (self._scaled - mean) / std
        return standardised[: self._cut], standardised[self._cut :]

    @cached_property
    def _table(self) -> Table:
        return read_table(self.path, self.columns, self.separator, self.decimal)


def _windows(values: Array, rng: np.random.Generator, examples: int, length: int) -> Batch:
    return _as_batch(values, rng.integers(0, len(values) - length, examples), length)


def _as_batch(values: Array, starts: Array, length: int) -> Batch:
    """Windows (T, X, B) with the next values as targets."""
    windows = values[starts + np.arange(length + 1)[:, None]].transpose(0, 2, 1)
    return Batch(np.ascontiguousarray(windows[:-1]), np.ascontiguousarray(windows[1:]))
