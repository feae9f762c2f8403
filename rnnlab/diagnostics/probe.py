"""The instrument of a run: what is measured, on which inputs, when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Annotated

from annotated_types import Ge, Gt

from rnnlab.diagnostics.schedule import Schedule
from rnnlab.diagnostics.snapshot import Measure, Readings, Snapshot
from rnnlab.records import LOG10_GAIN, THEORY_DIFFERENCE, THEORY_LOG10_GAIN, Curve


@dataclass(frozen=True)
class Measurement:
    """A measurement and when it is made.

    Attributes:
        measure: A pure function of a snapshot.
        when: Its schedule.
    """

    measure: Measure
    when: Schedule


@dataclass(frozen=True)
class Probe:
    """What is recorded of a run beside its metrics of every step.

    Attributes:
        measurements: By name.
        examples: Sequences of the probe batch.
        length: Their time steps; None is seq_len.
        seed: Of the probe batch, which is the same at every step of every run.
        spike_factor: A gradient's norm over so many times its running mean is a spike; None for never.
    """

    measurements: Mapping[str, Measurement]
    examples: Annotated[int, Ge(1)]
    length: Annotated[int, Ge(1)] | None
    seed: Annotated[int, Ge(0)]
    spike_factor: Annotated[float, Gt(1)] | None

    def plan(self, steps: int) -> dict[str, frozenset[int]]:
        """The steps of a run at which each measurement's schedule has a point."""
        return {name: measurement.when.points(steps) for name, measurement in self.measurements.items()}

    def due(self, plan: Mapping[str, frozenset[int]], step: int, spiking: bool) -> list[str]:
        """The measurements to be made at a step."""
        return [
            name
            for name, measurement in self.measurements.items()
            if measurement.when.due(step, plan[name]) or (spiking and measurement.when.on_spike)
        ]

    def measure(self, snapshot: Snapshot, due: Sequence[str]) -> Readings:
        """Make the measurements that are due."""
        curves: list[Curve] = []
        metrics: dict[str, float | None] = {}
        for name in due:
            readings = self.measurements[name].measure(snapshot)
            curves += readings.curves
            metrics |= {key: _finite(value) for key, value in readings.metrics.items()}
        measured, theory = metrics.get(LOG10_GAIN), metrics.get(THEORY_LOG10_GAIN)
        if measured is not None and theory is not None:
            metrics[THEORY_DIFFERENCE] = measured - theory
        return Readings(curves, metrics)


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and isfinite(value) else None
