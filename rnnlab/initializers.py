"""Weight initialisers."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Gt

from rnnlab.arrays import Array


@dataclass(frozen=True)
class Initializer:
    """Initialiser of a matrix in a network with H units.

    - `uniform`: U(-gain/√H, gain/√H), the default of PyTorch for gain 1.
    - `normal`: N(0, gain²/H); for W_hh the gain is the σ_w of mean-field theory.
    - `orthogonal`: gain times a random matrix with orthonormal rows or columns.
    - `fan_in`: U(-gain √(3/columns), gain √(3/columns)) with variance gain²/columns; W_xh then preserves the
      variance of the inputs for any H (LeCun, Bottou, Orr & Müller, *Efficient BackProp*, 1998).
    - `identity`: gain times the identity (Le, Jaitly & Hinton 2015, with relu).
    - `zero`: all entries 0.

    Attributes:
        kind: Distribution or fixed matrix, as listed above.
        gain: Scale factor.
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
        """Return `gates` independent matrices, stacked into one matrix (gates·rows, columns)."""
        return np.concatenate([self.draw(rng, rows, columns, hidden_size) for _ in range(gates)])


@dataclass(frozen=True)
class Init:
    """Initialisers of the three parameters of a cell."""

    W_hh: Initializer
    W_xh: Initializer
    b_h: Initializer


def _orthogonal(rng: np.random.Generator, rows: int, columns: int) -> Array:
    # The sign correction makes the draw uniform over the orthogonal group (Mezzadri 2007).
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))
    return q if rows >= columns else q.T
