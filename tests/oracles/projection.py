"""The gradient check of rnnlab and its complex step alone, applied to the test cases."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from rnnlab.arrays import Array
from rnnlab.gradcheck import TOLERANCE, GradientCheck, check_gradients
from rnnlab.gradcheck.derivatives import complex_step
from tests.oracles.cases import Case

__all__ = ["TOLERANCE", "checks", "complex_step_errors", "projection_errors"]


def projection_errors(case: Case, gradients: Mapping[str, Array]) -> dict[str, float]:
    """Return the relative error of every gradient."""
    return {check.name: check.error for check in checks(case, gradients)}


def checks(case: Case, gradients: Mapping[str, Array]) -> list[GradientCheck]:
    return check_gradients(loss_of(case), case.variables(), gradients, np.random.default_rng(7))


def complex_step_errors(case: Case, gradients: Mapping[str, Array]) -> dict[str, float]:
    """Return the relative error of every gradient along a direction, by one complex evaluation each."""
    rng, function, variables = np.random.default_rng(7), loss_of(case), case.variables()
    at = {name: value.astype(np.complex128) for name, value in variables.items()}
    errors = {}
    for name, gradient in gradients.items():
        random = rng.standard_normal(gradient.shape)
        aligned = random * (1 if np.sum(random * gradient) >= 0 else -1)
        direction = aligned / np.linalg.norm(aligned) + gradient / (np.linalg.norm(gradient) or 1)
        numerical = complex_step(lambda distance: function(at | {name: at[name] + distance * direction}))  # noqa: B023
        assert numerical is not None, name
        analytic = float(np.sum(gradient * direction))
        size = max(abs(analytic), abs(numerical))
        errors[name] = abs(analytic - numerical) / size if size else 0.0
    return errors


def loss_of(case: Case) -> Callable[[dict[str, Array]], float | complex]:
    """Return the loss as a function of the variables of a case."""

    def function(at: dict[str, Array]) -> float | complex:
        params = {name: at[name] for name in case.params}
        batch = replace(case.batch, x=at.get("x", case.batch.x))
        initial = case.initial and {name: at[f"initial {name}"] for name in case.initial}
        return replace(case, params=params, batch=batch, initial=initial).forward().loss

    return function
