"""Tasks whose sequences are drawn as they are needed: what they have in common.

Training draws new sequences at every step. The validation set is drawn once from a seed of its own; where
sequences could come again, because there are only so many different ones, training draws those of the
validation set anew. The one exception is a validation set of *all* sequences there are.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from rnnlab.arrays import Array, Params
from rnnlab.cells.weights import is_symbols
from rnnlab.model import Batch, Model
from rnnlab.tasks.base import NamedTask, ValidationSize

VALIDATION_SEED = 1997
VALIDATION_STEPS = 50_000
"""Time steps times examples of one validation batch, as a rule."""
VALIDATION_LENGTHS = 10
"""Validation batches, at least, where each has a length of its own."""

Length = Annotated[int, Ge(1), Le(1_000_000_000)]


MAX_COUNTED = 100
"""The longest of a sequence's parts by which different ones are counted: more are more than can be."""


@dataclass(frozen=True)
class Extent:
    """What sequences of length T there are.

    Attributes:
        time: Time steps of one.
        longest: Of a batch, T is drawn from T … this, unless `length_range` is given; versions differ there.
        different: How many different ones there are, None where numbers are drawn from an interval; a number
            that no set could hold may stand for a larger one.
    """

    time: int
    longest: int
    different: int | None


@dataclass(frozen=True)
class Synthetic(NamedTask):
    """A task that draws its sequences.

    Attributes:
        seq_len: T.
        batch_size: Sequences of a training batch.
        length_range: Of each batch, T is drawn from these two and all between; None: T is `seq_len`. The
            validation set has lengths spread over it evenly.
        validation_examples: Sequences of the validation set.
    """

    seq_len: Length
    batch_size: Annotated[int, Ge(1)]
    length_range: tuple[Length, Length] | None
    validation_examples: Annotated[int, Ge(1)]

    def __post_init__(self) -> None:
        self.check(self.seq_len)
        low, high = self._range
        if low > high:
            raise ValueError(f"length_range={list(self._range)}: must be the shortest and the longest")
        try:
            self.check(low)
        except ValueError as error:
            raise ValueError(f"length_range={list(self._range)}: {error}") from None
        different = self.extent(low).different
        if self.validation_examples == different and low < high:
            raise ValueError(
                f"length_range={list(self._range)}: the {different} validation_examples are all sequences "
                "there are of one length, so there can be no other"
            )
        if different and self.validation_examples > different // 2 and not self._validates_on_all:
            raise ValueError(
                f"validation_examples={self.validation_examples}: there are {different} different sequences; "
                f"must be at most {different // 2}, or {different}: all, which then are trained on too"
            )

    @abstractmethod
    def check(self, T: int) -> None:
        """Raise a ValueError where no sequence can have this length."""

    @abstractmethod
    def extent(self, T: int) -> Extent:
        """What sequences of length T there are."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, examples: int, T: int) -> Batch:
        """New sequences of length T."""

    @property
    def time(self) -> int:
        """Time steps of a sequence of length `seq_len`."""
        return self.extent(self.seq_len).time

    @property
    def longest(self) -> int:
        """Of the longest that `length_range` allows, or the published version draws."""
        return self.extent(self.extent(self.lengths[-1]).longest).time

    @property
    def dataset(self) -> dict[str, str]:
        """Its sequences are drawn as they are needed."""
        return {"name": type(self).__name__, "digest": "drawn", "source": "drawn from a seed"}

    def batch(self, rng: np.random.Generator, step: int) -> Batch:
        """New sequences at every step, none of the validation set where symbols are drawn."""
        T = self._length(rng)
        batch = self.draw(rng, self.batch_size, T)
        while self._held_out and (seen := self._seen(batch)).any():
            fresh = self.draw(rng, int(seen.sum()), T)
            batch.x[..., seen], batch.y[..., seen] = fresh.x, fresh.y
        return batch

    def probe_batch(self, rng: np.random.Generator, examples: int, length: int) -> Batch:
        """New sequences of `length` time steps."""
        T = length - (self.time - self.seq_len)
        if T < 1:
            raise ValueError(f"a sequence has at least {self.time - self.seq_len + 1} time steps")
        self.check(T)
        return self.draw(rng, examples, T)

    def validation(self) -> Iterator[Batch]:
        """The validation set."""
        yield from self._validation

    @property
    def validation_size(self) -> ValidationSize:
        """All sequences, and one batch of them."""
        batch = self.validation_examples if self._validates_on_all else self._validation_batch
        return ValidationSize(self.validation_examples, min(batch, self.validation_examples), self.longest)

    def samples(self, model: Model, params: Params, rng: np.random.Generator) -> dict[str, str]:
        """Nothing to show."""
        return {}

    @property
    def lengths(self) -> range:
        """Every T that batches are drawn from."""
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
        pieces = -(-self.validation_examples // self._validation_batch)
        if len(self.lengths) > 1:
            pieces = max(pieces, min(VALIDATION_LENGTHS, self.validation_examples))
        sizes = np.diff(self.validation_examples * np.arange(pieces + 1) // pieces).tolist()
        spread = np.linspace(self.lengths[0], self.lengths[-1], pieces).round().astype(int).tolist()
        lengths = spread if len(self.lengths) > 1 else [self._length(rng) for _ in sizes]
        return [_small(self.draw(rng, size, T)) for size, T in zip(sizes, lengths, strict=True)]

    @property
    def _validation_batch(self) -> int:
        """Sequences of one validation batch, at most."""
        return max(VALIDATION_STEPS // self.extent(self.lengths[-1]).longest, 1)

    def _all(self, rng: np.random.Generator) -> Batch:
        """Every sequence once: draws are kept until none is missing."""
        found: dict[bytes, tuple[Array, Array]] = {}
        while len(found) < self.validation_examples:
            drawn = self.draw(rng, self.validation_examples, self.lengths[0])
            for key, x, y in zip(_keys(drawn), drawn.x.T, drawn.y.T, strict=True):
                found[key] = (x, y)
        xs, ys = zip(*(found[key] for key in sorted(found)), strict=True)
        return replace(drawn, x=np.stack(xs, axis=-1), y=np.stack(ys, axis=-1))

    @cached_property
    def _held_out(self) -> frozenset[bytes]:
        """The sequences of the validation set, where others are drawn from symbols."""
        if self.extent(self.seq_len).different is None or self._validates_on_all:
            return frozenset()
        return frozenset(key for batch in self._validation for key in _keys(batch))

    def _seen(self, batch: Batch) -> Array:
        return np.array([key in self._held_out for key in _keys(batch)])


def _small(batch: Batch) -> Batch:
    """The same with symbols and classes in a byte each, for it is kept."""
    if not is_symbols(batch.x):
        return batch
    return replace(batch, x=batch.x.astype(np.uint8), y=batch.y.astype(np.uint8))


def _keys(batch: Batch) -> list[bytes]:
    """What each sequence of symbols (T, B) is told by; there are fewer than 256 different ones."""
    assert is_symbols(batch.x)
    return [column.tobytes() for column in np.ascontiguousarray(batch.x.T, dtype=np.uint8)]
