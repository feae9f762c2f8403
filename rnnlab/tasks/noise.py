"""White noise: nothing to learn, a network to be driven.

Inputs are independent standard normal numbers times `std`, with one random class to be told at the end. No
network can do better than guessing; it is for measuring networks as they are drawn, where theory speaks of
inputs without any order.
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
    """Sequences of `features` normal numbers of standard deviation `std`, and one of `classes`."""

    features: Annotated[int, Ge(1), Le(100_000)]
    std: Annotated[float, Gt(0)]
    classes: Annotated[int, Ge(2), Le(100_000)]

    @property
    def input_names(self) -> list[str]:
        """The features' numbers."""
        return [str(feature) for feature in range(self.features)]

    @property
    def output_names(self) -> list[str]:
        """The classes' numbers."""
        return [str(label) for label in range(self.classes)]

    @property
    def lag(self) -> None:
        """There is nothing to remember."""
        return None

    @property
    def mean_square(self) -> None:
        """Targets are classes."""
        return None

    def goal(self, loss: Loss) -> Goal:
        """The loss, which cannot be better than by guessing."""
        return Goal(VAL_LOSS, self.chance(loss))

    def check(self, T: int) -> None:
        """Any length will do."""

    def extent(self, T: int) -> Extent:
        """T time steps of numbers."""
        return Extent(T, T, None)

    def draw(self, rng: np.random.Generator, examples: int, T: int) -> Batch:
        """Normal numbers (T, X, B) and one class at the end."""
        x = self.std * rng.standard_normal((T, self.features, examples))
        return Batch(x, rng.integers(0, self.classes, (1, examples)))

    def scores(self, loss: Loss, batch: Batch, tape: Tape) -> Mapping[str, Array]:
        """Nothing beside the loss."""
        return {}
