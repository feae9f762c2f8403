"""What the activations do: how open the gates are, how much is saturated, what the forget gates let through.

A sigmoid gate is counted as closed under 0.1 and as open over 0.9 (A. Karpathy, J. Johnson & L. Fei-Fei,
*Visualizing and understanding recurrent networks*, 2016); a tanh is saturated over 0.9 in magnitude.
Shares are over the units, for each example.
"""

import numpy as np

from rnnlab.arrays import Array
from rnnlab.cells import GRU, LSTM, Cell, CellTape, Vanilla
from rnnlab.diagnostics.snapshot import Readings, Snapshot
from rnnlab.diagnostics.statistics import curves

CLOSED, OPEN, SATURATED = 0.1, 0.9, 0.9


def measure_gates(snapshot: Snapshot) -> Readings:
    """By time step `gate_f`, `gate_f_closed`, `gate_f_open` and `…_saturated`; by lag `forget_product`.

    `gate_f` is the mean over units. `h_saturated` is of the vanilla cell: the share of |h| over 0.9 for tanh,
    of h = 0 for relu; `tanh_c_saturated` of an LSTM, `gate_n_saturated` of a GRU's candidate, likewise.
    `forget_product` at lag k is the geometric mean over units of f[T] ∘ … ∘ f[T-k+1], what the cell path
    alone leaves of a gradient at c.
    """
    cell, tape = snapshot.model.cell, snapshot.tape.cell
    gates = {gate: tape.inner["gates"][:, cell.rows(gate)] for gate in cell.sigmoid_gates}
    values = {}
    for gate, activations in gates.items():
        values[f"gate_{gate}"] = activations.mean(axis=1)
        values[f"gate_{gate}_closed"] = (activations < CLOSED).mean(axis=1)
        values[f"gate_{gate}_open"] = (activations > OPEN).mean(axis=1)
    values |= {
        f"{name}_saturated": share.mean(axis=1) for name, share in _saturated_units(cell, tape).items()
    }
    found = curves("timestep", np.arange(1, tape.time + 1), {name: _log(a) for name, a in values.items()})
    if "f" in gates:
        logs = {"forget_product": log_forget_product(tape, gates["f"])}
        found += curves("lag", np.arange(tape.time + 1), logs)
    return Readings(found)


def _saturated_units(cell: Cell, tape: CellTape) -> dict[str, Array]:
    """Whether a unit is where its activation function is flat, (T, H, B)."""
    match cell:
        case Vanilla(nonlinearity="relu"):
            return {"h": tape.states["h"][1:] == 0}
        case Vanilla(nonlinearity="tanh"):
            return {"h": np.abs(tape.states["h"][1:]) > SATURATED}
        case LSTM():
            return {"tanh_c": np.abs(tape.inner["tanh_c"]) > SATURATED}
        case GRU():
            return {"gate_n": np.abs(tape.inner["gates"][:, cell.rows("n")]) > SATURATED}
        case _:
            return {}


def log_forget_product(tape: CellTape, f: Array) -> Array:
    """Σ ln f[t] over the last k time steps, mean over units, (T+1, B); 0 at lag 0."""
    backwards = _log(f).mean(axis=1)[::-1]
    return np.concatenate([np.zeros((1, f.shape[2])), np.cumsum(backwards, axis=0)])


def _log(values: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(values, dtype=np.float64))
