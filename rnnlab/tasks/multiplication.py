"""The multiplication problem: predict the product of the two marked numbers in a sequence.

The multiplication problem differs from the adding problem only in its target, x₁ x₂, and in its input
numbers, which are drawn from U[0, 1]. The two problems have the same success criterion. The baseline always
predicts the mean of the target, ¼, and has a mean squared error of 7/144.

In `hochreiter_1997`, the first input number is replaced by 1 if it is marked; the mean of the target and the
mean squared error of the baseline are therefore slightly larger than ¼ and 7/144, respectively.

References: see the module `marked_pairs`.
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
        """Lower bound of the input numbers: 0."""
        return 0.0

    @property
    def neutral(self) -> float:
        """Identity element of multiplication: 1."""
        return 1.0

    def target(self, one: Array, other: Array) -> Array:
        """Return the product of the two marked numbers."""
        return one * other

    @property
    def moments(self) -> tuple[float, float]:
        """Mean and variance of the target; in `hochreiter_1997`, one factor may be the constant 1."""
        first = self.first_is_marked if self.version == "hochreiter_1997" else 0.0
        mean, square = (1 - first) / 4 + first / 2, (1 - first) / 9 + first / 3
        return mean, square - mean**2
