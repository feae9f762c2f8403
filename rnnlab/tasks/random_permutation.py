"""Random permutation: at the end of a sequence of random symbols, predict its first symbol.

Each time step has one of 100 symbols. The first symbol is 0 or 1; all other symbols are drawn from 2 … 99.
The target, at the last time step, is the first symbol.

The task is solved when fewer than 1 % of 10,000 sequences are wrong. The baseline guesses between 0 and 1 and
is wrong in half of the sequences.

References:
    S. Hochreiter & J. Schmidhuber, *Long Short-Term Memory* (1997), experiment 2b.
    R. Pascanu, T. Mikolov & Y. Bengio, *On the difficulty of training recurrent neural networks* (2013), and
        its public code, pascanur/trainingRNNs, which has one target at the end, as here.
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
"""Number of symbols that may come first."""


@dataclass(frozen=True)
class RandomPermutation(Symbolic):
    """Prediction of the first symbol after T - 1 other symbols."""

    @property
    def answers(self) -> int:
        """Number of scored targets: 1, at the last time step."""
        return 1

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the symbols, which are numbered from 0."""
        return tuple(str(symbol) for symbol in range(SYMBOLS))

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the output symbols, the same as those of the inputs."""
        return self.input_names

    @property
    def lag(self) -> int:
        """Lag from the last time step to the first symbol."""
        return self.seq_len - 1

    def goal(self, loss: Loss) -> Goal:
        """Return the error rate; the task is solved below 1 %."""
        return Goal(ERROR_RATE, 1 - 1 / FIRST_SYMBOLS, ERROR_RATE, MAX_ERROR_RATE)

    def check(self, T: int) -> None:
        """Accept any length."""

    def extent(self, T: int) -> Extent:
        """Return the size of the set of sequences of length T."""
        return Extent(T, T, FIRST_SYMBOLS * (SYMBOLS - FIRST_SYMBOLS) ** min(T - 1, MAX_COUNTED))

    def draw(self, rng: np.random.Generator, examples: int, T: int) -> Batch:
        """Return symbols (T, B) and the first symbol as the target (1, B)."""
        x = rng.integers(FIRST_SYMBOLS, SYMBOLS, (T, examples))
        x[0] = rng.integers(0, FIRST_SYMBOLS, examples)
        return Batch(x, x[:1].copy())
