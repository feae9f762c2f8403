"""The adding problem: of a sequence of numbers, tell the sum of the two that are marked.

    le_2015          target x₁ + x₂             numbers from U[0, 1]
    pascanu_2013     target (x₁ + x₂) / 2       numbers from U[0, 1]
    hochreiter_1997  target ½ + (x₁ + x₂) / 4   numbers from U[-1, 1], 0 where the first time step is marked

Solved: under 1 % of the validation sequences have an error over 0.04, squared in Pascanu et al. (and in
`le_2015`, whose authors give no threshold), absolute in Hochreiter & Schmidhuber. Who knows nothing tells
the mean, with the target's variance as squared error: 1/6 in `le_2015`, 1/24 in `pascanu_2013`.

References: see `marked_pairs`.
"""

from dataclasses import dataclass

from rnnlab.arrays import Array
from rnnlab.tasks.marked_pairs import MarkedPairs


@dataclass(frozen=True)
class Adding(MarkedPairs):
    """The adding problem."""

    @property
    def lowest(self) -> float:
        """-1 or 0."""
        return -1.0 if self.version == "hochreiter_1997" else 0.0

    @property
    def neutral(self) -> float:
        """What adds nothing."""
        return 0.0

    def target(self, one: Array, other: Array) -> Array:
        """The sum, as the version scales it."""
        total = one + other
        return {"le_2015": total, "pascanu_2013": total / 2, "hochreiter_1997": 0.5 + total / 4}[self.version]

    @property
    def moments(self) -> tuple[float, float]:
        """Mean and variance of the target."""
        if self.version == "hochreiter_1997":
            return 0.5, (2 - self.first_is_marked) / 3 / 16
        return (1.0, 1 / 6) if self.version == "le_2015" else (0.5, 1 / 24)
