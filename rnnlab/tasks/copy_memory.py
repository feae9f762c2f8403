"""Copy memory: reproduce ten symbols after T time steps.

The input sequence consists of ten symbols (from an alphabet of eight), followed by T - 1 blanks, a cue and
ten blanks. The target sequence consists of T + 10 blanks, followed by the ten symbols. The baseline is the
mean loss of predictions made without memory, 10 ln 8 / (T + 20).

Arjovsky et al. compare loss curves with this baseline but give no success threshold. rnnlab uses the success
criterion of the memorization task: the task is solved when fewer than 1 % of the validation sequences have an
error in any of the ten symbols.

References:
    M. Arjovsky, A. Shah & Y. Bengio, *Unitary Evolution Recurrent Neural Networks* (2016).
    S. Hochreiter & J. Schmidhuber, *Long Short-Term Memory* (1997), which introduced similar tasks.
"""

from dataclasses import dataclass

from rnnlab.losses import Loss
from rnnlab.records import VAL_LOSS
from rnnlab.tasks.base import Goal
from rnnlab.tasks.recall import Recall
from rnnlab.tasks.scores import ERROR_RATE
from rnnlab.tasks.symbolic import MAX_ERROR_RATE


@dataclass(frozen=True)
class CopyMemory(Recall):
    """Copy memory task: reproduce ten symbols from an alphabet of eight after a delay of T time steps."""

    @property
    def alphabet(self) -> int:
        """Number of different symbols, 8."""
        return 8

    @property
    def symbol_count(self) -> int:
        """Number of symbols to reproduce, 10."""
        return 10

    @property
    def cue_before(self) -> int:
        """Number of time steps from the cue to the first target symbol, always 1."""
        return 1

    def goal(self, loss: Loss) -> Goal:
        """Return the mean loss as the metric; the baseline guesses the ten symbols at random."""
        return Goal(VAL_LOSS, self.guess_loss(loss), ERROR_RATE, MAX_ERROR_RATE)
