"""Random permutation: tell at the end which of two symbols came first, after many random ones.

One of 100 symbols stands at every time step: the first is 0 or 1, all others are drawn from 2 … 99, and the
symbol after the last is to be told, which is the first again.

Solved: under 1 % of 10,000 sequences are wrong. Who knows nothing but that it is 0 or 1 is wrong at half.

References:
    S. Hochreiter & J. Schmidhuber, *Long Short-Term Memory* (1997), experiment 2b.
    R. Pascanu, T. Mikolov & Y. Bengio, *On the difficulty of training recurrent neural networks* (2013), and
        its public code, pascanur/trainingRNNs, which asks for the last symbol alone, as here.
"""

from dataclasses import dataclass

import numpy as np

from rnnlab.losses import Loss
from rnnlab.model import Batch
from rnnlab.tasks.base import Goal
from rnnlab.tasks.scores import ERROR_RATE
from rnnlab.tasks.symbolic import MAX_ERROR_RATE, Symbolic
from rnnlab.tasks.synthetic import MAX_COUNTED, Extent

SYMBOLS = 100
FIRST = 2


@dataclass(frozen=True)
class RandomPermutation(Symbolic):
    """The first symbol, after T - 1 others."""

    @property
    def answers(self) -> int:
        """One symbol at the end."""
        return 1

    @property
    def input_names(self) -> tuple[str, ...]:
        """The symbols' numbers."""
        return tuple(str(symbol) for symbol in range(SYMBOLS))

    @property
    def output_names(self) -> tuple[str, ...]:
        """The same symbols."""
        return self.input_names

    @property
    def lag(self) -> int:
        """From the end to the first symbol."""
        return self.seq_len - 1

    def goal(self, loss: Loss) -> Goal:
        """Share of wrong sequences, under 1 %."""
        return Goal(ERROR_RATE, 1 - 1 / FIRST, ERROR_RATE, MAX_ERROR_RATE)

    def check(self, T: int) -> None:
        """Any length will do."""

    def extent(self, T: int) -> Extent:
        """T symbols."""
        return Extent(T, T, FIRST * (SYMBOLS - FIRST) ** min(T - 1, MAX_COUNTED))

    def draw(self, rng: np.random.Generator, examples: int, T: int) -> Batch:
        """Symbols (T, B), and the first one once more (1, B)."""
        x = rng.integers(FIRST, SYMBOLS, (T, examples))
        x[0] = rng.integers(0, FIRST, examples)
        return Batch(x, x[:1].copy())
