"""Base class of the copy memory and memorization tasks: reproduction of symbols after a delay.

    inputs    n symbols, blanks, one cue, blanks
    targets   blanks, and at the last n time steps the n symbols

The delay is T time steps, and each sequence has T + 2n time steps. The baseline predicts every blank
correctly and guesses each of the n symbols; its loss is ln(alphabet size) per guessed symbol.
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
    """Reproduction of n symbols after a delay of T time steps."""

    @property
    @abstractmethod
    def alphabet(self) -> int:
        """Number of different symbols."""

    @property
    @abstractmethod
    def symbol_count(self) -> int:
        """Number of symbols to reproduce, n."""

    @property
    @abstractmethod
    def cue_before(self) -> int:
        """Number of time steps from the cue to the first answer: 0 or 1."""

    @property
    def answers(self) -> int:
        """Number of scored targets per sequence, equal to the number of symbols to reproduce."""
        return self.symbol_count

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the input symbols, including the blank and the cue."""
        return (*self.output_names, "?")

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the output symbols, including the blank."""
        return (*(str(symbol) for symbol in range(self.alphabet)), "_")

    @property
    def lag(self) -> int:
        """Lag from each answer back to the corresponding input symbol; it is the same for all answers."""
        return self.seq_len + self.symbol_count

    def guess_loss(self, loss: Loss) -> float:
        """Return the mean loss per target of a baseline that predicts the blanks and guesses the symbols."""
        time = float(self.time)
        if len(self.lengths) > 1:
            batches = list(self.validation())
            time = sum(batch.y.size for batch in batches) / sum(batch.size for batch in batches)
        return self.symbol_count * uniform_guess_loss(loss, self.alphabet) / time

    def check(self, T: int) -> None:
        """Accept any delay."""

    def extent(self, T: int) -> Extent:
        """Return the sequence length, T + 2n, and the number of different sequences."""
        return Extent(T + 2 * self.symbol_count, T, self.alphabet**self.symbol_count)

    def draw(self, rng: np.random.Generator, examples: int, T: int) -> Batch:
        """Return the input symbols and the targets, both of shape (T + 2n, B)."""
        blank, cue = self.alphabet, self.alphabet + 1
        time = T + 2 * self.symbol_count
        symbols = rng.integers(0, self.alphabet, (self.symbol_count, examples))
        x, y = np.full((2, time, examples), blank)
        x[: self.symbol_count] = y[-self.symbol_count :] = symbols
        x[time - self.symbol_count - self.cue_before] = cue
        return Batch(x, y)
