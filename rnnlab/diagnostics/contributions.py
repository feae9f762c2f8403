"""Contribution of each time step to the gradient dW_hh.

    dW_hh = Σ_t C[t]    C[t] = Σ_b dz[t][:, b] h[t-1][:, b]ᵀ

For the candidate of a GRU with `reset_after=false`, r[t] ∘ h[t-1] takes the place of h[t-1]. The norm
‖C[t]‖_F follows from two B × B Gram matrices per time step, without any H × H array:

    ‖C[t]‖²_F = Σ_{b,b'} (dz[t]ᵀ dz[t] ∘ h[t-1]ᵀ h[t-1])[b, b']

C[t] describes the entire batch, not a single example, because the sum runs over all examples b. The losses at
time step t and at all later time steps contribute to C[t].
"""

import numpy as np

from rnnlab.arrays import Array
from rnnlab.diagnostics.snapshot import Readings, Snapshot, by_layer
from rnnlab.diagnostics.statistics import curves
from rnnlab.workspace import Workspace


@by_layer
def measure_contributions(snapshot: Snapshot) -> Readings:
    """Measure ‖C[t]‖_F as `dW_hh` and the norm of each gate's block of C[t] as, for example, `dW_hh.f`."""
    cell, tape, deltas = snapshot.model.cell, snapshot.tape.cell, snapshot.deltas
    if deltas.recurrent is None:
        return Readings()
    da, da_exponents = scale_to_one(deltas.recurrent, "scaled_dz", snapshot.workspace, deltas.exponents)
    h, h_exponents = scale_to_one(tape.states[cell.recurrent_state][:-1], "scaled_h", snapshot.workspace)
    gram_h, name = gram(h), f"d{cell.recurrent_matrix}"
    blocks = {f"{name}.{gate}": da[:, cell.rows(gate)] for gate in cell.gate_names} or {name: da}
    grams = dict.fromkeys(blocks, gram_h)
    for gate, operand in cell.other_operands(tape.states, tape.inner).items():
        grams[f"{name}.{gate}"] = gram(operand * np.ldexp(1.0, -h_exponents)[:, None, None])
    squares = {part: (gram(block) * grams[part]).sum(axis=(1, 2)) for part, block in blocks.items()}
    named = {name: np.sum(list(squares.values()), axis=0)} | (squares if len(squares) > 1 else {})
    log_scale = (da_exponents + h_exponents) * np.log(2)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = {name: (0.5 * np.log(square) + log_scale)[:, None] for name, square in named.items()}
    return Readings(curves("timestep", np.arange(1, tape.time + 1), logs))


def scale_to_one(
    a: Array, name: str, workspace: Workspace, exponents: Array | None = None
) -> tuple[Array, Array]:
    """Scale `a`, shape (T, F, B), to a largest magnitude close to 1 at each time step.

    The divisor is a power of two. Without scaling, the squares of magnitudes below 1e-154 would underflow.

    Args:
        a: Array of shape (T, F, B).
        name: Name of the buffer for the result.
        workspace: Buffers to reuse.
        exponents: Binary exponents by which the examples are to be multiplied, shape (T, B); None for 0.

    Returns:
        Scaled array in float64, and the base-2 logarithm of the divisor at each time step, shape (T,).
    """
    largest = np.maximum(a.max(axis=1), -a.min(axis=1)).astype(np.float64)
    sizes = np.frexp(np.where(np.isfinite(largest), largest, 0.0))[1]
    added = np.zeros_like(sizes) if exponents is None else exponents
    totals = np.where(largest > 0, sizes + added, np.iinfo(np.int32).min).max(axis=1)
    totals = np.where(totals == np.iinfo(np.int32).min, 0, totals)
    out = workspace.array(name, a.shape, np.float64)
    power = (added - totals[:, None]).clip(-1000, 1000)  # 2**±1000 is finite in float64
    np.multiply(a, np.ldexp(1.0, power)[:, None, :], out=out)
    return out, totals


def gram(a: Array) -> Array:
    """Return the Gram matrix aᵀa of each time step: an array (T, B, B) for `a` of shape (T, F, B)."""
    return np.asarray(np.matmul(a.transpose(0, 2, 1), a))
