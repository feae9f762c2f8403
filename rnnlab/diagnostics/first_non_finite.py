"""Where numbers stopped being finite, in the order in which they were computed."""

import numpy as np

from rnnlab.arrays import Array, Params
from rnnlab.cells import CellDeltas
from rnnlab.model import Tape
from rnnlab.records import FirstNonFinite


def first_non_finite(tape: Tape, grads: Params, deltas: CellDeltas, params: Params) -> FirstNonFinite | None:
    """Name the first quantity that is not finite, or None.

    The parameters first, which the update before may have broken. Then forward, at the earliest time step:
    the states, then the loss. Then backward, at the latest time step, where the backward pass met it first:
    `d_h`, `d_c`, `d_z`. Then the parameters' gradients, which sum over time and so have no time step.
    """
    if (broken := non_finite_weights(params)) is not None:
        return broken
    losses = np.where(tape.weights > 0, tape.losses, 0.0)
    # A state's index 0 is the initial one. Of a step, an LSTM's c comes before its h.
    forward = [(name, _bad_steps(values)) for name, values in reversed(list(tape.cell.states.items()))]
    forward.append(("loss", _bad_steps(losses) + tape.first_output + 1))
    met = [(int(steps[0]), name) for name, steps in forward if steps.size]
    if met:
        timestep, name = min(met, key=lambda found: found[0])
        return FirstNonFinite(name, timestep)
    backward = [(f"d_{name}", _bad_steps(values) + 1) for name, values in deltas.total.items()]
    backward.append(("d_z", _bad_steps(deltas.dz) + 1))
    met = [(int(steps[-1]), name) for name, steps in backward if steps.size]
    if met:
        timestep, name = max(met, key=lambda found: found[0])
        return FirstNonFinite(name, timestep)
    for name, grad in grads.items():
        if not np.isfinite(grad).all():
            return FirstNonFinite(f"d_{name}", None)
    return None


def non_finite_weights(params: Params) -> FirstNonFinite | None:
    """Name the first parameter with values that are not finite, or None."""
    broken = (name for name, w in params.items() if not np.isfinite(w).all())
    return next((FirstNonFinite(name, None) for name in broken), None)


def _bad_steps(values: Array) -> Array:
    """Indices along the first axis that hold anything not finite."""
    return np.flatnonzero(~np.isfinite(values).all(axis=tuple(range(1, values.ndim))))
