"""What a measurement is given, and what it returns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rnnlab.arrays import Params
from rnnlab.cells import CellDeltas
from rnnlab.model import Batch, Model, Tape
from rnnlab.records import Curve
from rnnlab.workspace import Workspace


@dataclass(frozen=True)
class ProbeInputs:
    """What measurements with a forward pass of their own run on: never trained on, always the same.

    Attributes:
        batch: Sequences with targets.
        long: Makes one sequence of a given length, to be driven by; of several, where a task's are shorter.
        seed: For an initial state that is random.
    """

    batch: Batch
    long: Callable[[int], Batch]
    seed: int


@dataclass(frozen=True)
class Snapshot:
    """One training step, for measurements to look at and leave alone.

    Attributes:
        step: Updates made before it.
        model: The network.
        params: Its parameters before the update of this step.
        tape: The forward pass over the training batch.
        deltas: The backward pass.
        grads: The gradients before clipping.
        updates: What the optimiser added to the parameters.
        inputs: For measurements with a forward pass of their own.
        task_lag: The lag that the task needs, where it has one.
        workspace: Buffers of the measurements alone.
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


@dataclass(frozen=True)
class Readings:
    """What a measurement found.

    Attributes:
        curves: Rows of `gradients.parquet`.
        metrics: Values by metric name; None stands for a number that is not finite or does not exist.
    """

    curves: Sequence[Curve] = field(default=())
    metrics: Mapping[str, float | None] = field(default_factory=dict)


Measure = Callable[[Snapshot], Readings]
