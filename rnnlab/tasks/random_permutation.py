"""Random permutation: after a sequence of random symbols, predict the first symbol of the sequence.

The input at each time step is one of 100 symbols. The first symbol is 0 or 1; all other symbols are drawn
from 2 … 99. The only target, at the last time step, is the first symbol.

The task is solved when fewer than 1 % of 10,000 sequences are classified incorrectly. The baseline guesses
0 or 1 at random and has an error rate of 50 %.

References:
    Hochreiter & Schmidhuber, *Long Short-Term Memory* (1997), experiment 2b.
    Pascanu, Mikolov & Bengio, *On the difficulty of training recurrent neural networks* (2013), and the code
        published with it (pascanur/trainingRNNs), in which each sequence also has a single target, at the
        last time step.
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
FIRST_SYMBOLS = 2
"""Number of different symbols that can occur at the first time step of a sequence."""


@dataclass(frozen=True)
class RandomPermutation(Symbolic):
    """Prediction of the first symbol of a sequence after T - 1 further symbols."""

    @property
    def answers(self) -> int:
        """Number of scored targets per sequence: one, at the last time step."""
        return 1

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the input symbols: their indices, starting from 0."""
        return tuple(str(symbol) for symbol in range(SYMBOLS))

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the output symbols, identical to the names of the input symbols."""
        return self.input_names

    @property
    def lag(self) -> int:
        """Lag from the last time step back to the first symbol."""
        return self.seq_len - 1

    def goal(self, loss: Loss) -> Goal:
        """Return the success criterion: an error rate below 1 %."""
        return Goal(ERROR_RATE, 1 - 1 / FIRST_SYMBOLS, ERROR_RATE, MAX_ERROR_RATE)

    def check(self, T: int) -> None:
        """Accept any sequence length."""

    def extent(self, T: int) -> Extent:
        """Return the sequence length and the number of different sequences for the length parameter T."""
        return Extent(T, T, FIRST_SYMBOLS * (SYMBOLS - FIRST_SYMBOLS) ** min(T - 1, MAX_COUNTED))

    def draw(self, rng: np.random.Generator, examples: int, T: int) -> Batch:
        """Return the symbols, shape (T, B), and the first symbol as the target, shape (1, B)."""
        x = rng.integers(FIRST_SYMBOLS, SYMBOLS, (T, examples))
        x[0] = rng.integers(0, FIRST_SYMBOLS, examples)
        return Batch(x, x[:1].copy())
