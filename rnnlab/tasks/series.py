"""A numeric series: predict the next value of one or more columns of a CSV or Parquet file.

    x[t] = v[t]    y[t] = v[t+1]    v = (value - mean) / std, with mean and std of the training part

The final fraction `held_out` of the series is used for validation; the rest is used for training. A training
batch consists of windows of T values that start at random positions. Validation uses consecutive windows of
the held-out part. The network is reset to its initial state before every window. The metric is `val/mse`, the
mean squared error of the standardised values. The baseline predicts that the next value equals the current
value (persistence). The task has no success criterion.
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
"""Maximum number of windows per validation batch."""
MIN_SPREAD = 1000 * np.finfo(np.float64).eps
"""Minimum ratio of a column's standard deviation to its largest absolute value.

At the minimum ratio, float64 still resolves three digits of the deviations from the mean.
"""
MAX_DISTANCE = 1e15
"""Maximum distance of a value from the mean, in standard deviations; prevents overflow of squares."""


@dataclass(frozen=True)
class Series(NamedTask):
    """Prediction of the next values of a series; `path=None` selects monthly sunspot numbers."""

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
                    f"held_out={self.held_out}: the {name} part has {len(part)} values; "
                    f"seq_len={self.seq_len} needs at least {self.seq_len + 1}"
                )
        scale = np.abs(self._scaled[: self._cut]).max(axis=0)
        furthest = np.abs(np.concatenate(self._parts)).max(axis=0, initial=0)
        for n, name in enumerate(self.input_names):
            column = self._values[: self._cut, n]
            if column.min() == column.max():
                raise ValueError(f"columns={name}: the training part is constant; choose other columns")
            if not self._moments[1][n] >= MIN_SPREAD * scale[n]:
                raise ValueError(
                    f"columns={name}: the training part varies by less than 1e-12 of its values, "
                    "too little for float64; subtract a constant from the column"
                )
            if not furthest[n] <= MAX_DISTANCE:
                raise ValueError(
                    f"columns={name}: a held-out value is {furthest[n]:.3g} standard deviations from the "
                    f"training mean; must be at most {MAX_DISTANCE:g}"
                )

    @property
    def time(self) -> int:
        """Number of time steps per window, T."""
        return self.seq_len

    @property
    def input_names(self) -> list[str]:
        """Names of the columns, each of which is both an input and a target."""
        return self._table.names

    @property
    def output_names(self) -> list[str]:
        """Names of the columns, each of which is both an input and a target."""
        return self._table.names

    @property
    def lag(self) -> None:
        """Lag of the task: None, because a series has no single lag."""
        return None

    @property
    def mean_square(self) -> float:
        """Mean of Σ y² over the time steps: the number of columns, because each column has variance 1."""
        return float(self.output_size)

    def goal(self, loss: Loss) -> Goal:
        """Return the mean squared error as the metric and the error of persistence as the baseline."""
        return Goal(MSE, self._persistence)

    @cached_property
    def dataset(self) -> dict[str, str]:
        """Name, digest (first 16 hex digits of the SHA-256 hash of the values) and source of the series."""
        digest = hashlib.sha256(self._values.tobytes()).hexdigest()[:16]
        if self.path is None:
            return {"name": "sunspots", "digest": digest, "source": "National Geophysical Data Center"}
        return {"name": Path(self.path).name, "digest": digest, "source": self.path}

    @property
    def remarks(self) -> tuple[str, ...]:
        """Message that lists the columns excluded from the data, with the reason for each exclusion."""
        left_out = self._table.left_out
        if self.path is None or not left_out:
            return ()
        more = f" and {len(left_out) - MAX_NAMED} more" if len(left_out) > MAX_NAMED else ""
        return (f"task.path={self.path}: columns left out: {', '.join(left_out[:MAX_NAMED])}{more}",)

    def batch(self, rng: np.random.Generator, step: int) -> Batch:
        """Return a batch of windows that start at random positions in the training part."""
        return _windows(self._parts[0], rng, self.batch_size, self.seq_len)

    def probe_batch(self, rng: np.random.Generator, examples: int, length: int) -> Batch:
        """Return windows of `length` values that start at random positions in the held-out part."""
        held_out = self._parts[1]
        if length >= len(held_out):
            raise ValueError(f"the held-out part has only {len(held_out)} values; raise task.held_out")
        return _windows(held_out, rng, examples, length)

    def validation(self) -> Iterator[Batch]:
        """Yield batches of consecutive windows of the held-out part; omit an incomplete last window."""
        held_out = self._parts[1]
        starts = np.arange(0, len(held_out) - self.seq_len, self.seq_len)
        for group in np.array_split(starts, -(-len(starts) // VALIDATION_WINDOWS)):
            yield _as_batch(held_out, group, self.seq_len)

    @property
    def validation_size(self) -> ValidationSize:
        """Size of the largest validation batch."""
        windows = (len(self._parts[1]) - 1) // self.seq_len
        return ValidationSize(0, min(windows, VALIDATION_WINDOWS), self.seq_len)

    def scores(self, loss: Loss, batch: Batch, tape: Tape) -> Mapping[str, Array]:
        """Return the squared errors of the standardised values; the mean squared error is `val/mse`."""
        return {MSE: squared_errors(batch, tape)}

    def samples(self, model: Model, params: Params, rng: np.random.Generator) -> dict[str, str]:
        """Return an empty dictionary: this task generates no text."""
        return {}

    @property
    def _values(self) -> Array:
        return self._table.values

    @cached_property
    def _persistence(self) -> float:
        """Mean squared error of the prediction that the next value equals the current value."""
        errors = [(batch.x - batch.y).reshape(-1) for batch in self.validation()]
        return float(np.mean(np.square(np.concatenate(errors))))

    @property
    def _cut(self) -> int:
        """Number of time points in the training part."""
        return len(self._values) - round(len(self._values) * self.held_out)

    @cached_property
    def _scaled(self) -> Array:
        """Values of the series, scaled so that the training part of each column is of order 1.

        Each column is divided by a power of 2; this division is exact. Without this scaling, the squares of
        values such as 1e-200 or 1e300 would underflow or overflow.
        """
        _, exponents = np.frexp(np.abs(self._values[: self._cut]).max(axis=0))
        with np.errstate(over="ignore", under="ignore"):
            scaled: Array = np.ldexp(self._values, -exponents)
        return scaled

    @cached_property
    def _moments(self) -> tuple[Array, Array]:
        """Mean and standard deviation of each column of the scaled training part."""
        training = self._scaled[: self._cut]
        return training.mean(axis=0), training.std(axis=0)

    @cached_property
    def _parts(self) -> tuple[Array, Array]:
        """Standardised training part and standardised held-out part, each of shape (rows, columns)."""
        mean, std = self._moments
        with np.errstate(
            over="ignore", divide="ignore", invalid="ignore"
        ):  # __post_init__ rejects such columns
            standardised = (self._scaled - mean) / std
        return standardised[: self._cut], standardised[self._cut :]

    @cached_property
    def _table(self) -> Table:
        return read_table(self.path, self.columns, self.separator, self.decimal)


def _windows(values: Array, rng: np.random.Generator, examples: int, length: int) -> Batch:
    return _as_batch(values, rng.integers(0, len(values) - length, examples), length)


def _as_batch(values: Array, starts: Array, length: int) -> Batch:
    """Return a batch of windows, shape (T, X, B), with the next values as targets."""
    windows = values[starts + np.arange(length + 1)[:, None]].transpose(0, 2, 1)
    return Batch(np.ascontiguousarray(windows[:-1]), np.ascontiguousarray(windows[1:]))
