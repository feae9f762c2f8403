"""Interface of a task, which provides batches for training, validation and probing."""

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
    """Main validation metric of a task, with a baseline value and an optional success criterion.

    Attributes:
        metric: Name of the main validation metric, such as `val/mse`.
        baseline: Value of `metric` for predictions made without memory or without any inputs.
        criterion: Name of the validation metric to which the success threshold applies; None for a task
            without a success criterion.
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
        kept: Number of sequences that are kept in memory after the first validation.
        batch: Number of sequences in the largest batch.
        time: Number of time steps in the longest sequence.
    """

    kept: int
    batch: int
    time: int


class NamedTask(ABC):
    """Base class that derives task properties from input names, output names and the type of target."""

    @property
    @abstractmethod
    def input_names(self) -> Sequence[str]:
        """Names of the input symbols or features."""

    @property
    @abstractmethod
    def output_names(self) -> Sequence[str]:
        """Names of the output classes or real-valued outputs."""

    @property
    @abstractmethod
    def mean_square(self) -> float | None:
        """Mean squared norm Σ y² of the targets; None if the targets are classes."""

    @property
    @abstractmethod
    def time(self) -> int:
        """Number of time steps in a sequence, given the sequence length T of the task."""

    @property
    def longest(self) -> int:
        """Number of time steps in the longest training sequence."""
        return self.time

    @property
    def input_size(self) -> int:
        """Number of input symbols or features, X."""
        return len(self.input_names)

    @property
    def output_size(self) -> int:
        """Number of output classes or real-valued outputs, Y."""
        return len(self.output_names)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Notes about the data for the user; empty by default."""
        return ()

    @property
    def losses(self) -> tuple[Loss, ...]:
        """Losses for real-valued targets (squared error) or classes (cross-entropy or squared error).

        For classes, the target of the squared error is the one-hot encoded class.
        """
        return ("cross_entropy", "squared_error") if self.mean_square is None else ("squared_error",)

    def chance(self, loss: Loss) -> float:
        """Return the loss per target at chance level.

        The chance-level prediction is uniform over the classes, or 0 for real-valued targets.
        """
        if self.mean_square is None:
            return uniform_guess_loss(loss, self.output_size)
        return self.mean_square / 2


class Task(Protocol):
    """Source of batches, built from a configuration.

    All random numbers are drawn from generators that the caller passes.
    """

    @property
    def seq_len(self) -> int:
        """Sequence length T, as defined by the task."""

    @property
    def batch_size(self) -> int:
        """Number of sequences per training batch, B."""

    @property
    def time(self) -> int:
        """Number of time steps in a sequence, given the sequence length T of the task."""

    @property
    def longest(self) -> int:
        """Number of time steps in the longest training sequence."""

    @property
    def input_size(self) -> int:
        """Number of input symbols or features, X."""

    @property
    def output_size(self) -> int:
        """Number of output classes or real-valued outputs, Y."""

    @property
    def input_names(self) -> Sequence[str]:
        """Names of the input symbols or features."""

    @property
    def output_names(self) -> Sequence[str]:
        """Names of the output classes or real-valued outputs."""

    @property
    def lag(self) -> int | None:
        """Largest lag that gradients must span for the task to be solved; None if no such lag is defined."""

    @property
    def losses(self) -> tuple[Loss, ...]:
        """Losses suitable for the targets; the first loss is the task's default."""

    def chance(self, loss: Loss) -> float:
        """Return the loss per target at chance level.

        The chance-level prediction is uniform over the classes, or 0 for real-valued targets.
        """

    def goal(self, loss: Loss) -> Goal:
        """Return the main validation metric, its baseline and the success criterion."""

    @property
    def dataset(self) -> Mapping[str, str]:
        """Name, digest and source of the data, under the keys `name`, `digest` and `source`."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """Notes about the data for the user, for example about omitted columns; one line per note."""

    def batch(self, rng: np.random.Generator, step: int) -> Batch:
        """Return the training batch for a training step."""

    def probe_batch(self, rng: np.random.Generator, examples: int, length: int) -> Batch:
        """Return sequences of `length` time steps for measuring gradients.

        Raises:
            ValueError: If the task has no sequences of this length.
        """

    def validation(self) -> Iterator[Batch]:
        """Yield the batches of the validation set, which are identical at every call.

        A batch with `continues=True` directly follows the batch whose sequences it continues.
        """

    @property
    def validation_size(self) -> ValidationSize:
        """Size of the validation set, computed without generating the set."""

    def scores(self, loss: Loss, batch: Batch, tape: Tape) -> Mapping[str, Array]:
        """For each validation metric except `val/loss`, return the values whose mean is the metric."""

    def samples(self, model: Model, params: Params, rng: np.random.Generator) -> dict[str, str]:
        """Return example texts generated by the trained network, keyed by file name."""
