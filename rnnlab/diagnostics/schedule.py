"""When to measure."""

from collections.abc import Collection
from dataclasses import dataclass
from math import exp, isfinite, log
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Le

SPIKE_WINDOW = 50
"""Steps of the running mean that a gradient's norm is held against, and of rest after a spike."""


@dataclass(frozen=True)
class Schedule:
    """The steps of a run at which something is measured: always the first and the last.

    Attributes:
        dense: So many of the first steps are all measured.
        per_decade: So many for each tenfold of the step after that, evenly in the logarithm.
        every: One in so many steps; None for none of these.
        on_spike: Whether it is measured whenever the gradient's norm spikes.
    """

    dense: Annotated[int, Ge(0)]
    per_decade: Annotated[int, Ge(0), Le(10_000)]
    every: Annotated[int, Ge(1)] | None
    on_spike: bool

    def points(self, steps: int) -> frozenset[int]:
        """The steps out of 0 … steps-1 that are known beforehand, but for `dense` and `every`.

        >>> sorted(Schedule(dense=3, per_decade=2, every=None, on_spike=True).points(100))
        [0, 3, 9, 30, 95, 99]
        """
        chosen = {0, steps - 1}
        if self.per_decade:
            start = max(self.dense, 1)
            decades = np.log10(max(steps, start) / start)
            points = start * 10 ** (np.arange(int(decades * self.per_decade) + 1) / self.per_decade)
            chosen |= {int(step) for step in np.round(points) if step < steps}
        return frozenset(chosen)

    def due(self, step: int, points: Collection[int]) -> bool:
        """Whether a step is one of these, or of `dense` or `every`."""
        return step < self.dense or step in points or (self.every is not None and step % self.every == 0)


@dataclass
class Spikes:
    """Finds norms over `factor` times the geometric mean of about the last SPIKE_WINDOW of them.

    One of a window's first ten norms is no spike, nor is one that follows another within a window.

    Attributes:
        factor: None for never.
        mean_log: Running mean of the norms' logarithms.
        seen: Norms so far.
        rest: Steps until there may be another spike.
    """

    WARM_UP: ClassVar[int] = 10

    factor: float | None
    mean_log: float = 0.0
    seen: int = 0
    rest: int = 0

    def update(self, norm: float) -> bool:
        """Take in a step's norm and say whether it is a spike."""
        if self.factor is None or not (isfinite(norm) and norm > 0):
            return False
        self.seen += 1
        self.rest -= 1
        spiking = self.seen > self.WARM_UP and self.rest <= 0 and norm > self.factor * exp(self.mean_log)
        if spiking:
            self.rest = SPIKE_WINDOW
        self.mean_log += (log(norm) - self.mean_log) / min(self.seen, SPIKE_WINDOW)
        return spiking
