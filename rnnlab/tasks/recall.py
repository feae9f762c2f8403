"""Sequences to be kept and told again after a delay: what copying and memorization share.

    inputs    n symbols to keep, blanks, one cue, blanks
    targets   blanks, and at the last n time steps the n symbols

T is the delay: the sequence has T + 2n time steps. Who remembers nothing but the time guesses the n symbols,
each with the loss ln(values), and knows the blanks.
"""

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from rnnlab.losses import Loss, uniform_guess_loss
from rnnlab.model import Batch
from rnnlab.tasks.symbolic import Symbolic
from rnnlab.tasks.synthetic import Extent


@dataclass(frozen=True)
class Recall(Symbolic):
    """Symbols to be told again after T time steps."""

    @property
    @abstractmethod
    def alphabet(self) -> int:
        """How many different symbols there are to keep."""

    @property
    @abstractmethod
    def kept(self) -> int:
        """n, how many are kept."""

    @property
    @abstractmethod
    def cue_before(self) -> int:
        """How many time steps before the first symbol is to be told the cue is given: 0 or 1."""

    @property
    def answers(self) -> int:
        """The n symbols."""
        return self.kept

    @property
    def input_names(self) -> tuple[str, ...]:
        """The symbols, blank and cue."""
        return (*self.output_names, "?")

    @property
    def output_names(self) -> tuple[str, ...]:
        """The symbols and blank."""
        return (*(str(symbol) for symbol in range(self.alphabet)), "_")

    @property
    def lag(self) -> int:
        """From where each symbol is to be told to where it was given."""
        return self.seq_len + self.kept

    def guess(self, loss: Loss) -> float:
        """The loss of a target, in the mean, for one who tells blanks in time and guesses the symbols."""
        time = float(self.time)
        if len(self.lengths) > 1:
            batches = list(self.validation())
            time = sum(batch.y.size for batch in batches) / sum(batch.size for batch in batches)
        return self.kept * uniform_guess_loss(loss, self.alphabet) / time

    def check(self, T: int) -> None:
        """Any delay will do."""

    def extent(self, T: int) -> Extent:
        """T + 2n time steps, of which n are drawn."""
        return Extent(T + 2 * self.kept, T, self.alphabet**self.kept)

    def draw(self, rng: np.random.Generator, examples: int, T: int) -> Batch:
        """Symbols (T + 2n, B), a target at every time step."""
        blank, cue = self.alphabet, self.alphabet + 1
        time = T + 2 * self.kept
        symbols = rng.integers(0, self.alphabet, (self.kept, examples))
        x, y = np.full((2, time, examples), blank)
        x[: self.kept] = y[-self.kept :] = symbols
        x[time - self.kept - self.cue_before] = cue
        return Batch(x, y)
