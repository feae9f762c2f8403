"""What each time step contributes to dW_hh.

    dW_hh = Σ_t C[t]    C[t] = Σ_b dz[t][:, b] h[t-1][:, b]ᵀ

‖C[t]‖_F is found from two B × B Gram matrices, no H × H one a step:

    ‖C[t]‖²_F = Σ_{b,b'} (dz[t]ᵀ dz[t] ∘ h[t-1]ᵀ h[t-1])[b, b']

It belongs to the batch and its loss, a mean over examples, and holds the loss of all later steps.
"""

import numpy as np

from rnnlab.arrays import Array
from rnnlab.diagnostics.snapshot import Readings, Snapshot
from rnnlab.diagnostics.statistics import curves


def measure_contributions(snapshot: Snapshot) -> Readings:
    """‖C[t]‖_F as `dW_hh`, and for a cell with gates each gate's block of rows, as `dW_hh.f`."""
    cell, tape = snapshot.model.cell, snapshot.tape.cell
    dz = cell.recurrent_deltas(tape.inner, snapshot.deltas.dz)
    of_h = gram(tape.states["h"][:-1])
    squares = {gate: (gram(dz[:, cell.rows(gate)]) * of_h).sum(axis=(1, 2)) for gate in cell.gates}
    named = {f"dW_hh.{gate}": square for gate, square in squares.items()} if len(squares) > 1 else {}
    named = {"dW_hh": np.sum(list(squares.values()), axis=0)} | named
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = {name: 0.5 * np.log(square)[:, None] for name, square in named.items()}
    return Readings(curves("timestep", np.arange(1, tape.time + 1), logs))


def gram(a: Array) -> Array:
    """aᵀa of every time step of (T, F, B), (T, B, B) in float64, whose range holds float32's squares."""
    wide = a.astype(np.float64)
    return np.asarray(np.matmul(wide.transpose(0, 2, 1), wide))
