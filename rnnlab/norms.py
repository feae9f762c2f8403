"""Euclidean norms that neither underflow nor overflow."""

from collections.abc import Iterable

import numpy as np

from rnnlab.arrays import Array

# Between these a plain sum of squares neither loses small entries nor overflows, in float32 too.
SAFE_SQUARES = (1e-30, 1e30)


def norm(a: Array, axis: int | None = None) -> Array:
    """Euclidean norm that neither underflows nor overflows.

    ‖a‖ = m · sqrt(Σ (a/m)²) with m = max|a|, in float64. A plain float32 sum of squares is 0 once
    entries fall under about 1e-23, which is just where vanishing gradients are of interest.

    Args:
        a: Any shape.
        axis: The axis summed over; None sums over all.

    Returns:
        float64, the shape of `a` without `axis`.
    """
    if a.dtype == np.float32:  # whose squares, 1e-90 to 1e77, float64 holds without a scale
        return np.asarray(np.sqrt(np.sum(np.square(a, dtype=np.float64), axis=axis)))
    magnitude = np.abs(a)
    largest = magnitude.max(axis=axis, keepdims=True, initial=0.0)
    scale = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
    magnitude /= scale
    total = np.sqrt(np.sum(magnitude * magnitude, axis=axis, keepdims=True)) * scale
    return np.asarray(np.squeeze(total, axis=axis))


def global_norm(arrays: Iterable[Array]) -> float:
    """Euclidean norm of all entries of all arrays together, safe at any magnitude.

    The plain dot product is taken first, because it is fast; the scaled form where it is in doubt.
    """
    arrays = list(arrays)
    squares = sum(float(np.vdot(a, a)) for a in arrays)
    if SAFE_SQUARES[0] < squares < SAFE_SQUARES[1]:
        return float(np.sqrt(squares))
    return float(norm(np.array([norm(a) for a in arrays])))
