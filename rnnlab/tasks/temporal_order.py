"""Temporal order: classify the order of the special symbols X and Y in a sequence.

The input at each time step is one of six symbols. Each sequence contains two or three special symbols (X or
Y); all other symbols are drawn from a, b, c and d. Sequences with two special symbols have one at a random
time step in [T/10, 2T/10) and one in [5T/10, 6T/10). Sequences with three special symbols have one in each of
the intervals [T/10, 2T/10), [3T/10, 4T/10) and [6T/10, 7T/10). All positions are 0-based. The only target, at
the last time step, is the order of the special symbols. For two special symbols, the classes are XX, XY, YX
and YY.

The task is solved when fewer than 1 % of 10,000 sequences are classified incorrectly. The chance-level error
rate is 3/4 for two special symbols and 7/8 for three special symbols.

References:
    Hochreiter & Schmidhuber, *Long Short-Term Memory* (1997), experiment 6.
    Pascanu, Mikolov & Bengio, *On the difficulty of training recurrent neural networks* (2013), and the code
        published with it (pascanur/trainingRNNs), which is the source of the symbol positions used here.
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
    """Classification of sequences by the order of their special symbols, whose number is `special`."""

    special: Literal[2, 3]

    @property
    def answers(self) -> int:
        """Number of scored targets per sequence: one, at the last time step."""
        return 1

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the input symbols: X, Y, a, b, c, d."""
        return SPECIAL + OTHERS

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the classes; the class index is Σ_i v_i 2ⁱ, with v_i = 0 for X and v_i = 1 for Y."""
        return tuple("".join(reversed(name)) for name in product(SPECIAL, repeat=self.special))

    @property
    def lag(self) -> int:
        """Lag from the last time step back to the earliest possible position of a special symbol."""
        return self.seq_len - 1 - int(0.1 * self.seq_len)

    def goal(self, loss: Loss) -> Goal:
        """Return the success criterion: an error rate below 1 %."""
        return Goal(ERROR_RATE, 1 - 1 / self.output_size, ERROR_RATE, MAX_ERROR_RATE)

    def check(self, T: int) -> None:
        """Raise ValueError if the sequence is shorter than ten time steps."""
        if T < 10:
            raise ValueError(
                f"seq_len={T}: must be at least 10, so that a tenth of the sequence is at least one time step"
            )

    def extent(self, T: int) -> Extent:
        """Return the sequence length and the number of different sequences for the length parameter T."""
        positions = max(int(0.1 * T), 1) ** self.special
        others = len(OTHERS) ** min(max(T - self.special, 0), MAX_COUNTED)
        return Extent(T, T, positions * 2**self.special * others)

    def draw(self, rng: np.random.Generator, examples: int, T: int) -> Batch:
        """Return the symbols, shape (T, B), and the classes at the last time step, shape (1, B)."""
        columns = np.arange(examples)
        x = len(SPECIAL) + rng.integers(0, len(OTHERS), (T, examples))
        y = np.zeros((1, examples), x.dtype)
        for index, start in enumerate(STARTS[self.special]):
            symbol = rng.integers(0, len(SPECIAL), examples)
            x[int(start * T) + rng.integers(0, int(0.1 * T), examples), columns] = symbol
            y[0] += symbol * 2**index
        return Batch(x, y)
