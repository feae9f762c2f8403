"""How weights are drawn."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Gt

from rnnlab.arrays import Array


@dataclass(frozen=True)
class Initializer:
    """One way to draw a matrix of an H-unit network; `gain` scales all of them.

    - `uniform`: U(-gain/√H, gain/√H), torch's default at gain 1.
    - `normal`: N(0, gain²/H); for W_hh the gain is the σ_w of mean-field theory.
    - `orthogonal`: gain times a random matrix with orthonormal rows or columns.
    - `fan_in`: U(-gain √(3/columns), gain √(3/columns)), variance gain²/columns, so that W_xh hands inputs on
      in their own size, however large H is (Y. LeCun, L. Bottou, G. B. Orr & K.-R. Müller, *Efficient
      BackProp*, 1998).
    - `identity`: gain times the identity (Le, Jaitly & Hinton 2015 use it with relu).
    - `zero`.

    Attributes:
        kind: How it is drawn.
        gain: What it is multiplied by.
    """

    kind: Literal["uniform", "normal", "orthogonal", "fan_in", "identity", "zero"]
    gain: Annotated[float, Gt(0)]

    def draw(self, rng: np.random.Generator, rows: int, columns: int, hidden_size: int) -> Array:
        """Return one float64 matrix (rows, columns)."""
        scale = self.gain / np.sqrt(hidden_size)
        match self.kind:
            case "uniform":
                return rng.uniform(-scale, scale, (rows, columns))
            case "normal":
                return rng.normal(0.0, scale, (rows, columns))
            case "orthogonal":
                return self.gain * _orthogonal(rng, rows, columns)
            case "fan_in":
                bound = self.gain * np.sqrt(3 / columns)
                return rng.uniform(-bound, bound, (rows, columns))
            case "identity":
                return self.gain * np.eye(rows, columns)
            case "zero":
                return np.zeros((rows, columns))

    def draw_gates(
        self, rng: np.random.Generator, gates: int, rows: int, columns: int, hidden_size: int
    ) -> Array:
        """Return `gates` independent matrices stacked to (gates·rows, columns)."""
        return np.concatenate([self.draw(rng, rows, columns, hidden_size) for _ in range(gates)])


@dataclass(frozen=True)
class Init:
    """The initialisers of a cell's three parameters."""

    W_hh: Initializer
    W_xh: Initializer
    b_h: Initializer


def _orthogonal(rng: np.random.Generator, rows: int, columns: int) -> Array:
    # The sign correction makes the draw uniform over the orthogonal group (Mezzadri 2007).
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))
    return q if rows >= columns else q.T
