"""Compiled forms of `rnnlab.engine.exponents`, applied at every time step of a compiled loop.

The functions use plain loops over elements, which Numba compiles several times as fast as array expressions.
"""

import math
from typing import Any

import numpy as np

from rnnlab.engine.compiled.elementary import inlined
from rnnlab.engine.exponents import HIGHEST, LARGEST_SHIFT, LOWEST, NEGLIGIBLE, TARGET

_NEGLIGIBLE = np.float32(2.0**NEGLIGIBLE)


@inlined
def any_of(marks: Any) -> Any:
    """Return True if any element differs from 0."""
    found = False
    for c in range(marks.size):
        found |= marks[c] != 0
    return found


@inlined
def update_largest(part: Any, largest: Any) -> None:
    """Raise `largest`, shape (B,), to the largest magnitudes of the columns of `part`.

    Numbers after a NaN replace it, so a column with NaN may be scaled; it remains NaN.
    """
    whole = 0
    if part.shape[1] == 1:  # four independent maxima, because each comparison waits for the last
        flat, whole = part.reshape(-1), part.shape[0] - part.shape[0] % 4
        m0 = m1 = m2 = m3 = largest[0]
        for i in range(0, whole, 4):
            a0, a1, a2, a3 = abs(flat[i]), abs(flat[i + 1]), abs(flat[i + 2]), abs(flat[i + 3])
            m0, m1 = a0 if a0 > m0 else m0, a1 if a1 > m1 else m1
            m2, m3 = a2 if a2 > m2 else m2, a3 if a3 > m3 else m3
        m0, m2 = m1 if m1 > m0 else m0, m3 if m3 > m2 else m2
        largest[0] = m2 if m2 > m0 else m0
    for i in range(whole, part.shape[0]):
        for c in range(part.shape[1]):
            a = abs(part[i, c])
            largest[c] = a if not a <= largest[c] else largest[c]


@inlined
def choose_shifts(largest: Any, scale: Any, shift: Any) -> None:
    """Write the shift that brings each column into the range, and subtract it from its exponent."""
    for c in range(largest.size):
        shift[c] = 0
        if largest[c] > 0 and largest[c] < np.inf:
            size = math.frexp(largest[c])[1]
            if size < LOWEST:
                shift[c] = TARGET - size
            elif size > HIGHEST:
                shift[c] = max(TARGET - size, scale[c])
        scale[c] -= shift[c]


@inlined
def remove_scale(scale: Any, marked: Any, shift: Any) -> None:
    """Write the shift that brings each marked column to the exponent 0, and set that exponent."""
    for c in range(scale.size):
        shift[c] = scale[c] if marked[c] else 0
        scale[c] -= shift[c]


@inlined
def join_scales(largest: Any, scale: Any, marked: Any, of_e: Any, shift: Any, e_shift: Any) -> None:
    """Write the shifts that bring the adjoints and e to the larger of their exponents; set that exponent."""
    for c in range(scale.size):
        shift[c] = e_shift[c] = 0
        if marked[c]:
            common = max(scale[c], of_e[c]) if largest[c] != 0 else of_e[c]
            shift[c] = scale[c] - common
            e_shift[c] = of_e[c] - common
            scale[c] = common


@inlined
def factors_of(shift: Any) -> Any:
    """Return two factors with the product 2^shift, each in the range of float64."""
    clipped = min(max(shift, -LARGEST_SHIFT), LARGEST_SHIFT)
    half = clipped // 2
    return math.ldexp(1.0, half), math.ldexp(1.0, clipped - half)


@inlined
def shift_columns(part: Any, shift: Any, smallest: Any) -> None:
    """Multiply column c by 2^shift[c], and set results below `smallest` to 0.

    The loop goes column by column, because mostly few columns have a shift: for one of 32 columns of length
    128, it takes half the time of a loop over rows, and for all 32 columns 1.6 times the time.
    """
    for c in range(shift.size):
        if shift[c] != 0:
            one, two = factors_of(shift[c])
            for i in range(part.shape[0]):
                product = part[i, c] * one * two
                part[i, c] = 0 if abs(product) < smallest else product


@inlined
def flush(part: Any) -> None:
    """Set negligible elements to 0; see `rnnlab.engine.exponents`."""
    flat = part.reshape(-1)
    for i in range(flat.size):
        flat[i] = 0 if abs(flat[i]) < _NEGLIGIBLE else flat[i]
