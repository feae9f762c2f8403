"""Gradient checks by projection: the hand-derived ⟨∇f, v⟩ is compared with the derivative of f along v.

Each variable is checked along a separate direction v, the sum of a random direction and the direction of the
hand-derived gradient. The random direction makes every error detectable; the direction of the gradient
prevents ⟨∇f, v⟩ from being small by chance.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import inf, isnan
from types import EllipsisType
from typing import Literal

import numpy as np

from rnnlab.arrays import Array
from rnnlab.gradcheck.derivatives import central_difference, complex_step
from rnnlab.norms import norm

TOLERANCE = 1e-7
ROUNDING = 1e-12
"""Fraction of the size of its terms below which a sum is 0 up to rounding errors in float64."""
MIN_NORM = 1e-285
"""Magnitude of a derivative below which the computation of the derivative underflows in float64."""

Function = Callable[[dict[str, Array]], float | complex]
Method = Literal["differences", "complex step"]
METHODS: tuple[Method, ...] = ("differences", "complex step")
Verdict = Literal["right", "wrong", "undecided"]
Part = tuple[str, int | EllipsisType]


@dataclass(frozen=True)
class GradientCheck:
    """Result of a gradient check.

    Attributes:
        name: Name of the variable, or of a part of the variable.
        shape: Shape of the checked gradient.
        norm: Norm of the hand-derived gradient, ‖∇f‖.
        projection: Projection of the hand-derived gradient, ⟨∇f, v⟩.
        difference: Derivative along v, computed by finite differences.
        difference_error: Estimated absolute error of `difference`.
        complex_step: Derivative along v, computed by the complex-step method; None if f does not accept
            complex numbers or if f appears not to be analytic. If only the complex-step method disagrees with
            the gradient, f is assumed not to be analytic.
        terms: Size of the terms that may cancel in the gradient; 0 if unknown.
    """

    name: str
    shape: tuple[int, ...]
    norm: float
    projection: float
    difference: float
    difference_error: float
    complex_step: float | None
    terms: float = 0.0

    @property
    def verdict(self) -> Verdict:
        """Return the result of the check.

        The result is `right` if a method that resolves the derivative agrees with the gradient, or if both
        are 0 up to rounding errors; `undecided` if no method resolves the derivative; and `wrong` otherwise.
        """
        if self._cancels or self._agrees("differences") or self._agrees("complex step"):
            return "right"
        return "undecided" if self.method is None else "wrong"

    @property
    def passed(self) -> bool:
        """Return True if the gradient is correct."""
        return self.verdict == "right"

    @property
    def method(self) -> Method | None:
        """Return the method that determines the result, or None if no method resolves the derivative.

        Finite differences determine the result if they agree with the gradient. Otherwise, the complex-step
        method determines the result if it resolves the derivative. Across a kink of f, finite differences may
        be inaccurate even if their estimated error is small.
        """
        if self._agrees("differences"):
            return "differences"
        if self._resolves("complex step"):
            return "complex step"
        return "differences" if self._resolves("differences") else None

    @property
    def error(self) -> float:
        """Return the relative error |analytic − numerical| / max(|analytic|, |numerical|) of `method`."""
        if self._cancels:
            return self.norm / self.terms
        error = None if self.method is None else self.error_by(self.method)
        return inf if error is None or isnan(error) else error

    def error_by(self, method: Method) -> float | None:
        """Return the relative error of one method, or None if the method gives no derivative."""
        numerical = self.difference if method == "differences" else self.complex_step
        if numerical is None or numerical == self.projection:
            return None if numerical is None else 0.0
        return abs(self.projection - numerical) / max(abs(self.projection), abs(numerical))

    @property
    def _cancels(self) -> bool:
        """True if terms cancel in the gradient and in the derivative: all that is left is rounding errors."""
        largest = ROUNDING * self.terms
        numerical = max(abs(self.difference) - self.difference_error, abs(self.complex_step or 0.0))
        return self.terms > 0 and self.norm <= largest and numerical <= largest

    def _resolves(self, method: Method) -> bool:
        """Return True if a method can distinguish the derivative from 0."""
        if method == "differences":
            return self.difference_error <= TOLERANCE * abs(self.difference)
        if self.complex_step is None:
            return False
        return self.complex_step == self.projection or abs(self.complex_step) > MIN_NORM

    def _agrees(self, method: Method) -> bool:
        error = self.error_by(method) if self._resolves(method) else None
        return error is not None and error <= TOLERANCE


def check_gradients(
    function: Function,
    variables: Mapping[str, Array],
    gradients: Mapping[str, Array],
    rng: np.random.Generator,
    parts: Mapping[str, Part] | None = None,
) -> list[GradientCheck]:
    """Check the gradients of a function of several arrays.

    Args:
        function: Function of the variables, which are all float64 or all complex128; the function must not
            modify the variables.
        variables: Values at which to check the gradients.
        gradients: Gradients to check, by variable name.
        rng: Random number generator for the directions.
        parts: Parts of the variables to check, by name of the part. Each part is a pair: the name of a
            variable, and an index along the first axis of the variable or `...` for the entire variable. By
            default, every variable is checked as one part.

    Raises:
        ValueError: If the variables and the gradients have different names or shapes.
    """
    variables = {name: np.asarray(value, np.float64) for name, value in variables.items()}
    for name in variables.keys() | gradients.keys():
        shapes = [arrays[name].shape if name in arrays else None for arrays in (variables, gradients)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"{name}: the variable has shape {shapes[0]}, but the gradient has shape {shapes[1]}"
            )
    parts = parts or {name: (name, ...) for name in variables}
    checks = [_check(function, variables, gradients, rng, name, *part) for name, part in parts.items()]
    analytic = not any(check._agrees("differences") and not check._agrees("complex step") for check in checks)
    return checks if analytic else [replace(check, complex_step=None) for check in checks]


def _check(
    function: Function,
    variables: dict[str, Array],
    gradients: Mapping[str, Array],
    rng: np.random.Generator,
    name: str,
    variable: str,
    index: int | EllipsisType,
) -> GradientCheck:
    gradient = gradients[variable][index]
    direction = np.zeros_like(variables[variable])
    direction[index] = _direction(gradient, rng)

    def along(distance: complex) -> float | complex:
        dtype = np.result_type(type(distance))
        moved = {key: value.astype(dtype) for key, value in variables.items()}
        moved[variable] += distance * direction
        return function(moved)

    difference, difference_error = central_difference(lambda distance: float(along(distance).real))
    return GradientCheck(
        name=name,
        shape=gradient.shape,
        norm=float(norm(gradient)),
        projection=float(np.sum(gradient * direction[index])),
        difference=difference,
        difference_error=difference_error,
        complex_step=complex_step(along),
    )


def _direction(gradient: Array, rng: np.random.Generator) -> Array:
    """Return the normalised sum of a random direction and the gradient's direction."""
    direction = rng.standard_normal(gradient.shape)
    direction /= norm(direction)
    length = norm(gradient)
    if length > 0 and np.isfinite(length):
        along = gradient / length
        direction = along + direction * (1 if np.sum(along * direction) >= 0 else -1)
    return np.asarray(direction / norm(direction))
