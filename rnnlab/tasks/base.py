"""What a task is to the rest of the lab: a source of batches that knows how to be judged."""

from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np

from rnnlab.arrays import Params
from rnnlab.losses import Loss
from rnnlab.model import Batch, Model


class Task(Protocol):
    """A source of batches, made from a configuration; everything random comes from handed-in generators."""

    @property
    def seq_len(self) -> int:
        """T, the time steps of a training sequence."""

    @property
    def input_size(self) -> int:
        """X, the number of symbols or of features."""

    @property
    def output_size(self) -> int:
        """Y, the number of classes."""

    @property
    def lag(self) -> int | None:
        """The lag that the task needs to be solved, where it has one."""

    @property
    def loss(self) -> Loss:
        """The loss that the task is trained with unless another is asked for."""

    def baseline(self, loss: Loss) -> float:
        """Loss of one target for one who has learned nothing."""

    @property
    def dataset(self) -> Mapping[str, str]:
        """`name`, `digest` and `source` of the data."""

    def batch(self, rng: np.random.Generator, step: int) -> Batch:
        """The training batch of a step."""

    def probe_batch(self, rng: np.random.Generator, examples: int, length: int) -> Batch:
        """Sequences that are not trained on, `length` time steps long, to measure gradients with.

        Raises:
            ValueError: The task has none so long.
        """

    def validation(self) -> Iterator[Batch]:
        """The validation set, in an order in which `continues` holds."""

    def validation_metrics(self, value: float, loss: Loss) -> dict[str, float]:
        """What to report beside `val/loss`, whose value is the mean loss of a target."""

    def samples(self, model: Model, params: Params, rng: np.random.Generator) -> dict[str, str]:
        """Texts by file name that show what the trained network does."""
