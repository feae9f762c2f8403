"""Declarations of the parameters of a cell, and their initial values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import DTypeLike

from rnnlab.arrays import Params
from rnnlab.initializers import Draw, Init, draw_gates


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


def usual_parameters(X: int, H: int, gates: tuple[str, ...], bias: bool) -> dict[str, Parameter]:
    """Return W_xh, W_hh and, with biases, b_h, each with a block of H rows for each gate."""
    rows = max(len(gates), 1) * H
    found = {"W_xh": Parameter(rows, X, "W_xh", gates), "W_hh": Parameter(rows, H, "W_hh", gates)}
    return found | ({"b_h": Parameter(rows, 1, "b_h", gates)} if bias else {})


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
