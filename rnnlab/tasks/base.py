"""The interface of a task: batches for training, validation and probing, and the success criterion."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from rnnlab.arrays import Array, Params
from rnnlab.losses import Loss, uniform_guess_loss
from rnnlab.model import Batch, Model, Tape


@dataclass(frozen=True)
class Goal:
    """Main validation metric of a task, its baseline and the success criterion.

    Attributes:
        metric: The main validation metric of the task, such as `val/mse`.
        baseline: The value of `metric` for predictions without memory or without inputs.
        criterion: The validation metric that decides whether the task is solved; None for a task without a
            criterion.
        below: Success threshold; the task is solved when `criterion` is below this value.
    """

    metric: str
    baseline: float
    criterion: str | None = None
    below: float | None = None


@dataclass(frozen=True)
class ValidationSize:
    """Size of a validation set.

    Attributes:
        kept: Number of sequences that stay in memory after the first validation.
        batch: Number of sequences in the largest batch.
        time: Number of time steps in the longest sequence.
    """

    kept: int
    batch: int
    time: int


class NamedTask(ABC):
    """Task properties that follow from the input names, the output names and the type of target."""

    @property
    @abstractmethod
    def input_names(self) -> Sequence[str]:
        """Names of the input symbols or features."""

    @property
    @abstractmethod
    def output_names(self) -> Sequence[str]:
        """Names of the output classes or values."""

    @property
    @abstractmethod
    def mean_square(self) -> float | None:
        """Mean of Σ y² over the targets; None if the targets are classes."""

    @property
    @abstractmethod
    def time(self) -> int:
        """Number of time steps in a sequence of length T."""

    @property
    def longest(self) -> int:
        """Number of time steps in the longest training sequence."""
        return self.time

    @property
    def input_size(self) -> int:
        """X, the number of input symbols or features."""
        return len(self.input_names)

    @property
    def output_size(self) -> int:
        """Y, the number of output classes or values."""
        return len(self.output_names)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Notes about the data for the user; no notes by default."""
        return ()

    @property
    def losses(self) -> tuple[Loss, ...]:
        """Squared error for values; for classes, cross-entropy or squared error from the one-hot class."""
        return ("cross_entropy", "squared_error") if self.mean_square is None else ("squared_error",)

    def chance(self, loss: Loss) -> float:
        """Return the loss per target for chance-level predictions: uniform over classes, or 0 for values."""
        if self.mean_square is None:
            return uniform_guess_loss(loss, self.output_size)
        return self.mean_square / 2


class Task(Protocol):
    """A source of batches, built from a configuration; all randomness comes from the caller's generators."""

    @property
    def seq_len(self) -> int:
        """T, the sequence length as defined by the task."""

    @property
    def batch_size(self) -> int:
        """B, the number of sequences per training batch."""

    @property
    def time(self) -> int:
        """Number of time steps in a sequence of length T."""

    @property
    def longest(self) -> int:
        """Number of time steps in the longest training sequence."""

    @property
    def input_size(self) -> int:
        """X, the number of input symbols or features."""

    @property
    def output_size(self) -> int:
        """Y, the number of output classes or values."""

    @property
    def input_names(self) -> Sequence[str]:
        """Names of the input symbols or features."""

    @property
    def output_names(self) -> Sequence[str]:
        """Names of the output classes or values."""

    @property
    def lag(self) -> int | None:
        """Largest number of time steps that the gradient must span to solve the task, or None."""

    @property
    def losses(self) -> tuple[Loss, ...]:
        """Losses suitable for the targets; the first loss is the task's default."""

    def chance(self, loss: Loss) -> float:
        """Return the loss per target for chance-level predictions: uniform over classes, or 0 for values."""

    def goal(self, loss: Loss) -> Goal:
        """Return the main validation metric, its baseline and the success criterion."""

    @property
    def dataset(self) -> Mapping[str, str]:
        """Name, digest and source of the data, under the keys `name`, `digest` and `source`."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """Notes about the data for the user, such as the columns left out; one line per note."""

    def batch(self, rng: np.random.Generator, step: int) -> Batch:
        """Return the training batch of a training step."""

    def probe_batch(self, rng: np.random.Generator, examples: int, length: int) -> Batch:
        """Return sequences of `length` time steps for measuring gradients.

        Raises:
            ValueError: The task has no sequences of this length.
        """

    def validation(self) -> Iterator[Batch]:
        """Yield the batches of the validation set, identical at every call.

        A batch with `continues=True` directly follows the batch whose sequences it continues.
        """

    @property
    def validation_size(self) -> ValidationSize:
        """Size of the validation set, computed without drawing the set."""

    def scores(self, loss: Loss, batch: Batch, tape: Tape) -> Mapping[str, Array]:
        """Return the values whose overall mean is the metric, for each metric except `val/loss`."""

    def samples(self, model: Model, params: Params, rng: np.random.Generator) -> dict[str, str]:
        """Return example texts generated by the trained network, by file name."""
