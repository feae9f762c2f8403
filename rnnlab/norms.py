"""Euclidean norms without underflow or overflow."""

from collections.abc import Iterable

import numpy as np

from rnnlab.arrays import Array

# Range in which a plain sum of squares neither underflows nor overflows, even in float32.
SAFE_SQUARES = (1e-30, 1e30)


def norm(a: Array, axis: int | None = None) -> Array:
    """Return the Euclidean norm without underflow or overflow.

    Entries are scaled before squaring: ‖a‖ = m · sqrt(Σ (a/m)²) with m = max|a|. In float32, the square of an
    entry with magnitude below about 1e-23 underflows to 0, and the entries of vanishing gradients are often
    this small.

    Args:
        a: Array of any shape.
        axis: Axis over which the norm is computed; None means all axes.

    Returns:
        Norm in float64, with the shape of `a` after removal of `axis`.
    """
    if a.dtype == np.float32:  # float64 covers squares of float32, 1e-90 to 1e77, without scaling
        return np.asarray(np.sqrt(np.sum(np.square(a, dtype=np.float64), axis=axis)))
    magnitude = np.abs(a)
    largest = magnitude.max(axis=axis, keepdims=True, initial=0.0)
    scale = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
    magnitude /= scale
    total = np.sqrt(np.sum(magnitude * magnitude, axis=axis, keepdims=True)) * scale
    return np.asarray(np.squeeze(total, axis=axis))


def global_norm(arrays: Iterable[Array]) -> float:
    """Return the Euclidean norm of all entries of all arrays, without underflow or overflow.

    The function first computes the unscaled sum of squares, because this computation is fast. If the unscaled
    sum may have underflowed or overflowed, the function computes the scaled norm instead.
    """
    arrays = list(arrays)
    squares = sum(float(np.vdot(a, a)) for a in arrays)
    if SAFE_SQUARES[0] < squares < SAFE_SQUARES[1]:
        return float(np.sqrt(squares))
    return float(norm(np.array([norm(a) for a in arrays])))
