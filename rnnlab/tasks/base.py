"""What a task is to the rest of the lab: a source of batches that knows how to be judged."""

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
    """What a task asks for.

    Attributes:
        metric: The validation metric that it is known by, such as `val/mse`.
        baseline: That metric's value for one who does not look back, or not at the inputs at all.
        criterion: The validation metric that decides whether the task is solved, or None: it never is.
        below: Solved is a validation at which the criterion is under this.
    """

    metric: str
    baseline: float
    criterion: str | None = None
    below: float | None = None


@dataclass(frozen=True)
class ValidationSize:
    """How large a validation set is.

    Attributes:
        kept: Sequences that are kept from its first use on.
        batch: Sequences of its largest batch.
        time: The most time steps of one.
    """

    kept: int
    batch: int
    time: int


class NamedTask(ABC):
    """What follows, in any task, from the names of its inputs and outputs and the kind of its targets."""

    @property
    @abstractmethod
    def input_names(self) -> Sequence[str]:
        """What people call the symbols or features."""

    @property
    @abstractmethod
    def output_names(self) -> Sequence[str]:
        """What people call the classes or values."""

    @property
    @abstractmethod
    def mean_square(self) -> float | None:
        """Σ y² of a target, in the mean, where targets are values; None where they are classes."""

    @property
    @abstractmethod
    def time(self) -> int:
        """The time steps of a sequence of length T."""

    @property
    def longest(self) -> int:
        """The most time steps of a training sequence."""
        return self.time

    @property
    def input_size(self) -> int:
        """X, the number of symbols or features."""
        return len(self.input_names)

    @property
    def output_size(self) -> int:
        """Y, the number of classes or values."""
        return len(self.output_names)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Nothing to be said."""
        return ()

    @property
    def losses(self) -> tuple[Loss, ...]:
        """Squared error for values; cross-entropy, or the squared error to the one-hot class, for classes."""
        return ("cross_entropy", "squared_error") if self.mean_square is None else ("squared_error",)

    def chance(self, loss: Loss) -> float:
        """Loss of one target for outputs that say nothing: all 0, and of classes all alike."""
        if self.mean_square is None:
            return uniform_guess_loss(loss, self.output_size)
        return self.mean_square / 2


class Task(Protocol):
    """A source of batches, made from a configuration; everything random comes from handed-in generators."""

    @property
    def seq_len(self) -> int:
        """T, the task's length; each task says what that is."""

    @property
    def batch_size(self) -> int:
        """B, the sequences of a training batch."""

    @property
    def time(self) -> int:
        """The time steps of a sequence of length T."""

    @property
    def longest(self) -> int:
        """The most time steps of a training sequence."""

    @property
    def input_size(self) -> int:
        """X, the number of symbols or of features."""

    @property
    def output_size(self) -> int:
        """Y, the number of classes or of values."""

    @property
    def input_names(self) -> Sequence[str]:
        """What people call the symbols or features."""

    @property
    def output_names(self) -> Sequence[str]:
        """What people call the classes or values."""

    @property
    def lag(self) -> int | None:
        """The most time steps that the loss must reach back for the task to be solved, if any."""

    @property
    def losses(self) -> tuple[Loss, ...]:
        """The losses that the targets allow; the first is the task's own."""

    def chance(self, loss: Loss) -> float:
        """Loss of one target for outputs that say nothing: all 0, and of classes all alike."""

    def goal(self, loss: Loss) -> Goal:
        """What the validation is compared with."""

    @property
    def dataset(self) -> Mapping[str, str]:
        """`name`, `digest` and `source` of the data."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the user should know of the data before training, such as what is left out; a line each."""

    def batch(self, rng: np.random.Generator, step: int) -> Batch:
        """The training batch of a step."""

    def probe_batch(self, rng: np.random.Generator, examples: int, length: int) -> Batch:
        """Sequences of `length` time steps to measure gradients with.

        Raises:
            ValueError: The task has none so long.
        """

    def validation(self) -> Iterator[Batch]:
        """The validation set, the same at every call, in an order in which `continues` holds."""

    @property
    def validation_size(self) -> ValidationSize:
        """Of the validation set, known without making it."""

    def scores(self, loss: Loss, batch: Batch, tape: Tape) -> Mapping[str, Array]:
        """Validation metrics beside `val/loss`: values by name, whose mean over all batches is the metric."""

    def samples(self, model: Model, params: Params, rng: np.random.Generator) -> dict[str, str]:
        """Texts by file name that show what the trained network does."""
