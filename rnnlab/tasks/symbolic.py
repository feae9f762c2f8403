"""Drawn sequences of symbols with classes as targets: what these tasks have in common."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from rnnlab.arrays import Array
from rnnlab.losses import Loss
from rnnlab.model import Batch, Tape
from rnnlab.tasks.scores import ERROR_RATE, wrong_sequences
from rnnlab.tasks.synthetic import Synthetic

MAX_ERROR_RATE = 0.01
"""The success criterion of R. Pascanu, T. Mikolov & Y. Bengio (2013), for all but the 5 bit memorization."""


@dataclass(frozen=True)
class Symbolic(Synthetic):
    """A drawn task whose inputs and targets have names; its last `answers` targets are what is asked for."""

    @property
    @abstractmethod
    def answers(self) -> int:
        """How many targets, at the end, all must be right for the sequence to be so."""

    @property
    def mean_square(self) -> None:
        """Targets are classes."""
        return None

    def scores(self, loss: Loss, batch: Batch, tape: Tape) -> Mapping[str, Array]:
        """`val/error_rate`: the share of sequences with a wrong answer."""
        return {ERROR_RATE: wrong_sequences(batch, tape, self.answers)}
