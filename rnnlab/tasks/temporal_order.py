"""Temporal order: tell at the end in which order the special symbols X and Y came.

One of six symbols stands at every time step. Among random a, b, c, d there are two special ones, each X or Y:
one at [T/10, 2T/10), one at [5T/10, 6T/10); with three of them at [T/10, 2T/10), [3T/10, 4T/10) and
[6T/10, 7T/10), 0-based. The class, told at the end, is the special symbols in their order: XX, XY, YX or YY.

Solved: under 1 % of 10,000 sequences are wrong. Who knows nothing is wrong at 3 of 4 (7 of 8).

References:
    S. Hochreiter & J. Schmidhuber, *Long Short-Term Memory* (1997), experiment 6.
    R. Pascanu, T. Mikolov & Y. Bengio, *On the difficulty of training recurrent neural networks* (2013), and
        its public code, pascanur/trainingRNNs, whose positions these are.
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
    """The order of `special` symbols."""

    special: Literal[2, 3]

    @property
    def answers(self) -> int:
        """One class at the end."""
        return 1

    @property
    def input_names(self) -> tuple[str, ...]:
        """X, Y, a, b, c, d."""
        return SPECIAL + OTHERS

    @property
    def output_names(self) -> tuple[str, ...]:
        """XX, XY, …: class Σ_i v_i 2ⁱ, with v_i the i-th special symbol, is named in order."""
        return tuple("".join(reversed(name)) for name in product(SPECIAL, repeat=self.special))

    @property
    def lag(self) -> int:
        """From the end to the earliest special symbol that may be."""
        return self.seq_len - 1 - int(0.1 * self.seq_len)

    def goal(self, loss: Loss) -> Goal:
        """Share of wrong sequences, under 1 %."""
        return Goal(ERROR_RATE, 1 - 1 / self.output_size, ERROR_RATE, MAX_ERROR_RATE)

    def check(self, T: int) -> None:
        """Each special symbol needs a tenth of the sequence."""
        if T < 10:
            raise ValueError(f"seq_len={T}: must be at least 10, for each special symbol needs a tenth")

    def extent(self, T: int) -> Extent:
        """T symbols."""
        positions = max(int(0.1 * T), 1) ** self.special
        others = len(OTHERS) ** min(max(T - self.special, 0), MAX_COUNTED)
        return Extent(T, T, positions * 2**self.special * others)

    def draw(self, rng: np.random.Generator, examples: int, T: int) -> Batch:
        """Symbols (T, B) and a class at the end (1, B)."""
        columns = np.arange(examples)
        x = len(SPECIAL) + rng.integers(0, len(OTHERS), (T, examples))
        y = np.zeros((1, examples), x.dtype)
        for place, start in enumerate(STARTS[self.special]):
            symbol = rng.integers(0, len(SPECIAL), examples)
            x[int(start * T) + rng.integers(0, int(0.1 * T), examples), columns] = symbol
            y[0] += symbol * 2**place
        return Batch(x, y)
