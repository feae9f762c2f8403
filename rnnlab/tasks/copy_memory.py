"""Copy memory: tell ten symbols again after T time steps.

Ten symbols drawn from eight, T - 1 blanks, the cue, ten blanks; the targets are T + 10 blanks and the ten
symbols. The mean loss of one who remembers nothing is 10 ln 8 / (T + 20).

The paper shows curves against this baseline and gives no threshold; solved is here as in memorization, under
1 % of the validation sequences with any of the ten symbols wrong.

References:
    M. Arjovsky, A. Shah & Y. Bengio, *Unitary Evolution Recurrent Neural Networks* (2016).
    S. Hochreiter & J. Schmidhuber, *Long Short-Term Memory* (1997), where such tasks come from.
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
    """Ten symbols of eight after a delay of T."""

    @property
    def alphabet(self) -> int:
        """Eight."""
        return 8

    @property
    def kept(self) -> int:
        """Ten."""
        return 10

    @property
    def cue_before(self) -> int:
        """The cue is the last before the answer."""
        return 1

    def goal(self, loss: Loss) -> Goal:
        """The mean loss against that of guessing the ten."""
        return Goal(VAL_LOSS, self.guess(loss), ERROR_RATE, MAX_ERROR_RATE)
