"""Gradients checked by projection: ⟨∇f, v⟩ by hand against the derivative of f along v.

Each variable is checked along a direction v of its own, half at random and half along the gradient it
is told to have. The first half sees every error, the second keeps ⟨∇f, v⟩ from being small by chance.
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
MIN_NORM = 1e-285
"""Derivatives below this run out of float64 on the way."""

Function = Callable[[dict[str, Array]], float | complex]
Method = Literal["differences", "complex step"]
METHODS: tuple[Method, ...] = ("differences", "complex step")
Verdict = Literal["right", "wrong", "undecided"]
Part = tuple[str, int | EllipsisType]


@dataclass(frozen=True)
class GradientCheck:
    """One gradient, checked.

    Attributes:
        name: Of the variable, or of its part.
        shape: Of what was checked.
        norm: ‖∇f‖, by hand.
        projection: ⟨∇f, v⟩, by hand.
        difference: The derivative along v by finite differences.
        difference_error: How far off that may be, by its own estimate.
        complex_step: The derivative along v by a complex step; None where f takes no complex numbers, or is
            seen not to be analytic: where differences and gradient agree and the complex step does not.
    """

    name: str
    shape: tuple[int, ...]
    norm: float
    projection: float
    difference: float
    difference_error: float
    complex_step: float | None

    @property
    def verdict(self) -> Verdict:
        """`right` if a method that can see the derivative agrees; `undecided` if none can see it."""
        if self._agrees("differences") or self._agrees("complex step"):
            return "right"
        return "undecided" if self.method is None else "wrong"

    @property
    def passed(self) -> bool:
        """Whether the gradient is right."""
        return self.verdict == "right"

    @property
    def method(self) -> Method | None:
        """The method that decides: differences where they see the derivative, and the complex step where not.

        Over a kink differences may be wrong and not know it, so the complex step has the last word.
        """
        if self._agrees("differences"):
            return "differences"
        if self._resolves("complex step"):
            return "complex step"
        return "differences" if self._resolves("differences") else None

    @property
    def error(self) -> float:
        """Relative error |by hand - numerical| / max(|by hand|, |numerical|) by the method that decides."""
        error = None if self.method is None else self.error_by(self.method)
        return inf if error is None or isnan(error) else error

    def error_by(self, method: Method) -> float | None:
        """The relative error by one method; None where there is no derivative by it."""
        numerical = self.difference if method == "differences" else self.complex_step
        if numerical is None or numerical == self.projection:
            return None if numerical is None else 0.0
        return abs(self.projection - numerical) / max(abs(self.projection), abs(numerical))

    def _resolves(self, method: Method) -> bool:
        """Whether a method can tell this derivative from none."""
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
        function: Of the variables, all float64 or all complex128; it must not change them.
        variables: Where to check.
        gradients: What is checked, under the variables' names.
        rng: For the directions.
        parts: What to check of the variables: by name, a variable and an index along its first axis
            (... for all of it). Default: each variable as a whole.

    Raises:
        ValueError: Names or shapes of variables and gradients differ.
    """
    variables = {name: np.asarray(value, np.float64) for name, value in variables.items()}
    for name in variables.keys() | gradients.keys():
        of_both = [arrays[name].shape if name in arrays else None for arrays in (variables, gradients)]
        if of_both[0] != of_both[1]:
            raise ValueError(f"{name}: variable of shape {of_both[0]}, gradient of shape {of_both[1]}")
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
    """A unit vector, half at random and half along the gradient."""
    direction = rng.standard_normal(gradient.shape)
    direction /= norm(direction)
    length = norm(gradient)
    if length > 0 and np.isfinite(length):
        along = gradient / length
        direction = along + direction * (1 if np.sum(along * direction) >= 0 else -1)
    return np.asarray(direction / norm(direction))
