"""Activation functions and other elementary functions, for arrays and for the symbols of a traced equation.

All of them are analytic where they are smooth, so that complex-step derivatives are right: the branch of
`relu`, `maximum` and `absolute` depends on the real part alone, except at ties of `maximum`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnlab.arrays import Array
from rnnlab.engine.symbols import Value

SATURATED = 0.9
"""Magnitude above which a tanh unit counts as saturated."""


def tanh(z: Any) -> Any:
    """Return the hyperbolic tangent of z."""
    return Value.unary(np.tanh, z) if isinstance(z, Value) else np.tanh(z)


def sigmoid(z: Any) -> Any:
    """Return the logistic sigmoid σ(z) = ½ tanh(z/2) + ½, which is stable for every z."""
    return tanh(z * 0.5) * 0.5 + 0.5


def relu(z: Any) -> Any:
    """Return max(z, 0)."""
    return Value.unary(write_relu, z) if isinstance(z, Value) else np.maximum(z, 0)


def positive(z: Any) -> Any:
    """Return 1 where z > 0, otherwise 0."""
    return Value.unary(write_positive, z) if isinstance(z, Value) else np.greater(z, 0).astype(z.dtype)


def exp(z: Any) -> Any:
    """Return the exponential of z."""
    return Value.unary(np.exp, z) if isinstance(z, Value) else np.exp(z)


def log(z: Any) -> Any:
    """Return the natural logarithm of z."""
    return Value.unary(np.log, z) if isinstance(z, Value) else np.log(z)


def log1p(z: Any) -> Any:
    """Return ln(1 + z), which is exact for small z."""
    return Value.unary(np.log1p, z) if isinstance(z, Value) else np.log1p(z)


def sqrt(z: Any) -> Any:
    """Return the square root of z."""
    return Value.unary(np.sqrt, z) if isinstance(z, Value) else np.sqrt(z)


def sin(z: Any) -> Any:
    """Return the sine of z."""
    return Value.unary(np.sin, z) if isinstance(z, Value) else np.sin(z)


def cos(z: Any) -> Any:
    """Return the cosine of z."""
    return Value.unary(np.cos, z) if isinstance(z, Value) else np.cos(z)


def absolute(z: Any) -> Any:
    """Return |z|; its derivative is 2 positive(z) - 1."""
    if isinstance(z, Value):
        return Value.unary(write_absolute, z)
    return np.where(np.real(z) < 0, -z, z)


def maximum(a: Any, b: Any) -> Any:
    """Return the larger of a and b; the derivative with respect to a is positive(a - b)."""
    if isinstance(a, Value) or isinstance(b, Value):
        return Value(write_maximum, (a, b))
    return np.maximum(a, b)


def softplus(z: Any) -> Any:
    """Return ln(1 + exp(z)) = -ln σ(-z), which is stable for every z; its derivative is σ(z)."""
    return relu(z) + log1p(exp(-absolute(z)))


@dataclass(frozen=True)
class Activation:
    """An activation function φ with its derivative.

    Attributes:
        name: Name of the function.
        apply: φ(z).
        slope: φ'(z) as a function of y = φ(z); None for the constant 1.
        max_slope: Maximum of |φ'|.
        in_place: Function with the arguments z and out that writes φ(z); None for the identity.
        saturated: Function that marks the saturated units, given y; None if no unit counts as saturated.
    """

    name: str
    apply: Callable[[Any], Any]
    slope: Callable[[Any], Any] | None
    max_slope: float
    in_place: Callable[[Array, Array], object] | None = None
    saturated: Callable[[Array], Array] | None = None


def write_relu(z: Array, out: Array) -> object:
    """Write max(z, 0) to `out`."""
    return np.maximum(z, 0, out=out)  # NumPy deprecates a positional out here


def write_positive(z: Array, out: Array) -> object:
    """Write 1 to `out` where z > 0, otherwise 0."""
    return np.greater(z, 0, out=out)


def write_absolute(z: Array, out: Array) -> object:
    """Write |z| to `out`; for complex numbers, -z where the real part is negative."""
    if z.dtype.kind != "c":
        return np.absolute(z, out)
    return np.multiply(z, np.where(z.real < 0, -1.0, 1.0), out)


def write_maximum(a: Array, b: Array, out: Array) -> object:
    """Write the larger of a and b to `out`."""
    return np.maximum(a, b, out=out)  # NumPy deprecates a positional out here


def _sigmoid(z: Array, out: Array) -> object:
    np.copyto(out, sigmoid(z))
    return out


TANH = Activation("tanh", tanh, lambda y: 1 - y * y, 1.0, np.tanh, lambda y: np.abs(y) > SATURATED)
SIGMOID = Activation("sigmoid", sigmoid, lambda y: y - y * y, 0.25, _sigmoid)
RELU = Activation("relu", relu, positive, 1.0, write_relu, lambda y: y == 0)
IDENTITY = Activation("identity", lambda z: z, None, 1.0)
SPLIT = Activation("split", lambda z: z, None, 1.0)
"""Marker of a gate whose equations get W_x x[t] + b and W_h h[t-1] separately instead of an activation."""
ACTIVATIONS = {activation.name: activation for activation in (TANH, SIGMOID, RELU, IDENTITY)}
