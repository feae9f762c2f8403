"""Weight initialisers.

The configuration group `init` contains one `Initializer` for recurrent matrices, one for input matrices and
one for biases. A cell may declare another initialiser for any of its parameters: an `Initializer`, a
`Constant`, a `Uniform`, a `Normal`, or an object of its own with the method `draw`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol, runtime_checkable

import numpy as np
from annotated_types import Gt
from numpy.typing import DTypeLike

from rnnlab.arrays import Array, Params


@runtime_checkable
class Draw(Protocol):
    """An initialiser that a cell can declare for a parameter."""

    def draw(self, rng: np.random.Generator, rows: int, columns: int, hidden_size: int) -> Array:
        """Return a matrix of shape (rows, columns) in float64, for a network with H = hidden_size units."""


@dataclass(frozen=True)
class Constant:
    """Initialiser that sets all entries to `value`."""

    value: float

    def draw(self, rng: np.random.Generator, rows: int, columns: int, hidden_size: int) -> Array:
        """Return a matrix of shape (rows, columns) in float64."""
        return np.full((rows, columns), float(self.value))


@dataclass(frozen=True)
class Uniform:
    """Initialiser that draws the entries from U(low, high)."""

    low: float
    high: float

    def draw(self, rng: np.random.Generator, rows: int, columns: int, hidden_size: int) -> Array:
        """Return a matrix of shape (rows, columns) in float64."""
        return rng.uniform(self.low, self.high, (rows, columns))


@dataclass(frozen=True)
class Normal:
    """Initialiser that draws the entries from N(mean, std²)."""

    mean: float
    std: float

    def draw(self, rng: np.random.Generator, rows: int, columns: int, hidden_size: int) -> Array:
        """Return a matrix of shape (rows, columns) in float64."""
        return rng.normal(self.mean, self.std, (rows, columns))


@dataclass(frozen=True)
class Initializer:
    """Initialiser of a matrix in a network with H units.

    - `uniform` draws the entries from U(-gain/√H, gain/√H); a gain of 1 corresponds to the PyTorch default.
    - `normal` draws the entries from N(0, gain²/H); for W_hh, the gain is the σ_w of mean-field theory.
    - `orthogonal` is the gain times a random matrix with orthonormal rows or columns.
    - `fan_in` draws the entries from U(-gain √(3/columns), gain √(3/columns)), with variance gain²/columns;
      with a gain of 1, W_xh preserves the variance of the inputs for any H (LeCun, Bottou, Orr & Müller,
      *Efficient BackProp*, 1998).
    - `identity` is the gain times the identity matrix (Le, Jaitly & Hinton 2015, for relu networks).
    - `zero` sets all entries to 0.

    Attributes:
        kind: Distribution of the entries, or type of fixed matrix.
        gain: Scale factor.
    """

    kind: Literal["uniform", "normal", "orthogonal", "fan_in", "identity", "zero"]
    gain: Annotated[float, Gt(0)]

    def draw(self, rng: np.random.Generator, rows: int, columns: int, hidden_size: int) -> Array:
        """Return a matrix of shape (rows, columns) in float64."""
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


@dataclass(frozen=True)
class Init:
    """Initialisers for the three parameters of a cell."""

    W_hh: Initializer
    W_xh: Initializer
    b_h: Initializer


@dataclass(frozen=True)
class Parameter:
    """Declaration of one parameter.

    Attributes:
        rows: Number of rows.
        columns: Number of columns.
        initializer: Entry of `Init` from which the parameter is drawn, or an initialiser of its own.
        gates: Names of the blocks of equal height into which the rows are divided; () for a single block.
    """

    rows: int
    columns: int
    initializer: Literal["W_hh", "W_xh", "b_h"] | Draw
    gates: tuple[str, ...] = ()


def draw_parameters(
    parameters: Mapping[str, Parameter],
    initializers: Mapping[str, Draw],
    init: Init,
    H: int,
    rng: np.random.Generator,
    dtype: DTypeLike,
) -> Params:
    """Draw the parameters gate by gate, with the initialisers of the cell where it has its own."""
    params = {}
    for name, p in parameters.items():
        own, gates = initializers.get(name, p.initializer), max(len(p.gates), 1)
        initializer = getattr(init, own) if isinstance(own, str) else own
        with np.errstate(over="ignore"):  # the first training step reports infinite weights
            drawn = draw_gates(initializer, rng, gates, p.rows // gates, p.columns, H)
            params[name] = drawn.astype(dtype)
    return params


def draw_gates(
    initializer: Draw, rng: np.random.Generator, gates: int, rows: int, columns: int, hidden_size: int
) -> Array:
    """Return `gates` independent matrices, stacked into one matrix (gates·rows, columns)."""
    return np.concatenate([initializer.draw(rng, rows, columns, hidden_size) for _ in range(gates)])


def _orthogonal(rng: np.random.Generator, rows: int, columns: int) -> Array:
    # The sign correction makes the draw uniform over the orthogonal group (Mezzadri 2007).
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))
    return q if rows >= columns else q.T
