"""Lower bound on the time of a training step: only its float32 matrix products, computed by NumPy's BLAS."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.contestants.shapes import Shape


def make(shape: Shape) -> Callable[[], None]:
    """Return a function that computes the matrix products of one training step.

    The products are those with W_hh in the forward and backward pass, dW_hh and the readout; for vector
    inputs also those with W_xh and dW_xh.
    """
    rows, H, B, T, S = shape.G * shape.H, shape.H, shape.B, shape.T, shape.outputs

    def array(*size: int) -> NDArray[Any]:
        return np.random.default_rng(0).standard_normal(size).astype(np.float32)

    W_hh, W_hhT, dW_hh = array(rows, H), array(H, rows), array(rows, H)
    h, z, dz, back = array(T, H, B), array(rows, B), array(T, rows, B), array(H, B)
    h_all, dz_all = array(H, T * B), array(rows, T * B)
    W_hy, dW_hy, outputs = array(shape.Y, H), array(shape.Y, H), array(shape.Y, S * B)
    features, e = array(H, S * B), array(H, S * B)
    W_xh, dW_xh, x = array(rows, shape.X), array(rows, shape.X), array(shape.X, T * B)

    def step() -> None:
        for t in range(T):
            np.matmul(W_hh, h[t], out=z)
        np.matmul(W_hy, features, out=outputs)
        np.matmul(outputs, features.T, out=dW_hy)
        np.matmul(W_hy.T, outputs, out=e)
        for t in range(T):
            np.matmul(W_hhT, dz[t], out=back)
        np.matmul(dz_all, h_all.T, out=dW_hh)
        if shape.inputs == "vectors":
            np.matmul(W_xh, x, out=dz_all)
            np.matmul(dz_all, x.T, out=dW_xh)

    return step
