"""Validation of a network on the held-out sequences of its task."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rnnlab.arrays import Array, Params
from rnnlab.model import Model
from rnnlab.records import VAL_BASELINE, VAL_LOSS, VAL_SOLVED, finite_or_none
from rnnlab.tasks import Task
from rnnlab.workspace import Workspace

VALIDATION_SEED = 0
"""Seed of the random initial states for validation; the states are identical in all validations."""
Workspaces = defaultdict[tuple[int, ...], Workspace]


class Stopped(Exception):
    """Exception raised if training must stop during a validation."""


def validate(
    model: Model, task: Task, params: Params, workspaces: Workspaces, stopping: Callable[[], bool]
) -> dict[str, float | None]:
    """Return the validation metrics of a network; see `Trainer.validate`."""
    loss = model.loss
    means: defaultdict[str, _Mean] = defaultdict(_Mean)
    states, start_rng = None, np.random.default_rng(VALIDATION_SEED)
    for batch in task.validation():
        initial = states if batch.continues else None
        tape = model.forward(params, batch, initial, workspaces[batch.x.shape], start_rng)
        means[VAL_LOSS].update(tape.losses[tape.weights > 0])
        for name, values in task.scores(loss, batch, tape).items():
            means[name].update(values)
        states = tape.cell.final_states()
        if stopping():
            raise Stopped
    metrics = {name: finite_or_none(mean.value) for name, mean in means.items()}
    goal = task.goal(loss)
    metrics[VAL_BASELINE] = goal.baseline
    if goal.criterion is not None and goal.below is not None:
        reached = metrics[goal.criterion] if metrics[VAL_LOSS] is not None else None
        metrics[VAL_SOLVED] = float(reached is not None and reached < goal.below)
    return metrics


@dataclass
class _Mean:
    """Running mean of values from batches that may differ in size."""

    total: float = 0.0
    count: int = 0

    def update(self, values: Array) -> None:
        self.total += float(values.sum(dtype=np.float64))
        self.count += values.size

    @property
    def value(self) -> float:
        return self.total / self.count
