"""The latch: classify a sequence of numbers by the sign of the first few, which are followed by noise.

The input at each time step is one number. The first `information` inputs are all +1 or all -1, and their sign
determines the class. All later inputs are Gaussian noise with standard deviation `noise_std`.

The inputs that encode the class have fixed values, as in the 2-sequence problem of Hochreiter & Schmidhuber,
in which the noise has a variance of 0.2 (`noise_std=0.447`). In Bengio et al., the inputs that encode the
class are learned.

The task is solved when all 256 validation sequences are classified correctly. Correct classification of 256
sequences is also the first stopping criterion of Hochreiter & Schmidhuber. At chance level, the error rate is
50 %.

References:
    Bengio, Simard & Frasconi, *Learning Long-Term Dependencies with Gradient Descent is Difficult* (1994).
    Hochreiter & Schmidhuber, *Long Short-Term Memory* (1997), experiment 3a.
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
    """Classification of sequences by the sign of their first inputs."""

    information: Annotated[int, Ge(1)]
    noise_std: Annotated[float, Ge(0)]

    @property
    def input_names(self) -> tuple[str, ...]:
        """Name of the input."""
        return ("signal",)

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the two classes: the signs - and +."""
        return "-", "+"

    @property
    def lag(self) -> int:
        """Lag from the last time step back to the last input that depends on the class."""
        return self.seq_len - self.information

    @property
    def mean_square(self) -> None:
        """Mean square of the targets: None, because the targets are classes."""
        return None

    def goal(self, loss: Loss) -> Goal:
        """Return the success criterion: an error rate of zero."""
        return Goal(ERROR_RATE, 0.5, ERROR_RATE, 1 / self.validation_examples)

    def check(self, T: int) -> None:
        """Raise ValueError unless T exceeds `information`, the number of inputs that encode the class."""
        if self.information >= T:
            raise ValueError(f"information={self.information}: must be less than seq_len={T}")

    def extent(self, T: int) -> Extent:
        """Return the sequence length and the number of different sequences for the length parameter T."""
        return Extent(T, T, None)

    def draw(self, rng: np.random.Generator, examples: int, T: int) -> Batch:
        """Return the inputs, shape (T, 1, B), and the classes at the last time step, shape (1, B)."""
        y = rng.integers(0, 2, (1, examples))
        x = self.noise_std * rng.standard_normal((T, 1, examples))
        x[: self.information] = 2.0 * y - 1.0
        return Batch(x, y)

    def scores(self, loss: Loss, batch: Batch, tape: Tape) -> Mapping[str, Array]:
        """Return the values of `val/error_rate`: True for each sequence that is classified incorrectly."""
        return {ERROR_RATE: wrong_targets(batch, tape)}
