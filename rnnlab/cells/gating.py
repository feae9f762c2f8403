"""Sigmoid gates by way of tanh: σ(z) = ½ tanh(z/2) + ½, which is stable at any z."""

import numpy as np

from rnnlab.arrays import Array, Params


def sigmoid(z: Array) -> Array:
    """σ(z)."""
    return np.asarray(0.5 * np.tanh(0.5 * z) + 0.5)


def halved(params: Params, rows: slice, *names: str) -> tuple[Array, Array, Array | None]:
    """Copies of the weights and the bias, if there is one, with the sigmoid rows halved.

    So that one tanh over all gates, and ½ · + ½ on the sigmoid rows, is the activation.
    """
    found = []
    for name in names:
        weights = params[name].copy() if name in params else None
        if weights is not None:
            weights[rows] *= 0.5
        found.append(weights)
    W_xh, W_hh, b_h = found
    assert W_xh is not None and W_hh is not None
    return W_xh, W_hh, b_h
