"""Schedules of measurements, and detection of gradient spikes."""

from collections.abc import Collection
from dataclasses import dataclass
from math import exp, isfinite, log
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Le

SPIKE_WINDOW = 50
"""Length of the window for the running mean, and minimum distance between spikes, both in training steps."""


@dataclass(frozen=True)
class Schedule:
    """Training steps at which a measurement runs, in addition to the first step and the end of training.

    Attributes:
        dense: Number of initial training steps, at each of which the measurement runs.
        per_decade: Number of measurements per tenfold increase in the number of training steps, evenly spaced
            on a logarithmic scale; applies after the first `dense` training steps.
        every: Interval between regular measurements, in training steps; None for no regular measurements.
        on_spike: True if the measurement also runs at each spike of the gradient norm.
    """

    dense: Annotated[int, Ge(0)]
    per_decade: Annotated[int, Ge(0), Le(10_000)]
    every: Annotated[int, Ge(1)] | None
    on_spike: bool

    def points(self, steps: int) -> frozenset[int]:
        """Return the first and the logarithmically spaced training steps in 0 … steps-1.

        The training steps scheduled by `dense` and `every` are not included.

        >>> sorted(Schedule(dense=3, per_decade=2, every=None, on_spike=True).points(100))
        [0, 3, 9, 30, 95]
        """
        chosen = {0}
        if self.per_decade:
            start = max(self.dense, 1)
            decades = np.log10(max(steps, start) / start)
            points = start * 10 ** (np.arange(int(decades * self.per_decade) + 1) / self.per_decade)
            chosen |= {int(step) for step in np.round(points) if step < steps}
        return frozenset(chosen)

    def due(self, step: int, points: Collection[int]) -> bool:
        """Return True if `points`, `dense` or `every` schedules a measurement at a training step."""
        return step < self.dense or step in points or (self.every is not None and step % self.every == 0)


@dataclass
class Spikes:
    """Detector of spikes, which are gradient norms above `factor` times the running geometric mean.

    The running mean covers about the last SPIKE_WINDOW norms. The first ten norms of a run, and all norms
    within SPIKE_WINDOW training steps after a spike, never count as spikes.

    Attributes:
        factor: Ratio of a norm to the running mean above which the norm is a spike; None disables detection.
        mean_log: Running mean of the logarithms of the norms.
        seen: Number of norms processed so far.
        rest: Number of training steps before the next spike can be detected.
    """

    WARM_UP: ClassVar[int] = 10

    factor: float | None
    mean_log: float = 0.0
    seen: int = 0
    rest: int = 0

    def update(self, norm: float) -> bool:
        """Process the gradient norm of a training step and return True if the norm is a spike."""
        if self.factor is None or not (isfinite(norm) and norm > 0):
            return False
        self.seen += 1
        self.rest -= 1
        spiking = self.seen > self.WARM_UP and self.rest <= 0 and norm > self.factor * exp(self.mean_log)
        if spiking:
            self.rest = SPIKE_WINDOW
        self.mean_log += (log(norm) - self.mean_log) / min(self.seen, SPIKE_WINDOW)
        return spiking
