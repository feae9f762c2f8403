"""Inputs and results of a measurement."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rnnlab.arrays import Params
from rnnlab.cells import CellDeltas, States
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


@dataclass(frozen=True)
class Readings:
    """Result of a measurement.

    Attributes:
        curves: Curves for `gradients.parquet`.
        metrics: Values by metric name; None represents a missing or non-finite value.
    """

    curves: Sequence[Curve] = field(default=())
    metrics: Mapping[str, float | None] = field(default_factory=dict)


Measure = Callable[[Snapshot], Readings]
