"""Base class of tasks with randomly drawn sequences.

Training draws new sequences at every step. The validation set is drawn once, with a separate seed. If the
number of different sequences is finite, a training sequence that is also in the validation set is redrawn. If
the validation set contains *all* possible sequences, they are also used for training.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from rnnlab.arrays import Array, Params
from rnnlab.engine.weights import is_symbols
from rnnlab.model import Batch, Model
from rnnlab.tasks.base import NamedTask, ValidationSize

VALIDATION_SEED = 1997
VALIDATION_STEPS = 50_000
"""Target size of a validation batch, in time steps × examples."""
VALIDATION_LENGTHS = 10
"""Minimum number of validation batches if lengths vary; all sequences in a batch have equal length."""

Length = Annotated[int, Ge(1), Le(1_000_000_000)]
"""Valid values of the sequence length T."""

MAX_COUNTED = 100
"""Number of random symbols above which the number of different sequences is not computed exactly.

With `MAX_COUNTED` random symbols, the number of different sequences already exceeds the size of any
validation set.
"""


@dataclass(frozen=True)
class Extent:
    """Sequence length and number of different sequences for one value of the length parameter T.

    Attributes:
        time: Number of time steps per sequence.
        longest: Maximum sequence length that a published version of the task prescribes. If `length_range` is
            None, the sequence length of each batch is drawn from the range T … `longest`.
        different: Number of different sequences, or a lower bound if the number is very large; None if the
            inputs are real numbers.
    """

    time: int
    longest: int
    different: int | None


@dataclass(frozen=True)
class Synthetic(NamedTask):
    """A task with randomly drawn sequences.

    Attributes:
        seq_len: Sequence length T, as defined by the task.
        batch_size: Number of sequences per training batch.
        length_range: Minimum and maximum sequence length, or None to use `seq_len`. The sequence length of
            each training batch is drawn from this range; the lengths of the validation sequences are evenly
            spaced over the range.
        validation_examples: Number of sequences in the validation set.
    """

    seq_len: Length
    batch_size: Annotated[int, Ge(1)]
    length_range: tuple[Length, Length] | None
    validation_examples: Annotated[int, Ge(1)]

    def __post_init__(self) -> None:
        self.check(self.seq_len)
        low, high = self._range
        if low > high:
            raise ValueError(f"length_range={list(self._range)}: must be [shortest, longest]")
        try:
            self.check(low)
        except ValueError as error:
            raise ValueError(f"length_range={list(self._range)}: {error}") from None
        different = self.extent(low).different
        if self.validation_examples == different and low < high:
            raise ValueError(
                f"length_range={list(self._range)}: must be null or a single length, because "
                f"validation_examples={different} covers all sequences of a single length"
            )
        if different and self.validation_examples > different // 2 and not self._validates_on_all:
            raise ValueError(
                f"validation_examples={self.validation_examples}: must be at most {different // 2} (half of "
                f"the {different} different sequences), or {different} to train and validate on all of them"
            )

    @abstractmethod
    def check(self, T: int) -> None:
        """Raise ValueError if the task has no sequences of length T."""

    @abstractmethod
    def extent(self, T: int) -> Extent:
        """Return the sequence length and the number of different sequences for the length parameter T."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, examples: int, T: int) -> Batch:
        """Draw new sequences of length T."""

    @property
    def time(self) -> int:
        """Number of time steps per sequence if T is `seq_len`."""
        return self.extent(self.seq_len).time

    @property
    def longest(self) -> int:
        """Number of time steps in the longest sequence that can be drawn for training."""
        return self.extent(self.extent(self.lengths[-1]).longest).time

    @property
    def dataset(self) -> dict[str, str]:
        """Description of the data: sequences drawn at random with a seed."""
        return {"name": type(self).__name__, "digest": "drawn", "source": "drawn from a seed"}

    def batch(self, rng: np.random.Generator, step: int) -> Batch:
        """Return new training sequences; sequences that occur in the validation set are redrawn."""
        T = self._length(rng)
        batch = self.draw(rng, self.batch_size, T)
        while self._held_out and (repeated := self._in_validation(batch)).any():
            redrawn = self.draw(rng, int(repeated.sum()), T)
            batch.x[..., repeated], batch.y[..., repeated] = redrawn.x, redrawn.y
        return batch

    def probe_batch(self, rng: np.random.Generator, examples: int, length: int) -> Batch:
        """Return newly drawn sequences of `length` time steps."""
        T = length - (self.time - self.seq_len)
        if T < 1:
            raise ValueError(
                f"must be at least {self.time - self.seq_len + 1}, the length of the shortest sequence"
            )
        self.check(T)
        return self.draw(rng, examples, T)

    def validation(self) -> Iterator[Batch]:
        """Yield the batches of the validation set."""
        yield from self._validation

    @property
    def validation_size(self) -> ValidationSize:
        """Size of the validation set and of its largest batch."""
        batch = self.validation_examples if self._validates_on_all else self._validation_batch
        return ValidationSize(self.validation_examples, min(batch, self.validation_examples), self.longest)

    def samples(self, model: Model, params: Params, rng: np.random.Generator) -> dict[str, str]:
        """Return an empty dictionary: this task generates no text."""
        return {}

    @property
    def lengths(self) -> range:
        """Range from which the sequence length T of each batch is drawn."""
        low, high = self._range
        return range(low, high + 1)

    @property
    def _range(self) -> tuple[int, int]:
        return self.length_range or (self.seq_len, self.seq_len)

    @property
    def _validates_on_all(self) -> bool:
        return len(self.lengths) == 1 and self.validation_examples == self.extent(self.lengths[0]).different

    def _length(self, rng: np.random.Generator) -> int:
        if len(self.lengths) > 1:
            return int(rng.choice(self.lengths))
        T = self.lengths[0]
        longest = self.extent(T).longest
        return int(rng.integers(T, longest + 1)) if longest > T else T

    @cached_property
    def _validation(self) -> list[Batch]:
        rng = np.random.default_rng(VALIDATION_SEED)
        if self._validates_on_all:
            return [self._all(rng)]
        batches = -(-self.validation_examples // self._validation_batch)
        if len(self.lengths) > 1:
            batches = max(batches, min(VALIDATION_LENGTHS, self.validation_examples))
        sizes = np.diff(self.validation_examples * np.arange(batches + 1) // batches).tolist()
        spread = np.linspace(self.lengths[0], self.lengths[-1], batches).round().astype(int).tolist()
        lengths = spread if len(self.lengths) > 1 else [self._length(rng) for _ in sizes]
        return [_compact(self.draw(rng, size, T)) for size, T in zip(sizes, lengths, strict=True)]

    @property
    def _validation_batch(self) -> int:
        """Maximum number of sequences per validation batch."""
        return max(VALIDATION_STEPS // self.extent(self.lengths[-1]).longest, 1)

    def _all(self, rng: np.random.Generator) -> Batch:
        """Return a batch that contains every possible sequence exactly once."""
        sequences: dict[bytes, tuple[Array, Array]] = {}
        while len(sequences) < self.validation_examples:
            batch = self.draw(rng, self.validation_examples, self.lengths[0])
            for key, x, y in zip(_keys(batch), batch.x.T, batch.y.T, strict=True):
                sequences[key] = (x, y)
        xs, ys = zip(*(sequences[key] for key in sorted(sequences)), strict=True)
        return replace(batch, x=np.stack(xs, axis=-1), y=np.stack(ys, axis=-1))

    @cached_property
    def _held_out(self) -> frozenset[bytes]:
        """Keys of the validation sequences, which must not be used for training."""
        if self.extent(self.seq_len).different is None or self._validates_on_all:
            return frozenset()
        return frozenset(key for batch in self._validation for key in _keys(batch))

    def _in_validation(self, batch: Batch) -> Array:
        return np.array([key in self._held_out for key in _keys(batch)])


def _compact(batch: Batch) -> Batch:
    """Store each symbol and class of a batch in one byte to save memory."""
    if not is_symbols(batch.x):
        return batch
    return replace(batch, x=batch.x.astype(np.uint8), y=batch.y.astype(np.uint8))


def _keys(batch: Batch) -> list[bytes]:
    """Return a hashable key for each sequence; the batch may contain at most 256 different symbols."""
    assert is_symbols(batch.x)
    return [column.tobytes() for column in np.ascontiguousarray(batch.x.T, dtype=np.uint8)]
