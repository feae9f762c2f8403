"""Base class of the adding and multiplication problems: sequences of numbers with two marked positions.

The inputs at each time step are a number and a marker. The only target, at the last time step, is a function
of the two numbers whose marker is 1. In the published versions of the task, the marked positions are drawn
from different ranges (positions are 0-based, T is the number of time steps, and L is `seq_len`):

| version | numbers | first mark | second mark | sequence length |
| --- | --- | --- | --- | --- |
| `hochreiter_1997` | defined by the task | one of the first 10 | another of the first T/2 - 1 | [L, 1.1 L) |
| `pascanu_2013` | U[0, 1] | [0, T/10) | [T/10, T/2) | [L, 1.1 L) |
| `le_2015` | U[0, 1] | first half | second half | L |

In `hochreiter_1997`, the marker at the first and at the last time step is -1, unless the time step is one of
the two marked positions. If the first time step is marked, the number at this time step is replaced by a
constant. For each batch, rnnlab draws one sequence length; in the 1997 paper, each batch consists of a single
sequence.

References:
    Hochreiter & Schmidhuber, *Long Short-Term Memory* (1997), experiments 4 and 5.
    Pascanu, Mikolov & Bengio, *On the difficulty of training recurrent neural networks* (2013), and the code
        published with it (pascanur/trainingRNNs).
    Le, Jaitly & Hinton, *A Simple Way to Initialize Recurrent Networks of Rectified Linear Units* (2015).
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rnnlab.arrays import Array
from rnnlab.losses import Loss
from rnnlab.model import Batch, Tape
from rnnlab.tasks.base import Goal
from rnnlab.tasks.scores import ERROR_RATE, MSE, squared_errors
from rnnlab.tasks.synthetic import Extent, Synthetic

Version = Literal["le_2015", "pascanu_2013", "hochreiter_1997"]

MIN_LENGTH = {"le_2015": 2, "pascanu_2013": 10, "hochreiter_1997": 24}
FIRST_TEN = 10
TOLERANCE = 0.04
MAX_ERROR_RATE = 0.01


@dataclass(frozen=True)
class MarkedPairs(Synthetic):
    """Sequences of numbers with two marked positions; `version` selects the published definition."""

    version: Version

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the two inputs: number and marker."""
        return "number", "marker"

    @property
    def output_names(self) -> tuple[str, ...]:
        """Name of the output."""
        return ("target",)

    @property
    def lag(self) -> int:
        """Lag from the last time step back to the first time step, the earliest that can be marked."""
        return self.seq_len - 1

    @property
    def mean_square(self) -> float:
        """Mean square of the target."""
        mean, variance = self.moments
        return mean**2 + variance

    def goal(self, loss: Loss) -> Goal:
        """Return the mean squared error as the metric, with the variance of the target as the baseline."""
        return Goal(MSE, self.moments[1], ERROR_RATE, MAX_ERROR_RATE)

    def check(self, T: int) -> None:
        """Raise ValueError if T is less than the minimum length for the selected version of the task."""
        if MIN_LENGTH[self.version] > T:
            raise ValueError(
                f"seq_len={T}: must be at least {MIN_LENGTH[self.version]} with version={self.version}"
            )

    def extent(self, T: int) -> Extent:
        """Return the range of sequence lengths: T in the 2015 version, [T, 1.1 T) in the other versions."""
        return Extent(T, T if self.version == "le_2015" else T + max(T // 10 - 1, 0), None)

    def draw(self, rng: np.random.Generator, examples: int, T: int) -> Batch:
        """Return the numbers and markers, shape (T, 2, B), and the targets, shape (1, 1, B)."""
        columns = np.arange(examples)
        one, other = self._marks(rng, examples, T)
        x = np.zeros((T, 2, examples))
        x[:, 0] = rng.uniform(self.lowest, 1.0, (T, examples))
        if self.version == "hochreiter_1997":
            x[[0, -1], 1] = -1.0
            x[0, 0, (one == 0) | (other == 0)] = self.neutral
        x[one, 1, columns] = x[other, 1, columns] = 1.0
        return Batch(x, self.target(x[one, 0, columns], x[other, 0, columns])[None, None])

    def scores(self, loss: Loss, batch: Batch, tape: Tape) -> Mapping[str, Array]:
        """Return the values of `val/mse` and `val/error_rate` (True if the error exceeds the tolerance)."""
        squared = squared_errors(batch, tape)
        errors = np.sqrt(squared) if self.version == "hochreiter_1997" else squared
        return {MSE: squared, ERROR_RATE: ~(errors <= TOLERANCE)}

    @abstractmethod
    def target(self, one: Array, other: Array) -> Array:
        """Return the target computed from the two marked numbers."""

    @property
    @abstractmethod
    def lowest(self) -> float:
        """Lower bound of the input numbers; the upper bound is 1."""

    @property
    @abstractmethod
    def neutral(self) -> float:
        """Number that is used in `hochreiter_1997` at the first time step if this time step is marked."""

    @property
    @abstractmethod
    def moments(self) -> tuple[float, float]:
        """Mean and variance of the target."""

    @property
    def first_is_marked(self) -> float:
        """Probability in `hochreiter_1997` that the first time step is marked."""
        T = np.array(self.lengths)
        if len(T) == 1:
            T = np.arange(self.seq_len, self.extent(self.seq_len).longest + 1)
        second = np.mean(1 / (T // 2 - 2))
        return float(1 / FIRST_TEN + (1 - 1 / FIRST_TEN) * second)

    def _marks(self, rng: np.random.Generator, examples: int, T: int) -> tuple[Array, Array]:
        """Return the indices of the two marked time steps in each sequence, counted from 0."""
        if self.version == "le_2015":
            return rng.integers(0, T // 2, examples), rng.integers(T // 2, T, examples)
        if self.version == "pascanu_2013":
            return rng.integers(0, T // 10, examples), T // 10 + rng.integers(0, int(0.4 * T), examples)
        one = rng.integers(0, FIRST_TEN, examples)
        other = rng.integers(0, T // 2 - 2, examples)
        return one, other + (other >= one)  # skip the position of the first mark
