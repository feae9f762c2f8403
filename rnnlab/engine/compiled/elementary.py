"""Elementary functions for compiled loops, in a form that LLVM turns into vector instructions.

In float32,

    tanh(x) = x + x³ p(x²)                            for |x| < 1
    tanh(x) = ±(1 - 2e / (1 + e)),  e = exp(-2|x|)      otherwise

and exp(y) = 2ⁿ 2ʳ for y ≤ 0, where n is the integer closest to y log₂e. The polynomials were fitted by
`benchmarks/fit_elementary.py`. The largest relative error of tanh is 8.5e-8, and saturated units are exactly
±1, as in NumPy. For exponentials of any sign, n and r are computed in float64, in which the result is scaled:
the largest relative error is 1.1e-7, and the result overflows and vanishes as in NumPy. In float64, and for
other functions, compiled loops call the C library.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba.extending import register_jitable

FAST = {"contract", "reassoc", "arcp", "nsz"}
"""Permitted rewritings of floating-point arithmetic; all of them preserve NaN and infinity."""
OPTIONS: dict[str, Any] = {"error_model": "numpy", "fastmath": FAST, "nogil": True}
EXACT: dict[str, Any] = {"error_model": "numpy", "nogil": True}
"""Options of functions whose products must not be computed in another order."""

Function = TypeVar("Function", bound=Callable[..., Any])


def inlined(function: Function) -> Function:
    """Return a function that compiled loops may call."""
    inlinable: Function = register_jitable(function)
    return inlinable


_f = np.float32
_E0, _E1, _E2, _E3, _E4, _E5 = map(
    _f, (0.6931472029, 0.2402264791, 0.05550332470, 0.009618437359, 0.001339887467, 0.0001535336201)
)
_T0, _T1, _T2, _T3, _T4, _T5, _T6 = map(
    _f,
    (
        -0.3333329543,
        0.1333234457,
        -0.05387980241,
        0.02148665657,
        -0.007946104770,
        0.002301363255,
        -0.0003584515832,
    ),
)
_LOG2E, _LOWEST, _ONE, _TWO, _SWITCH = map(_f, (1.4426950408889634, -126.0, 1.0, 2.0, 1.0))
_BIAS, _MANTISSA, _SIGN = np.int32(127), np.int32(23), np.uint32(0x80000000)
_LOG2E_64, _HALF_64, _ONE_64 = np.float64(1.4426950408889634), np.float64(0.5), np.float64(1)
_LOWEST_64, _HIGHEST_64 = np.float64(-200), np.float64(200)
_BIAS_64, _MANTISSA_64 = np.int64(1023), np.int64(52)


@inlined
def exp_of_negative(y: Any) -> Any:
    """Return exp(y) in float32 for y ≤ 0, and NaN for NaN; below -87, the result is about 1e-38."""
    z = y * _LOG2E
    z = _LOWEST if z < _LOWEST else z
    n = np.rint(z)
    r = z - n
    p = ((((_E5 * r + _E4) * r + _E3) * r + _E2) * r + _E1) * r + _E0
    power = np.int32((np.int32(n) + _BIAS) << _MANTISSA).view(np.float32)
    return (p * r + _ONE) * power


@inlined
def exp32(x: Any) -> Any:
    """Return exp(x) in float32."""
    z = np.float64(x) * _LOG2E_64
    z = _LOWEST_64 if z < _LOWEST_64 else z
    z = _HIGHEST_64 if z > _HIGHEST_64 else z
    n = np.floor(z + _HALF_64)
    r = np.float32(z - n)
    p = ((((_E5 * r + _E4) * r + _E3) * r + _E2) * r + _E1) * r + _E0
    power = np.int64((np.int64(n) + _BIAS_64) << _MANTISSA_64).view(np.float64)
    y = np.float32((np.float64(p * r) + _ONE_64) * power)
    return y if x == x else x  # NaN


@inlined
def tanh32(x: Any) -> Any:
    """Return tanh(x) in float32: the result for |x|, with the sign of x; NaN for NaN."""
    a = abs(x)
    e = exp_of_negative(-_TWO * a)
    large = _ONE - _TWO * e / (_ONE + e)  # exact to the last digit where units saturate
    u = x * x
    p = (((((_T6 * u + _T5) * u + _T4) * u + _T3) * u + _T2) * u + _T1) * u + _T0
    small = a + a * u * p
    y = small if a < _SWITCH else large
    return np.uint32(_f(y).view(np.uint32) | (_f(x).view(np.uint32) & _SIGN)).view(np.float32)


@inlined
def relu(x: Any) -> Any:
    """Return max(x, 0); NaN for NaN."""
    return x - x if x <= 0 else x


@inlined
def larger(a: Any, b: Any) -> Any:
    """Return the larger of a and b; NaN if one of them is NaN."""
    return a if a > b or a != a else b


@inlined
def positive(x: Any) -> Any:
    """Return 1 where x > 0, otherwise 0."""
    return type(x)(1) if x > 0 else type(x)(0)
