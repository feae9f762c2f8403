"""Where numbers stopped being finite, in the order in which they were computed."""

import numpy as np

from rnnlab.arrays import Array, Params
from rnnlab.cells import CellDeltas
from rnnlab.model import Tape
from rnnlab.records import FirstNonFinite


def first_non_finite(tape: Tape, grads: Params, deltas: CellDeltas) -> FirstNonFinite | None:
    """Name the first quantity that is not finite, or None.

    Forward first, at the earliest time step: the states, then the loss. Then backward, at the latest
    time step, where the backward pass met it first: `d_h`, `d_c`, `d_z`. Then the parameters'
    gradients, which sum over time and so have no time step.
    """
    for name, values in tape.cell.states.items():
        bad = _bad_steps(values)
        if bad.size:
            return FirstNonFinite(name, int(bad[0]))  # index 0 is the initial state
    counted = np.where(tape.weights > 0, tape.losses, 0.0)
    bad = _bad_steps(counted)
    if bad.size:
        return FirstNonFinite("loss", int(bad[0]) + 1)
    for name, values in (*deltas.total.items(), ("z", deltas.dz)):
        bad = _bad_steps(values)
        if bad.size:
            return FirstNonFinite(f"d_{name}", int(bad[-1]) + 1)
    for name, grad in grads.items():
        if not np.isfinite(grad).all():
            return FirstNonFinite(f"d_{name}", None)
    return None


def _bad_steps(values: Array) -> Array:
    """Indices along the first axis that hold anything not finite."""
    return np.flatnonzero(~np.isfinite(values).all(axis=tuple(range(1, values.ndim))))
