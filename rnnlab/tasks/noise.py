"""White noise: random inputs with a random class, for measurements of networks at initialisation.

The inputs are independent and normally distributed, with mean 0 and standard deviation `std`. The target is
one random class at the last time step, and no network can therefore perform better than chance. The theory of
networks at initialisation assumes inputs without temporal structure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le

from rnnlab.arrays import Array
from rnnlab.losses import Loss
from rnnlab.model import Batch, Tape
from rnnlab.records import VAL_LOSS
from rnnlab.tasks.base import Goal
from rnnlab.tasks.synthetic import Extent, Synthetic


@dataclass(frozen=True)
class Noise(Synthetic):
    """Sequences of Gaussian noise with `features` inputs per time step and a random class per sequence."""

    features: Annotated[int, Ge(1), Le(100_000)]
    std: Annotated[float, Gt(0)]
    classes: Annotated[int, Ge(2), Le(100_000)]

    @property
    def input_names(self) -> list[str]:
        """Names of the input features: their indices, starting from 0."""
        return [str(feature) for feature in range(self.features)]

    @property
    def output_names(self) -> list[str]:
        """Names of the classes: their indices, starting from 0."""
        return [str(label) for label in range(self.classes)]

    @property
    def lag(self) -> None:
        """Lag of the task: None, because the task requires no memory."""
        return None

    @property
    def mean_square(self) -> None:
        """Mean square of the targets: None, because the targets are classes."""
        return None

    def goal(self, loss: Loss) -> Goal:
        """Return the validation loss as the metric, with the chance-level loss as the baseline."""
        return Goal(VAL_LOSS, self.chance(loss))

    def check(self, T: int) -> None:
        """Accept any sequence length."""

    def extent(self, T: int) -> Extent:
        """Return the sequence length and the number of different sequences for the length parameter T."""
        return Extent(T, T, None)

    def draw(self, rng: np.random.Generator, examples: int, T: int) -> Batch:
        """Return the inputs, shape (T, X, B), and the classes at the last time step, shape (1, B)."""
        x = self.std * rng.standard_normal((T, self.features, examples))
        return Batch(x, rng.integers(0, self.classes, (1, examples)))

    def scores(self, loss: Loss, batch: Batch, tape: Tape) -> Mapping[str, Array]:
        """Return an empty dictionary: the task has no metrics other than the loss."""
        return {}
