"""Noiseless memorization: tell a few symbols again after T time steps.

`positions` symbols drawn from `values`, T blanks, and the cue together with the first blank of the answer.
The 5 bit task has 5 positions of 2 values, the 20 bit task 10 positions of 5.

Solved: under 1 % of 10,000 sequences have any symbol wrong; of the 5 bit task, whose 32 sequences are all
trained on and all tested, none has. Who remembers nothing has all but one of values^positions wrong.

References:
    J. Martens & I. Sutskever, *Learning Recurrent Neural Networks with Hessian-Free Optimization* (2011).
    R. Pascanu, T. Mikolov & Y. Bengio, *On the difficulty of training recurrent neural networks* (2013), and
        its public code, pascanur/trainingRNNs, whose layout this is.
"""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

from rnnlab.losses import Loss
from rnnlab.tasks.base import Goal
from rnnlab.tasks.recall import Recall
from rnnlab.tasks.scores import ERROR_RATE
from rnnlab.tasks.symbolic import MAX_ERROR_RATE


@dataclass(frozen=True)
class Memorization(Recall):
    """`positions` symbols of `values` after a delay of T."""

    values: Annotated[int, Ge(2), Le(100)]
    positions: Annotated[int, Ge(1), Le(1000)]

    @property
    def alphabet(self) -> int:
        """`values`."""
        return self.values

    @property
    def kept(self) -> int:
        """`positions`."""
        return self.positions

    @property
    def cue_before(self) -> int:
        """The cue comes with the first answer."""
        return 0

    def goal(self, loss: Loss) -> Goal:
        """Share of sequences with a wrong symbol: under 1 %, or none where all there are were trained on."""
        different = self.values**self.positions
        on_all = self.validation_examples == different
        return Goal(ERROR_RATE, 1 - 1 / different, ERROR_RATE, 1 / different if on_all else MAX_ERROR_RATE)
