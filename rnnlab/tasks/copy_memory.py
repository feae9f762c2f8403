"""Copy memory: reproduce ten symbols after T time steps.

The inputs are ten symbols drawn from an alphabet of eight, T - 1 blanks, the cue and ten blanks. The targets
are T + 10 blanks and the ten symbols. The baseline is the mean loss of a prediction without memory, 10 ln 8 /
(T + 20).

The paper compares loss curves with this baseline and gives no threshold. Here the criterion is the same as
for memorization: the task is solved when fewer than 1 % of the validation sequences have a wrong symbol among
the ten.

References:
    M. Arjovsky, A. Shah & Y. Bengio, *Unitary Evolution Recurrent Neural Networks* (2016).
    S. Hochreiter & J. Schmidhuber, *Long Short-Term Memory* (1997), the origin of such tasks.
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
    """Ten symbols from an alphabet of eight, reproduced after a delay of T time steps."""

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
        """Number of time steps between the cue and the first answer; always 1."""
        return 1

    def goal(self, loss: Loss) -> Goal:
        """Return the mean loss; the baseline guesses the ten symbols."""
        return Goal(VAL_LOSS, self.guess_loss(loss), ERROR_RATE, MAX_ERROR_RATE)
