"""Validation of a network on the held-out sequences of its task."""

from collections import defaultdict
from collections.abc import Callable

import numpy as np

from rnnlab.arrays import Params
from rnnlab.model import Model
from rnnlab.records import VAL_BASELINE, VAL_LOSS, VAL_SOLVED, finite_or_none
from rnnlab.tasks import Task
from rnnlab.training.parts import Mean
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
    means: defaultdict[str, Mean] = defaultdict(Mean)
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
