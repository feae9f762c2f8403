"""Contribution of each time step to the gradient dW_hh.

    dW_hh = Σ_t C[t]    C[t] = Σ_b dz[t][:, b] h[t-1][:, b]ᵀ

The norm ‖C[t]‖_F follows from two B × B Gram matrices per time step, without any H × H array:

    ‖C[t]‖²_F = Σ_{b,b'} (dz[t]ᵀ dz[t] ∘ h[t-1]ᵀ h[t-1])[b, b']

C[t] describes the entire batch, not a single example, because the sum runs over all examples b. The losses at
time step t and at all later time steps contribute to C[t].
"""

import numpy as np

from rnnlab.arrays import Array
from rnnlab.diagnostics.snapshot import Readings, Snapshot
from rnnlab.diagnostics.statistics import curves
from rnnlab.workspace import Workspace


def measure_contributions(snapshot: Snapshot) -> Readings:
    """Measure ‖C[t]‖_F as `dW_hh` and the norm of each gate's block of C[t] as, for example, `dW_hh.f`."""
    cell, tape = snapshot.model.cell, snapshot.tape.cell
    dz, dz_exponents = scale_to_one(
        cell.recurrent_deltas(tape.inner, snapshot.deltas.dz), "scaled_dz", snapshot.workspace
    )
    h, h_exponents = scale_to_one(tape.states["h"][:-1], "scaled_h", snapshot.workspace)
    gram_h = gram(h)
    squares = {gate: (gram(dz[:, cell.rows(gate)]) * gram_h).sum(axis=(1, 2)) for gate in cell.gates}
    named = {f"dW_hh.{gate}": square for gate, square in squares.items()} if len(squares) > 1 else {}
    named = {"dW_hh": np.sum(list(squares.values()), axis=0)} | named
    log_scale = (dz_exponents + h_exponents) * np.log(2)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = {name: (0.5 * np.log(square) + log_scale)[:, None] for name, square in named.items()}
    return Readings(curves("timestep", np.arange(1, tape.time + 1), logs))


def scale_to_one(a: Array, name: str, workspace: Workspace) -> tuple[Array, Array]:
    """Scale `a`, shape (T, F, B), to a largest magnitude close to 1 at each time step.

    The divisor is a power of two. Without scaling, the squares of magnitudes below 1e-154 would underflow.

    Returns:
        Scaled array in float64, and the base-2 logarithm of the divisor at each time step, shape (T,).
    """
    largest = np.maximum(a.max(axis=(1, 2)), -a.min(axis=(1, 2))).astype(np.float64)
    exponents = np.frexp(np.where(np.isfinite(largest), largest, 0.0))[1]
    exponents = exponents.clip(-1000, 1000)  # 2**±1000 is finite in float64
    out = workspace.array(name, a.shape, np.float64)
    np.multiply(a, np.ldexp(1.0, -exponents)[:, None, None], out=out)
    return out, exponents


def gram(a: Array) -> Array:
    """Return the Gram matrix aᵀa of each time step: an array (T, B, B) for `a` of shape (T, F, B)."""
    return np.asarray(np.matmul(a.transpose(0, 2, 1), a))
