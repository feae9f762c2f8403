"""Activation functions, which act on arrays and on the symbols of a traced equation alike."""

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
