"""Temporal order: classify the order of the special symbols X and Y in a sequence.

Each time step has one of six symbols. Two or three special symbols, each X or Y, appear among random symbols
a, b, c, d. Two special symbols are at random time steps in [T/10, 2T/10) and [5T/10, 6T/10). Three special
symbols are in [T/10, 2T/10), [3T/10, 4T/10) and [6T/10, 7T/10). All positions are 0-based. The target, at the
last time step, is the sequence of special symbols: with two special symbols, the class is XX, XY, YX or YY.

The task is solved when fewer than 1 % of 10,000 sequences are wrong. At chance level, 3 of 4 sequences are
wrong with two special symbols, and 7 of 8 with three.

References:
    S. Hochreiter & J. Schmidhuber, *Long Short-Term Memory* (1997), experiment 6.
    R. Pascanu, T. Mikolov & Y. Bengio, *On the difficulty of training recurrent neural networks* (2013), and
        its public code, pascanur/trainingRNNs, the source of these positions.
"""

from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np

from rnnlab.losses import Loss
from rnnlab.model import Batch
from rnnlab.tasks.base import Goal
from rnnlab.tasks.scores import ERROR_RATE
from rnnlab.tasks.symbolic import MAX_ERROR_RATE, Symbolic
from rnnlab.tasks.synthetic import MAX_COUNTED, Extent

SPECIAL = ("X", "Y")
OTHERS = ("a", "b", "c", "d")
STARTS = {2: (0.1, 0.5), 3: (0.1, 0.3, 0.6)}


@dataclass(frozen=True)
class TemporalOrder(Symbolic):
    """Classification of the order of `special` special symbols."""

    special: Literal[2, 3]

    @property
    def answers(self) -> int:
        """Number of scored targets: 1, at the last time step."""
        return 1

    @property
    def input_names(self) -> tuple[str, ...]:
        """The symbols X, Y, a, b, c, d."""
        return SPECIAL + OTHERS

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names XX, XY, … of the classes Σ_i v_i 2ⁱ, where v_i is the i-th special symbol."""
        return tuple("".join(reversed(name)) for name in product(SPECIAL, repeat=self.special))

    @property
    def lag(self) -> int:
        """Lag from the last time step to the earliest possible special symbol."""
        return self.seq_len - 1 - int(0.1 * self.seq_len)

    def goal(self, loss: Loss) -> Goal:
        """Return the error rate; the task is solved below 1 %."""
        return Goal(ERROR_RATE, 1 - 1 / self.output_size, ERROR_RATE, MAX_ERROR_RATE)

    def check(self, T: int) -> None:
        """Raise ValueError if a tenth of the sequence is less than one time step."""
        if T < 10:
            raise ValueError(
                f"seq_len={T}: must be at least 10; each special symbol needs a tenth of the sequence"
            )

    def extent(self, T: int) -> Extent:
        """Return the size of the set of sequences of length T."""
        positions = max(int(0.1 * T), 1) ** self.special
        others = len(OTHERS) ** min(max(T - self.special, 0), MAX_COUNTED)
        return Extent(T, T, positions * 2**self.special * others)

    def draw(self, rng: np.random.Generator, examples: int, T: int) -> Batch:
        """Return symbols (T, B) and one class at the last time step (1, B)."""
        columns = np.arange(examples)
        x = len(SPECIAL) + rng.integers(0, len(OTHERS), (T, examples))
        y = np.zeros((1, examples), x.dtype)
        for index, start in enumerate(STARTS[self.special]):
            symbol = rng.integers(0, len(SPECIAL), examples)
            x[int(start * T) + rng.integers(0, int(0.1 * T), examples), columns] = symbol
            y[0] += symbol * 2**index
        return Batch(x, y)
