"""Numerical derivatives of a function of one real variable, by two methods that only evaluate the function.

    differences     f'(0) ≈ (f(s) - f(-s)) / 2s, extrapolated to s → 0 over halved steps s
    complex step    f'(0) = Im f(i s) / s, for an analytic f and any tiny s

Finite differences subtract nearly equal numbers and therefore cannot resolve a derivative that is much
smaller than the function value; a vanished gradient appears as 0. The complex-step method involves no
subtraction and is accurate to rounding error at any magnitude, but requires a function that accepts complex
numbers.

References:
    Ridders, *Accurate computation of F'(x) and F'(x)F''(x)* (1982), for the extrapolation.
    Martins, Sturdza & Alonso, *The complex-step derivative approximation* (2003).
"""

import warnings
from collections.abc import Callable
from math import inf

import numpy as np

FIRST_STEP = 1 / 8
HALVINGS = 14
COMPLEX_STEP = 1e-15
EPSILON = float(np.finfo(np.float64).eps)


def central_difference(f: Callable[[float], float]) -> tuple[float, float]:
    """Return f'(0) and an estimate of the absolute error due to extrapolation and rounding."""
    best, best_error = 0.0, inf
    row: list[float] = []  # estimates of f'; each entry removes one more order of the error
    for halving in range(HALVINGS):
        step = FIRST_STEP / 2**halving
        ahead, behind = f(step), f(-step)
        rounding = EPSILON * max(abs(ahead), abs(behind)) / step
        before, row = row, [(ahead - behind) / (2 * step)]
        for order, coarser in enumerate(before, start=1):
            finer = row[-1]
            row.append(finer + (finer - coarser) / (4**order - 1))
            error = max(abs(row[-1] - finer), abs(row[-1] - coarser), rounding)
            if error <= best_error:
                best, best_error = row[-1], error
        if rounding > best_error:
            break  # smaller steps cannot reduce the error
    return best, best_error


def complex_step(f: Callable[[complex], complex | float]) -> float | None:
    """Return f'(0) by the complex-step method, or None if f does not accept complex numbers."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            value = f(1j * COMPLEX_STEP)
    except (TypeError, ValueError, np.exceptions.ComplexWarning):
        return None
    return value.imag / COMPLEX_STEP if isinstance(value, complex) else None
