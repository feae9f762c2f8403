"""Sigmoid gates computed with tanh: σ(z) = ½ tanh(z/2) + ½, which is stable for every z."""

import numpy as np

from rnnlab.arrays import Array, Params


def sigmoid(z: Array) -> Array:
    """Return the logistic sigmoid σ(z)."""
    return np.asarray(0.5 * np.tanh(0.5 * z) + 0.5)


def halve_rows(params: Params, rows: slice) -> Params:
    """Return copies of the parameters, with the rows of the sigmoid gates multiplied by ½.

    With these weights, one tanh call serves all gates; mapping its output y to ½ y + ½ gives the sigmoid.
    """
    copies: Params = {name: params[name].copy() for name in ("W_xh", "W_hh", "b_h") if name in params}
    for copy in copies.values():
        copy[rows] *= 0.5
    return copies
