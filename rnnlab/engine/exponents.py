"""Scaling of adjoints by powers of two, one exponent per example, so that vanishing gradients stay in range.

The backward pass is linear in the adjoint, and a power of two scales floating-point numbers exactly. Without
scaling, a gradient below 1e-38 loses digits in float32, becomes 0 or, because half of the smallest number
rounds to itself, stays at the smallest number for ever; moreover, arithmetic with numbers below 1e-38 is
slow on many processors.

The magnitude of a scaled adjoint is kept between 2^30 and 2^90. Elements below 2^-90 are set to 0: they are
at least 36 orders of magnitude smaller than the largest element of their example.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from rnnlab.arrays import Array

TARGET, LOWEST, HIGHEST, NEGLIGIBLE = 60, 30, 90, -90
"""Binary exponents of the largest element after scaling, of the range, and of elements set to 0."""
LARGEST_SHIFT = 1100
"""Largest magnitude of a binary exponent that makes a difference in float64."""


def rescale(parts: Sequence[Array], exponents: Array) -> tuple[Array, Array]:
    """Bring the largest element of each example back into the range without scaling.

    Args:
        parts: Arrays of shape (F, B), scaled in place.
        exponents: Exponents by example, at most 0, updated in place so that 2^exponents times `parts` remains
            unchanged.

    Returns:
        Binary exponent of the largest element of each example before scaling, and a mask of the examples
        whose elements are finite and not all 0; for other examples, the exponent is TARGET.
    """
    largest = np.abs(parts[0]).max(axis=0)
    for part in parts[1:]:
        np.maximum(largest, np.abs(part).max(axis=0), out=largest)
    usable = np.isfinite(largest) & (largest > 0)
    size = np.where(usable, np.frexp(np.where(usable, largest, 1))[1], TARGET).astype(exponents.dtype)
    shift = np.where(size < LOWEST, TARGET - size, 0)
    shift = np.where(size > HIGHEST, np.maximum(TARGET - size, exponents), shift)
    if shift.any():
        multiply_columns(parts, shift)
        exponents -= shift
    if exponents.any():
        for part in parts:
            part[np.abs(part) < 2.0**NEGLIGIBLE] = 0
    return size, usable


def unscale(parts: Iterable[Array], exponents: Array, examples: Array) -> None:
    """Bring the selected examples back to the exponent 0, in place; too small elements become 0."""
    shift = np.where(examples, exponents, 0)
    if shift.any():
        multiply_columns(parts, shift)
        exponents -= shift


def align(parts: Sequence[Array], exponents: Array, added: Array, of_added: Array, is_added: Array) -> Array:
    """Bring scaled arrays to common exponents in place, so that they can be added, and return the exponents.

    The common exponent of an example is the larger of its two exponents. Where all elements of one of the two
    are 0, the exponent is that of the other.

    Args:
        parts: Arrays of shape (F, B) or (T, F, B).
        exponents: Exponents of `parts`, shape (B,) or (T, B).
        added: Array of the same number of axes as those in `parts`.
        of_added: Exponents of `added`, shape (B,) or (T, B).
        is_added: True where an element of `added` differs from 0, shape (B,) or (T, B).
    """
    empty = np.all([(part == 0).all(axis=-2) for part in parts], axis=0)
    common = np.where(empty, of_added, np.maximum(exponents, of_added))
    common = np.where(is_added, common, exponents).astype(np.int32)
    multiply_columns([added], np.where(is_added, of_added - common, 0))
    multiply_columns(parts, np.where(empty, 0, exponents - common))
    return common


def multiply_columns(parts: Iterable[Array], shift: Array) -> None:
    """Multiply column b of each array by 2^shift[b], in place; results below the normal range become 0.

    Arrays have the shape (F, B) for `shift` of shape (B,), or (T, F, B) for `shift` of shape (T, B).
    """
    half = np.clip(shift, -LARGEST_SHIFT, LARGEST_SHIFT) // 2
    for part in parts:
        kind = part.real.dtype
        for power in (half, np.clip(shift, -LARGEST_SHIFT, LARGEST_SHIFT) - half):
            factor = np.ldexp(np.ones(1, kind), power)
            part *= factor if part.ndim == 2 else factor[:, None, :]
        if (shift < 0).any():
            part[np.abs(part) < np.finfo(kind).tiny] = 0
