"""The first non-finite quantity of a training step, in the order of computation."""

import numpy as np

from rnnlab.arrays import Array, Params
from rnnlab.cells import CellDeltas
from rnnlab.model import Tape
from rnnlab.records import FirstNonFinite


def first_non_finite(tape: Tape, grads: Params, deltas: CellDeltas, params: Params) -> FirstNonFinite | None:
    """Return the first quantity that contains a non-finite value, or None if all values are finite.

    The search follows the order of computation:

    1. the parameters, which may be non-finite after the previous update;
    2. the states and the loss of the forward pass, from the first time step to the last;
    3. `d_h`, `d_c` and `d_z` of the backward pass, from the last time step to the first;
    4. the gradients with respect to the parameters, which are sums over all time steps.
    """
    if (non_finite := non_finite_weights(params)) is not None:
        return non_finite
    losses = np.where(tape.weights > 0, tape.losses, 0.0)
    # Index 0 of a state is the initial state. Within a time step, an LSTM computes c before h.
    forward = [(name, _bad_steps(values)) for name, values in reversed(list(tape.cell.states.items()))]
    forward.append(("loss", _bad_steps(losses) + tape.first_output + 1))
    candidates = [(int(steps[0]), name) for name, steps in forward if steps.size]
    if candidates:
        timestep, name = min(candidates, key=lambda candidate: candidate[0])
        return FirstNonFinite(name, timestep)
    backward = [(f"d_{name}", _bad_steps(values) + 1) for name, values in deltas.total.items()]
    parts = {f"l{i}.": part for i, part in enumerate(deltas.layers, start=1)} or {"": deltas}
    for prefix, part in reversed(parts.items()):
        if part.dz is not None:
            backward.append((f"d_{prefix}z", _bad_steps(part.dz) + 1))
    candidates = [(int(steps[-1]), name) for name, steps in backward if steps.size]
    if candidates:
        timestep, name = max(candidates, key=lambda candidate: candidate[0])
        return FirstNonFinite(name, timestep)
    for name, grad in grads.items():
        if not np.isfinite(grad).all():
            return FirstNonFinite(f"d_{name}", None)
    return None


def non_finite_weights(params: Params) -> FirstNonFinite | None:
    """Return the first parameter that contains a non-finite value, or None if all values are finite."""
    names = (name for name, w in params.items() if not np.isfinite(w).all())
    return next((FirstNonFinite(name, None) for name in names), None)


def _bad_steps(values: Array) -> Array:
    """Return the indices along the first axis at which `values` contains a non-finite value."""
    return np.flatnonzero(~np.isfinite(values).all(axis=tuple(range(1, values.ndim))))
