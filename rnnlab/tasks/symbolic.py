"""Drawn sequences of symbols with classes as targets: what these tasks have in common."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from rnnlab.arrays import Array
from rnnlab.losses import Loss, uniform_guess_loss
from rnnlab.model import Batch, Tape
from rnnlab.tasks.scores import ERROR_RATE, wrong_sequences
from rnnlab.tasks.synthetic import Synthetic

MOST_WRONG = 0.01
"""The success criterion of R. Pascanu, T. Mikolov & Y. Bengio (2013), for all but the 5 bit memorization."""


@dataclass(frozen=True)
class Symbolic(Synthetic):
    """A drawn task whose inputs and targets have names; its last `answers` targets are what is asked for."""

    @property
    @abstractmethod
    def answers(self) -> int:
        """How many targets, at the end, all must be right for the sequence to be so."""

    @property
    def input_size(self) -> int:
        """The number of symbols."""
        return len(self.input_names)

    @property
    def output_size(self) -> int:
        """The number of classes."""
        return len(self.output_names)

    @property
    @abstractmethod
    def input_names(self) -> tuple[str, ...]:
        """The symbols."""

    @property
    @abstractmethod
    def output_names(self) -> tuple[str, ...]:
        """The classes."""

    @property
    def losses(self) -> tuple[Loss, ...]:
        """Cross-entropy, or the squared error to the one-hot class."""
        return "cross_entropy", "squared_error"

    def chance(self, loss: Loss) -> float:
        """The loss of guessing all classes alike."""
        return uniform_guess_loss(loss, self.output_size)

    def scores(self, loss: Loss, batch: Batch, tape: Tape) -> Mapping[str, Array]:
        """`val/error_rate`: the share of sequences with a wrong answer."""
        return {ERROR_RATE: wrong_sequences(batch, tape, self.answers)}
