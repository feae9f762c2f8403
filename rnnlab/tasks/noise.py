"""White noise: random inputs with a random class, for measurements on a network at initialisation.

The inputs are independent normal numbers of standard deviation `std`. The target is one random class at the
last time step, so no network can do better than chance. Theory for networks at initialisation assumes inputs
without temporal structure.
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
    """Sequences of `features` normal numbers of standard deviation `std`, each with a random class."""

    features: Annotated[int, Ge(1), Le(100_000)]
    std: Annotated[float, Gt(0)]
    classes: Annotated[int, Ge(2), Le(100_000)]

    @property
    def input_names(self) -> list[str]:
        """Names of the features, which are numbered from 0."""
        return [str(feature) for feature in range(self.features)]

    @property
    def output_names(self) -> list[str]:
        """Names of the classes, which are numbered from 0."""
        return [str(label) for label in range(self.classes)]

    @property
    def lag(self) -> None:
        """The task lag is None, because the task needs no memory."""
        return None

    @property
    def mean_square(self) -> None:
        """The mean square is None, because the targets are classes."""
        return None

    def goal(self, loss: Loss) -> Goal:
        """Return the loss; the baseline is its chance level."""
        return Goal(VAL_LOSS, self.chance(loss))

    def check(self, T: int) -> None:
        """Accept any length."""

    def extent(self, T: int) -> Extent:
        """Return the size of the set of sequences of length T."""
        return Extent(T, T, None)

    def draw(self, rng: np.random.Generator, examples: int, T: int) -> Batch:
        """Return normal numbers (T, X, B) and one class at the last time step (1, B)."""
        x = self.std * rng.standard_normal((T, self.features, examples))
        return Batch(x, rng.integers(0, self.classes, (1, examples)))

    def scores(self, loss: Loss, batch: Batch, tape: Tape) -> Mapping[str, Array]:
        """Return no metrics other than the loss."""
        return {}
