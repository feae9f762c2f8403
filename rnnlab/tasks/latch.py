"""The latch: tell at the end which of two signals came first, through noise.

One number stands at every time step. The first `information` of them are all +1 or all -1, the class; all
that follow are normal noise of standard deviation `noise_std`. In the first paper the first numbers are
learned; here they are given, as in the second's 2-sequence problem, whose noise has the variance 0.2
(`noise_std=0.447`).

Solved: none of 256 sequences is told wrong (Hochreiter & Schmidhuber's first stopping criterion). Who knows
nothing is wrong at half.

References:
    Y. Bengio, P. Simard & P. Frasconi, *Learning Long-Term Dependencies with Gradient Descent is Difficult*
        (1994).
    S. Hochreiter & J. Schmidhuber, *Long Short-Term Memory* (1997), experiment 3a.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge

from rnnlab.arrays import Array
from rnnlab.losses import Loss
from rnnlab.model import Batch, Tape
from rnnlab.tasks.base import Goal
from rnnlab.tasks.scores import ERROR_RATE, wrong_targets
from rnnlab.tasks.synthetic import Extent, Synthetic


@dataclass(frozen=True)
class Latch(Synthetic):
    """The sign of the first numbers."""

    information: Annotated[int, Ge(1)]
    noise_std: Annotated[float, Ge(0)]

    @property
    def input_names(self) -> tuple[str, ...]:
        """The number's name."""
        return ("signal",)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The signs."""
        return "-", "+"

    @property
    def lag(self) -> int:
        """From the end to the last number that tells the class."""
        return self.seq_len - self.information

    @property
    def mean_square(self) -> None:
        """Targets are classes."""
        return None

    def goal(self, loss: Loss) -> Goal:
        """Share of wrong sequences: none."""
        return Goal(ERROR_RATE, 0.5, ERROR_RATE, 1 / self.validation_examples)

    def check(self, T: int) -> None:
        """The signal needs its time, and then some."""
        if self.information >= T:
            raise ValueError(f"information={self.information}: must be less than seq_len={T}")

    def extent(self, T: int) -> Extent:
        """T numbers."""
        return Extent(T, T, None)

    def draw(self, rng: np.random.Generator, examples: int, T: int) -> Batch:
        """Numbers (T, 1, B) and a class at the end (1, B)."""
        y = rng.integers(0, 2, (1, examples))
        x = self.noise_std * rng.standard_normal((T, 1, examples))
        x[: self.information] = 2.0 * y - 1.0
        return Batch(x, y)

    def scores(self, loss: Loss, batch: Batch, tape: Tape) -> Mapping[str, Array]:
        """`val/error_rate`."""
        return {ERROR_RATE: wrong_targets(batch, tape)}
