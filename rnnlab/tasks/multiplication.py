"""The multiplication problem: predict the product of the two marked numbers in a sequence.

The multiplication problem is the adding problem with the target x₁ x₂ and numbers from U[0, 1]. In
`hochreiter_1997` the number at the first time step is 1 if this time step is marked. The criterion is the
same as for the adding problem. The baseline predicts the mean of the target, ¼, with the mean squared error
7/144. In `hochreiter_1997` the mean and the error are slightly larger, because a factor may be the constant
1.

References: the module `marked_pairs` lists the papers.
"""

from dataclasses import dataclass
from typing import Literal

from rnnlab.arrays import Array
from rnnlab.tasks.marked_pairs import MarkedPairs


@dataclass(frozen=True)
class Multiplication(MarkedPairs):
    """The multiplication problem as a task."""

    version: Literal["pascanu_2013", "hochreiter_1997"]

    @property
    def lowest(self) -> float:
        """Lower bound of the numbers, 0."""
        return 0.0

    @property
    def neutral(self) -> float:
        """The neutral element of multiplication, 1."""
        return 1.0

    def target(self, one: Array, other: Array) -> Array:
        """Return the product of the two marked numbers."""
        return one * other

    @property
    def moments(self) -> tuple[float, float]:
        """Mean and variance of the target; one factor is 1 if the first time step is marked."""
        first = self.first_is_marked if self.version == "hochreiter_1997" else 0.0
        mean, square = (1 - first) / 4 + first / 2, (1 - first) / 9 + first / 3
        return mean, square - mean**2
