"""Activation statistics: open and closed gates, saturated units, and the product of the forget gates.

A sigmoid gate counts as closed if its activation is below 0.1, and as open if its activation is above 0.9
(Karpathy, Johnson & Fei-Fei, *Visualizing and understanding recurrent networks*, 2016). A tanh unit counts as
saturated if the magnitude of its activation exceeds 0.9. All fractions are computed over the units of one
example.
"""

import numpy as np

from rnnlab.arrays import Array
from rnnlab.cells import CellTape
from rnnlab.diagnostics.snapshot import Readings, Snapshot, by_layer
from rnnlab.diagnostics.statistics import curves

CLOSED, OPEN = 0.1, 0.9


@by_layer
def measure_gates(snapshot: Snapshot) -> Readings:
    """Measure gate activations and saturation by time step, and `forget_product` by lag.

    Three curves are recorded for each sigmoid gate. For the forget gate, `gate_f` is the activation averaged
    over units, and `gate_f_closed` and `gate_f_open` are the fractions of closed and open units. For the
    vanilla cell, `h_saturated` is the fraction of units with |h| > 0.9 for tanh or with h = 0 for relu. For
    an LSTM, `tanh_c_saturated` is the fraction of units with |tanh c| > 0.9. For a GRU, `gate_n_saturated` is
    the fraction of units with |n| > 0.9, where n is the candidate state. `forget_product` at lag k is the
    geometric mean over units of f[T] ∘ … ∘ f[T-k+1], the factor by which the direct path through the cell
    states scales the gradient with respect to c.
    """
    cell, tape = snapshot.model.cell, snapshot.tape.cell
    gates = cell.sigmoid_gates(tape)
    values = {}
    for gate, activations in gates.items():
        values[f"gate_{gate}"] = activations.mean(axis=1)
        values[f"gate_{gate}_closed"] = (activations < CLOSED).mean(axis=1)
        values[f"gate_{gate}_open"] = (activations > OPEN).mean(axis=1)
    values |= {f"{name}_saturated": share.mean(axis=1) for name, share in cell.saturated_units(tape).items()}
    gate_curves = curves(
        "timestep", np.arange(1, tape.time + 1), {name: _log(a) for name, a in values.items()}
    )
    if cell.forget_gate is not None:
        logs = {"forget_product": log_forget_product(tape, gates[cell.forget_gate])}
        gate_curves += curves("lag", np.arange(tape.time + 1), logs)
    return Readings(gate_curves)


def log_forget_product(tape: CellTape, f: Array) -> Array:
    """Return Σ ln f[t] over the last k = 0 … T time steps, averaged over units: an array (T+1, B)."""
    backwards = _log(f).mean(axis=1)[::-1]
    return np.concatenate([np.zeros((1, f.shape[2])), np.cumsum(backwards, axis=0)])


def _log(values: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(values, dtype=np.float64))
