"""The multiplication problem: of a sequence of numbers, tell the product of the two that are marked.

As the adding problem with the target x₁ x₂, numbers from U[0, 1], and 1 where the first time step is marked
in `hochreiter_1997`. Solved is the same; who knows nothing tells the mean, ¼, with the squared error 7/144
(somewhat more in `hochreiter_1997`, where a factor may be the constant).

References: see `marked_pairs`.
"""

from dataclasses import dataclass
from typing import Literal

from rnnlab.arrays import Array
from rnnlab.tasks.marked_pairs import MarkedPairs


@dataclass(frozen=True)
class Multiplication(MarkedPairs):
    """The multiplication problem."""

    version: Literal["pascanu_2013", "hochreiter_1997"]

    @property
    def lowest(self) -> float:
        """Numbers from 0."""
        return 0.0

    @property
    def neutral(self) -> float:
        """What changes no product."""
        return 1.0

    def target(self, one: Array, other: Array) -> Array:
        """The product."""
        return one * other

    @property
    def moments(self) -> tuple[float, float]:
        """Mean and variance of the target; one factor is 1 where the first time step is marked."""
        first = self.first_is_marked if self.version == "hochreiter_1997" else 0.0
        mean, square = (1 - first) / 4 + first / 2, (1 - first) / 9 + first / 3
        return mean, square - mean**2
