"""The probe of a run: measurements, their inputs and their schedules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt

from rnnlab.diagnostics.requirements import Sizes, requirements_of
from rnnlab.diagnostics.schedule import Schedule
from rnnlab.diagnostics.snapshot import Measure, Readings, Snapshot
from rnnlab.records import LOG10_GAIN, THEORY_DIFFERENCE, THEORY_LOG10_GAIN, Curve, finite_or_none


@dataclass(frozen=True)
class Measurement:
    """A measurement with its schedule.

    Attributes:
        measure: Pure function of a snapshot.
        when: Schedule of the measurement.
    """

    measure: Measure
    when: Schedule

    def memory(self, sizes: Sizes) -> int:
        """Return the number of bytes that the measurement needs; see `Requirements.memory`."""
        requirements, options = requirements_of(self.measure)
        return 0 if requirements.memory is None else int(requirements.memory(sizes, **options))

    @property
    def targets(self) -> Sequence[int | str]:
        """Time steps at which the probe batch must have a target; `last` is always a valid entry."""
        requirements, options = requirements_of(self.measure)
        return () if requirements.targets is None else options[requirements.targets]

    @property
    def needs_previous(self) -> bool:
        """True if the measurement reads the previous training step."""
        return requirements_of(self.measure)[0].previous


@dataclass(frozen=True)
class Probe:
    """Measurements of a run, recorded in addition to the metrics of each training step.

    Attributes:
        measurements: Measurements by name.
        examples: Number of sequences in the probe batch.
        length: Number of time steps per sequence of the probe batch; None selects seq_len.
        seed: Seed of the probe batch; the same probe batch is used at every training step of every run.
        spike_factor: Ratio of a gradient norm to its running mean above which the norm counts as a spike;
            None disables spike detection.
    """

    measurements: Mapping[str, Measurement]
    examples: Annotated[int, Ge(1)]
    length: Annotated[int, Ge(1)] | None
    seed: Annotated[int, Ge(0)]
    spike_factor: Annotated[float, Gt(1)] | None

    @property
    def needs_previous(self) -> bool:
        """True if any measurement reads the previous training step."""
        return any(measurement.needs_previous for measurement in self.measurements.values())

    def plan(self, steps: int) -> dict[str, frozenset[int]]:
        """Return the training steps at which `Schedule.points` schedules each measurement."""
        return {name: measurement.when.points(steps) for name, measurement in self.measurements.items()}

    def due(self, plan: Mapping[str, frozenset[int]], step: int, spiking: bool) -> list[str]:
        """Return the names of the measurements due at a training step."""
        return [
            name
            for name, measurement in self.measurements.items()
            if measurement.when.due(step, plan[name]) or (spiking and measurement.when.on_spike)
        ]

    def measure(self, snapshot: Snapshot, due: Sequence[str]) -> Readings:
        """Run the measurements named in `due` and merge their readings."""
        curves: list[Curve] = []
        metrics: dict[str, float | None] = {}
        for name in due:
            readings = self.measurements[name].measure(snapshot)
            curves += readings.curves
            metrics |= {key: finite_or_none(value) for key, value in readings.metrics.items()}
        measured, theory = metrics.get(LOG10_GAIN), metrics.get(THEORY_LOG10_GAIN)
        if measured is not None and theory is not None:
            metrics[THEORY_DIFFERENCE] = measured - theory
        return Readings(curves, metrics)
