"""Inputs and results of a measurement."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps

from rnnlab.arrays import Params
from rnnlab.cells import CellDeltas, Layer, States, layers_of
from rnnlab.model import Batch, Model, Tape
from rnnlab.records import Curve
from rnnlab.workspace import Workspace


@dataclass(frozen=True)
class ProbeInputs:
    """Fixed inputs, never used in training, for measurements that run their own forward pass.

    Attributes:
        batch: Sequences with targets.
        long: Function that returns an input sequence of a given length; if the sequences of the task are
            shorter, the function concatenates several sequences.
        seed: Seed for a random initial state.
    """

    batch: Batch
    long: Callable[[int], Batch]
    seed: int


@dataclass(frozen=True)
class Previous:
    """Results of the previous training step.

    Attributes:
        grads: Gradients before clipping.
        states: Final states of the batch, each of shape (H, B).
    """

    grads: Params
    states: States


@dataclass(frozen=True)
class Snapshot:
    """Read-only record that describes one training step and is passed to every measurement.

    Attributes:
        step: Number of updates before this training step.
        model: The network.
        params: Parameters before the update of this training step.
        tape: Forward pass over the training batch.
        deltas: Backward pass over the training batch.
        grads: Gradients before clipping.
        updates: Updates that the optimiser adds to the parameters; empty if none follows.
        inputs: Inputs for measurements that run their own forward pass.
        task_lag: Lag required by the task; None if the task requires no particular lag.
        workspace: Buffers reserved for measurements.
        previous: Previous training step, for measurements that require it; None in the first training step
            and after the last update.
    """

    step: int
    model: Model
    params: Params
    tape: Tape
    deltas: CellDeltas
    grads: Params
    updates: Params
    inputs: ProbeInputs
    task_lag: int | None
    workspace: Workspace
    previous: Previous | None = None

    def layers(self) -> list[tuple[Layer, "Snapshot"]]:
        """Return each layer of the network, from bottom to top, with a snapshot of the layer alone.

        The model of a layer's snapshot consists of its cell and the readout. Its inputs are still those of
        the whole network.
        """
        layers = layers_of(self.model.cell)
        if len(layers) == 1:
            return [(layers[0], self)]
        return [(layer, self._of_layer(layer, i)) for i, layer in enumerate(layers)]

    def _of_layer(self, layer: Layer, i: int) -> "Snapshot":
        return replace(
            self,
            model=replace(self.model, cell=layer.cell),
            params=layer.take(self.params),
            tape=replace(self.tape, cell=self.tape.cell.layers[i]),
            deltas=self.deltas.layers[i],
            grads=layer.take(self.grads),
            updates=layer.take(self.updates),
            workspace=self.workspace.part(layer.prefix),
        )


@dataclass(frozen=True)
class Readings:
    """Result of a measurement.

    Attributes:
        curves: Curves for `gradients.parquet`.
        metrics: Values by metric name; None represents a missing or non-finite value.
    """

    curves: Sequence[Curve] = field(default=())
    metrics: Mapping[str, float | None] = field(default_factory=dict)


def by_layer(measure: "Measure") -> "Measure":
    """Return a measurement that measures each layer of a network on its own.

    The names of the metrics of a stack contain the layer, as in `weights/l2.spectral_norm`.
    """

    @wraps(measure)
    def measure_layers(snapshot: Snapshot) -> Readings:
        curves: list[Curve] = []
        metrics: dict[str, float | None] = {}
        for layer, part in snapshot.layers():
            readings = measure(part)
            curves += [replace(curve, layer=layer.number) for curve in readings.curves]
            metrics |= {of_layer(name, layer): value for name, value in readings.metrics.items()}
        return Readings(curves, metrics)

    return measure_layers


def of_layer(metric: str, layer: Layer) -> str:
    """Return the name of a metric of a layer; in a network of one layer, the name itself.

    The layer precedes the quantity, as in `grad/l2.gain` and `log10_l2.h_by_lag/0004`.
    """
    if metric.startswith("log10_"):
        return f"log10_{layer.prefix}{metric.removeprefix('log10_')}"
    group, slash, name = metric.rpartition("/")
    return f"{group}{slash}{layer.prefix}{name}"


Measure = Callable[[Snapshot], Readings]
