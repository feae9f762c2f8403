"""Noiseless memorization: reproduce a few symbols after a delay of T time steps.

The inputs are the symbols to remember, T blanks, the cue, and more blanks. The number of symbols to remember
is `positions`, and the alphabet has `values` symbols. The network must output the first remembered symbol at
the time step of the cue. The 5-bit task uses 5 positions and 2 values; the 20-bit task uses 10 positions and
5 values.

The task is solved when fewer than 1 % of 10,000 sequences contain a wrong symbol. The 5-bit task has only 32
sequences. All 32 sequences are used for both training and validation, and the task is solved when all are
reproduced correctly. At chance level, the probability of a correct answer is 1 / values^positions.

References:
    Martens & Sutskever, *Learning Recurrent Neural Networks with Hessian-Free Optimization* (2011).
    Pascanu, Mikolov & Bengio, *On the difficulty of training recurrent neural networks* (2013), and the code
        published with it (pascanur/trainingRNNs), which is the source of the sequence layout used here.
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
    """Reproduction of `positions` symbols from an alphabet of size `values` after T time steps."""

    values: Annotated[int, Ge(2), Le(100)]
    positions: Annotated[int, Ge(1), Le(1000)]

    @property
    def alphabet(self) -> int:
        """Number of different symbols, equal to `values`."""
        return self.values

    @property
    def symbol_count(self) -> int:
        """Number of symbols to reproduce, equal to `positions`."""
        return self.positions

    @property
    def cue_before(self) -> int:
        """Number of time steps from the cue to the first answer: 0 for this task."""
        return 0

    def goal(self, loss: Loss) -> Goal:
        """Return the success criterion, based on the fraction of sequences that contain a wrong symbol.

        The task is solved when fewer than 1 % of the sequences contain a wrong symbol or, if training uses
        every possible sequence, when no sequence contains a wrong symbol.
        """
        count = self.values**self.positions
        below = 1 / count if self.validation_examples == count else MAX_ERROR_RATE
        return Goal(ERROR_RATE, 1 - 1 / count, ERROR_RATE, below)
