"""What the activations do: how open the gates are, how much is saturated, what the forget gates let through.

A sigmoid gate is counted as closed under 0.1 and as open over 0.9 (A. Karpathy, J. Johnson & L. Fei-Fei,
*Visualizing and understanding recurrent networks*, 2016); a tanh is saturated over 0.9 in magnitude.
Shares are over the units, for each example.
"""

import numpy as np

from rnnlab.arrays import Array
from rnnlab.cells import CellTape, Vanilla
from rnnlab.diagnostics.snapshot import Readings, Snapshot
from rnnlab.diagnostics.statistics import curves

CLOSED, OPEN, SATURATED = 0.1, 0.9, 0.9


def measure_gates(snapshot: Snapshot) -> Readings:
    """By time step `gate_f`, `gate_f_closed`, `gate_f_open` and `h_saturated`; by lag `forget_product`.

    `gate_f` is the mean over units. `h_saturated` is of the vanilla cell alone: the share of |h| over 0.9 for
    tanh, of h = 0 for relu.
    `forget_product` at lag k is the geometric mean over units of f[T] ∘ … ∘ f[T-k+1], what the cell path
    alone leaves of a gradient at c; beside it stands the measured lag curve `c`.
    """
    cell, tape = snapshot.model.cell, snapshot.tape.cell
    gates = {gate: tape.inner["gates"][:, cell.rows(gate)] for gate in cell.gates if "gates" in tape.inner}
    values = {}
    for gate, activations in gates.items():
        if activations.size and activations.min() >= 0:  # not the candidate, which is a tanh
            values[f"gate_{gate}"] = activations.mean(axis=1)
            values[f"gate_{gate}_closed"] = (activations < CLOSED).mean(axis=1)
            values[f"gate_{gate}_open"] = (activations > OPEN).mean(axis=1)
    if isinstance(cell, Vanilla) and cell.nonlinearity != "identity":
        h = tape.states["h"][1:]
        values["h_saturated"] = (h == 0 if cell.nonlinearity == "relu" else np.abs(h) > SATURATED).mean(
            axis=1
        )
    found = curves("timestep", np.arange(1, tape.time + 1), {name: _log(a) for name, a in values.items()})
    if "f" in gates:
        logs = {"forget_product": log_forget_product(tape, gates["f"])}
        found += curves("lag", np.arange(tape.time + 1), logs)
    return Readings(found)


def log_forget_product(tape: CellTape, f: Array) -> Array:
    """Σ ln f[t] over the last k time steps, mean over units, (T+1, B); 0 at lag 0."""
    backwards = _log(f).mean(axis=1)[::-1]
    return np.concatenate([np.zeros((1, f.shape[2])), np.cumsum(backwards, axis=0)])


def _log(values: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(values, dtype=np.float64))
