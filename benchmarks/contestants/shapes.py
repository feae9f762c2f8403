"""Network and batch sizes of the comparison."""

from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Cell = Literal["rnn", "lstm", "gru"]
Inputs = Literal["symbols", "vectors"]
GATES: dict[Cell, int] = {"rnn": 1, "lstm": 4, "gru": 3}
LR, CLIP = 2e-3, 1.0


@dataclass(frozen=True)
class Shape:
    """Cell type and sizes of one comparison.

    Attributes:
        cell: Cell type.
        inputs: `symbols` (62 symbols, with a target at every time step) or `vectors` (6 features, with one
            target of 4 classes at the end).
        H: Hidden size.
        B: Batch size.
        T: Time steps.
        layers: Number of layers.
    """

    cell: Cell
    inputs: Inputs
    H: int
    B: int
    T: int
    layers: int = 1

    @property
    def X(self) -> int:
        """Input size."""
        return 62 if self.inputs == "symbols" else 6

    @property
    def Y(self) -> int:
        """Output size."""
        return 62 if self.inputs == "symbols" else 4

    @property
    def outputs(self) -> int:
        """Number S of final time steps with an output."""
        return self.T if self.inputs == "symbols" else 1

    @property
    def G(self) -> int:
        """Number of blocks of H rows in the weights."""
        return GATES[self.cell]

    def batch(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return x, symbols (T, B) or vectors (T, X, B), and y, classes (S, B)."""
        rng = np.random.default_rng(0)
        if self.inputs == "symbols":
            x: NDArray[Any] = rng.integers(0, self.X, (self.T, self.B))
        else:
            x = rng.standard_normal((self.T, self.X, self.B)).astype(np.float32)
        return x, rng.integers(0, self.Y, (self.outputs, self.B))


SIZES = [
    (32, 16, 100),
    (50, 20, 100),
    (100, 20, 25),
    (100, 1, 25),
    (128, 32, 50),
    (128, 32, 400),
    (256, 64, 100),
    (512, 64, 50),
]
CELLS: tuple[Cell, ...] = ("rnn", "lstm", "gru")
INPUTS: tuple[Inputs, ...] = ("symbols", "vectors")
SHAPES = [Shape(cell, inputs, *size) for size, inputs, cell in product(SIZES, INPUTS, CELLS)]
