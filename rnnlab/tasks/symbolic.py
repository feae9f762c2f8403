"""Base class of tasks with random symbol sequences as inputs and classes as targets."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from rnnlab.arrays import Array
from rnnlab.losses import Loss
from rnnlab.model import Batch, Tape
from rnnlab.tasks.scores import ERROR_RATE, wrong_sequences
from rnnlab.tasks.synthetic import Synthetic

MAX_ERROR_RATE = 0.01
"""Error rate below which Pascanu, Mikolov & Bengio (2013) regard a task as solved."""


@dataclass(frozen=True)
class Symbolic(Synthetic):
    """A task with symbols as inputs and classes as targets; only the last `answers` targets are scored."""

    @property
    @abstractmethod
    def answers(self) -> int:
        """Number of targets, at the end of each sequence, that must all be predicted correctly."""

    @property
    def mean_square(self) -> None:
        """Mean square of the targets: None, because the targets are classes."""
        return None

    def scores(self, loss: Loss, batch: Batch, tape: Tape) -> Mapping[str, Array]:
        """Return the values of `val/error_rate`: True for each sequence with a wrong answer."""
        return {ERROR_RATE: wrong_sequences(batch, tape, self.answers)}
