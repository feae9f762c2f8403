"""Common base of tasks with random symbol sequences and classes as targets."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from rnnlab.arrays import Array
from rnnlab.losses import Loss
from rnnlab.model import Batch, Tape
from rnnlab.tasks.scores import ERROR_RATE, wrong_sequences
from rnnlab.tasks.synthetic import Synthetic

MAX_ERROR_RATE = 0.01
"""Success criterion of Pascanu, Mikolov & Bengio (2013), for all tasks except 5-bit memorization."""


@dataclass(frozen=True)
class Symbolic(Synthetic):
    """A task with named symbols and classes; only the last `answers` targets of a sequence are scored."""

    @property
    @abstractmethod
    def answers(self) -> int:
        """Number of final targets that must all be correct for the sequence to count as correct."""

    @property
    def mean_square(self) -> None:
        """The mean square is None, because the targets are classes."""
        return None

    def scores(self, loss: Loss, batch: Batch, tape: Tape) -> Mapping[str, Array]:
        """Return `val/error_rate`, the share of sequences with a wrong answer."""
        return {ERROR_RATE: wrong_sequences(batch, tape, self.answers)}
