"""Noiseless memorization: reproduce a few symbols after T time steps.

The inputs are `positions` symbols, each with one of `values` values, T blanks, the cue, and blanks; the cue
coincides with the first symbol of the answer. The 5-bit task has 5 positions of 2 values; the 20-bit task has
10 positions of 5 values.

The task is solved when fewer than 1 % of 10,000 sequences have a wrong symbol. The 5-bit task has only 32
sequences, all used for both training and validation, and is solved when no sequence is wrong. At chance
level, one in values^positions sequences is correct.

References:
    J. Martens & I. Sutskever, *Learning Recurrent Neural Networks with Hessian-Free Optimization* (2011).
    R. Pascanu, T. Mikolov & Y. Bengio, *On the difficulty of training recurrent neural networks* (2013), and
        its public code, pascanur/trainingRNNs, the source of this layout.
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
    """`positions` symbols, each with one of `values` values, reproduced after a delay of T time steps."""

    values: Annotated[int, Ge(2), Le(100)]
    positions: Annotated[int, Ge(1), Le(1000)]

    @property
    def alphabet(self) -> int:
        """Number of different symbols, `values`."""
        return self.values

    @property
    def symbol_count(self) -> int:
        """Number of symbols to reproduce, `positions`."""
        return self.positions

    @property
    def cue_before(self) -> int:
        """Number of time steps between the cue and the first answer; always 0."""
        return 0

    def goal(self, loss: Loss) -> Goal:
        """Return the share of sequences with a wrong symbol.

        The task is solved below 1 %, or at 0 if the training set contains every sequence.
        """
        count = self.values**self.positions
        below = 1 / count if self.validation_examples == count else MAX_ERROR_RATE
        return Goal(ERROR_RATE, 1 - 1 / count, ERROR_RATE, below)
