"""Compiled forms of `rnnlab.engine.exponents`, applied at every time step of a compiled loop."""

import math
from typing import Any

import numpy as np

from rnnlab.engine.compiled.elementary import inlined
from rnnlab.engine.exponents import HIGHEST, LOWEST, NEGLIGIBLE, TARGET

_MOST = 1100
_SMALLEST = np.float32(2.0**NEGLIGIBLE)


@inlined
def update_largest(part: Any, largest: Any) -> None:
    """Raise `largest`, shape (B,), to the largest magnitudes of the columns of `part`; NaN remains."""
    for i in range(part.shape[0]):
        for c in range(part.shape[1]):
            a = abs(part[i, c])
            largest[c] = a if not a <= largest[c] else largest[c]


@inlined
def shifts(largest: Any, scale: Any) -> Any:
    """Return the shift that brings each column into range, and whether any shift differs from 0."""
    shift = np.zeros(largest.size, np.int32)
    change = False
    for c in range(largest.size):
        if largest[c] > 0 and largest[c] < np.inf:
            size = math.frexp(largest[c])[1]
            if size < LOWEST:
                shift[c] = TARGET - size
            elif size > HIGHEST:
                shift[c] = max(TARGET - size, scale[c])
            change |= shift[c] != 0
    return shift, change


@inlined
def shift_columns(part: Any, shift: Any) -> None:
    """Multiply column c by 2^shift[c] in two factors, each of which is in the range of float32."""
    one, two = np.empty(shift.size, part.dtype), np.empty(shift.size, part.dtype)
    for c in range(shift.size):
        clipped = min(max(shift[c], -_MOST), _MOST)
        half = clipped // 2
        one[c] = math.ldexp(1.0, half)
        two[c] = math.ldexp(1.0, clipped - half)
    for i in range(part.shape[0]):
        for c in range(part.shape[1]):
            part[i, c] = part[i, c] * one[c] * two[c]


@inlined
def unscale_marked(part: Any, scale: Any, marked: Any) -> None:
    """Bring the marked columns back to the exponent 0; results below the normal range become 0."""
    shift = np.where(marked, scale, np.int32(0))
    if shift.any():
        shift_columns(part, shift)
        tiny = np.finfo(part.dtype).tiny
        for i in range(part.shape[0]):
            for c in range(part.shape[1]):
                if abs(part[i, c]) < tiny:
                    part[i, c] = 0


@inlined
def flush(part: Any) -> None:
    """Set negligible elements to 0; see `rnnlab.engine.exponents`."""
    for i in range(part.shape[0]):
        for c in range(part.shape[1]):
            part[i, c] = part[i, c] if not abs(part[i, c]) < _SMALLEST else part[i, c] * 0
