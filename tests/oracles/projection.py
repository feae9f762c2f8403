"""The gradient check of rnnlab, applied to the test cases."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from rnnlab.arrays import Array
from rnnlab.gradcheck import TOLERANCE, GradientCheck, check_gradients
from tests.oracles.cases import Case

__all__ = ["TOLERANCE", "checks", "projection_errors"]


def projection_errors(case: Case, gradients: Mapping[str, Array]) -> dict[str, float]:
    """Return the relative error of every gradient."""
    return {check.name: check.error for check in checks(case, gradients)}


def checks(case: Case, gradients: Mapping[str, Array]) -> list[GradientCheck]:
    def function(at: dict[str, Array]) -> float | complex:
        params = {name: at[name] for name in case.params}
        batch = replace(case.batch, x=at.get("x", case.batch.x))
        initial = case.initial and {name: at[f"initial {name}"] for name in case.initial}
        return replace(case, params=params, batch=batch, initial=initial).forward().loss

    return check_gradients(function, case.variables(), gradients, np.random.default_rng(7))
