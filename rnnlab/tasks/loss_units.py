"""Unit in which the loss of a task is shown: that of the task's main metric if the metric is a loss."""

from dataclasses import dataclass
from math import log

from rnnlab.losses import Loss
from rnnlab.tasks.base import Task
from rnnlab.tasks.char_lm import BPC
from rnnlab.tasks.scores import MSE


@dataclass(frozen=True)
class LossUnit:
    """Unit of a loss.

    Attributes:
        name: Name of the unit.
        factor: Factor by which `train/loss` and `val/loss` are multiplied to obtain values in this unit.
    """

    name: str
    factor: float


def loss_unit(task: Task, loss: Loss) -> LossUnit:
    """Return the unit in which the losses of a task are comparable with the task's main metric."""
    metric = task.goal(loss).metric
    if metric == BPC:
        return LossUnit("bits per character", 1 / log(2))
    if metric == MSE:  # the loss ½ ‖o - y‖² is a sum over the outputs
        return LossUnit("mean squared error", 2 / task.output_size)
    return LossUnit("nats per target" if loss == "cross_entropy" else "half the squared error", 1.0)
