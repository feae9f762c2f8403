"""Gradients checked by projection: ⟨u, J v⟩ from differences of the loss against ⟨Jᵀ u, v⟩.

The loss is one number, so u = 1 and Jᵀ u is the gradient. Each variable is checked along a random
direction v of its own, which no error of its gradient is orthogonal to.
"""

from collections.abc import Callable, Mapping

import numpy as np

from rnnlab.arrays import Array
from tests.oracles.cases import Case

TOLERANCE = 1e-7
STEP = 1e-3


def projection_errors(case: Case, gradients: Mapping[str, Array]) -> dict[str, float]:
    """The relative error of every gradient."""
    variables = case.variables()
    assert set(gradients) == set(variables)
    rng = np.random.default_rng(7)
    errors = {}
    for name, variable in variables.items():
        v = rng.standard_normal(variable.shape)
        v /= np.sqrt(np.sum(v * v))
        numerical = _derivative(lambda: case.forward().loss, variable, v)
        by_hand = float(np.sum(gradients[name] * v))
        errors[name] = abs(numerical - by_hand) / max(abs(numerical), abs(by_hand))
    return errors


def _derivative(loss: Callable[[], float], variable: Array, v: Array) -> float:
    """Central difference of fourth order along v; `variable` is changed on the way and put back."""
    origin = variable.copy()

    def at(distance: float) -> float:
        variable[...] = origin + distance * v
        return loss()

    near, far = at(STEP) - at(-STEP), at(2 * STEP) - at(-2 * STEP)
    variable[...] = origin
    return (8 * near - far) / (12 * STEP)
