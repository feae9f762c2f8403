"""Symbols with which the equations of a cell are traced, and the elementary operations that result.

The equations of a cell are plain functions. Called with arrays, they compute one time step. Called with
symbols, they yield expressions, from which `rnnlab.engine.plan` derives the loop over time: operations on
preallocated arrays, in which everything that does not depend on the adjoint is computed for all time steps
at once.

A `Value` depends only on the forward pass. An `Adjoint` is linear in the adjoints of the states: a
coefficient times a *root*, which is the adjoint of a state or a sum.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Union

import numpy as np

Operand = Union["Value", float]


@dataclass(frozen=True, eq=False)
class Value:
    """An expression that does not depend on the adjoint.

    Attributes:
        function: Elementwise function, called with the operands and the output array; None for a name.
        operands: Expressions and numbers.
        name: Name of an input of the equations, or "".
    """

    function: Callable[..., object] | None
    operands: tuple[Operand, ...] = ()
    name: str = ""

    @staticmethod
    def unary(function: Callable[..., object], operand: "Value") -> "Value":
        """Return the expression function(operand)."""
        return Value(function, (operand,))

    def __add__(self, other: Any) -> Any:
        return _combine(np.add, self, other)

    def __radd__(self, other: Any) -> Any:
        return _combine(np.add, other, self)

    def __sub__(self, other: Any) -> Any:
        return _combine(np.subtract, self, other)

    def __rsub__(self, other: Any) -> Any:
        return _combine(np.subtract, other, self)

    def __mul__(self, other: Any) -> Any:
        return _combine(np.multiply, self, other)

    def __rmul__(self, other: Any) -> Any:
        return _combine(np.multiply, other, self)

    def __truediv__(self, other: Any) -> Any:
        return _combine(np.divide, self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _combine(np.divide, other, self)

    def __pow__(self, exponent: int) -> Any:
        if exponent == 2:  # a product is much faster than a power
            return self * self
        return _combine(np.power, self, exponent)

    def __neg__(self) -> "Value":
        return Value(np.negative, (self,))


def _combine(function: Callable[..., object], left: Any, right: Any) -> Any:
    if isinstance(left, Value | int | float) and isinstance(right, Value | int | float):
        return Value(function, (left, right))
    return NotImplemented


@dataclass(frozen=True, eq=False)
class Root:
    """The adjoint of a state, or a sum of two adjoints.

    Attributes:
        name: Name of the adjoint of a state, or "" for a sum.
        terms: Terms of a sum.
    """

    name: str = ""
    terms: tuple["Adjoint", ...] = ()


@dataclass(frozen=True, eq=False)
class Adjoint:
    """A coefficient times a root.

    Attributes:
        root: Adjoint of a state, or sum.
        coefficient: Factor that depends only on the forward pass; None for the factor 1.
    """

    root: Root
    coefficient: Value | float | None = None

    @staticmethod
    def named(name: str) -> "Adjoint":
        """Return the symbol of the adjoint of a state."""
        return Adjoint(Root(name))

    def __mul__(self, factor: Operand) -> "Adjoint":
        if not isinstance(factor, Value | int | float):
            raise TypeError("an adjoint equation must be linear in the adjoints of the states")
        coefficient: Operand = factor if self.coefficient is None else self.coefficient * factor
        return Adjoint(self.root, coefficient)

    __rmul__ = __mul__

    def __truediv__(self, divisor: Operand) -> "Adjoint":
        reciprocal: Operand = 1 / divisor
        return self * reciprocal

    def __neg__(self) -> "Adjoint":
        return self * -1.0

    def __add__(self, other: Any) -> "Adjoint":
        if not isinstance(other, Adjoint):
            raise TypeError("an adjoint equation must be linear in the adjoints of the states")
        if self.root is other.root:
            one, two = (1.0 if a.coefficient is None else a.coefficient for a in (self, other))
            total: Operand = one + two
            return Adjoint(self.root, total)
        return Adjoint(Root(terms=(self, other)))

    __radd__ = __add__

    def __sub__(self, other: "Adjoint") -> "Adjoint":
        return self + (-other)
