"""Reproduction of symbols after a delay: common base of copy memory and memorization.

    inputs    n symbols, blanks, one cue, blanks
    targets   blanks, and at the last n time steps the n symbols

T is the delay; the sequence has T + 2n time steps. The baseline predicts every blank correctly and guesses
each of the n symbols, with the loss ln(alphabet size) per symbol.
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
    """Reproduction of n symbols after T time steps."""

    @property
    @abstractmethod
    def alphabet(self) -> int:
        """Number of different symbols."""

    @property
    @abstractmethod
    def symbol_count(self) -> int:
        """n, the number of symbols to reproduce."""

    @property
    @abstractmethod
    def cue_before(self) -> int:
        """Number of time steps between the cue and the first answer: 0 or 1."""

    @property
    def answers(self) -> int:
        """Number of scored targets: n, the symbols to reproduce."""
        return self.symbol_count

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the symbols, the blank and the cue."""
        return (*self.output_names, "?")

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the symbols and the blank."""
        return (*(str(symbol) for symbol in range(self.alphabet)), "_")

    @property
    def lag(self) -> int:
        """Lag from the answer back to the symbol in the input, equal for all n symbols."""
        return self.seq_len + self.symbol_count

    def guess_loss(self, loss: Loss) -> float:
        """Return the mean loss per target if the blanks are correct and the symbols are guessed."""
        time = float(self.time)
        if len(self.lengths) > 1:
            batches = list(self.validation())
            time = sum(batch.y.size for batch in batches) / sum(batch.size for batch in batches)
        return self.symbol_count * uniform_guess_loss(loss, self.alphabet) / time

    def check(self, T: int) -> None:
        """Accept any delay."""

    def extent(self, T: int) -> Extent:
        """Return the size of the set of sequences: T + 2n time steps with n random symbols."""
        return Extent(T + 2 * self.symbol_count, T, self.alphabet**self.symbol_count)

    def draw(self, rng: np.random.Generator, examples: int, T: int) -> Batch:
        """Return symbols (T + 2n, B) with a target at every time step."""
        blank, cue = self.alphabet, self.alphabet + 1
        time = T + 2 * self.symbol_count
        symbols = rng.integers(0, self.alphabet, (self.symbol_count, examples))
        x, y = np.full((2, time, examples), blank)
        x[: self.symbol_count] = y[-self.symbol_count :] = symbols
        x[time - self.symbol_count - self.cue_before] = cue
        return Batch(x, y)
