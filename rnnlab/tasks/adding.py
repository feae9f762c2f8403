"""The adding problem: predict the sum of the two marked numbers in a sequence.

    le_2015          target x₁ + x₂             numbers from U[0, 1]
    pascanu_2013     target (x₁ + x₂) / 2       numbers from U[0, 1]
    hochreiter_1997  target ½ + (x₁ + x₂) / 4   numbers from U[-1, 1], 0 where the first time step is marked

The task is solved when fewer than 1 % of the validation sequences have an error above 0.04. Pascanu et al.
apply the threshold of 0.04 to the squared error, and Hochreiter & Schmidhuber apply the threshold to the
absolute error. Le et al. give no threshold; for `le_2015`, rnnlab applies the threshold to the squared error.
The baseline always predicts the mean target. The mean squared error of the baseline is the variance of the
targets: 1/6 in `le_2015` and 1/24 in `pascanu_2013`.

The module `marked_pairs` lists the references.
"""

from dataclasses import dataclass

from rnnlab.arrays import Array
from rnnlab.tasks.marked_pairs import MarkedPairs


@dataclass(frozen=True)
class Adding(MarkedPairs):
    """The adding problem in one of three published versions."""

    @property
    def lowest(self) -> float:
        """Lower limit of the range of the numbers: -1 in `hochreiter_1997`, and 0 in the other versions."""
        return -1.0 if self.version == "hochreiter_1997" else 0.0

    @property
    def neutral(self) -> float:
        """Identity element of addition, 0."""
        return 0.0

    def target(self, one: Array, other: Array) -> Array:
        """Return the sum of the two numbers, scaled and shifted as defined by the version."""
        total = one + other
        return {"le_2015": total, "pascanu_2013": total / 2, "hochreiter_1997": 0.5 + total / 4}[self.version]

    @property
    def moments(self) -> tuple[float, float]:
        """Mean and variance of the targets."""
        if self.version == "hochreiter_1997":
            return 0.5, (2 - self.first_is_marked) / 3 / 16
        return (1.0, 1 / 6) if self.version == "le_2015" else (0.5, 1 / 24)
