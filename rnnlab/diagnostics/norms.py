"""Per-example norms at every time step of the training batch.

With L the batch's loss, a mean over B examples, the gradient of one example's own loss is

    ‖∂ℓ_b/∂s[t]‖ := B · ‖∂L/∂s[t][:, b]‖₂

so the numbers do not depend on the batch's size, nor on examples cancelling out.
"""

from collections.abc import Iterator, Mapping
from functools import reduce

import numpy as np

from rnnlab.arrays import Array, Params
from rnnlab.cells import Cell, CellDeltas, CellTape, StepTape
from rnnlab.diagnostics.snapshot import Readings, Snapshot
from rnnlab.diagnostics.statistics import curves
from rnnlab.norms import SAFE_SQUARES, norm

_COPIED = 2**17  # numbers
_COLUMNS = 256


def measure_norms(snapshot: Snapshot) -> Readings:
    """Total and immediate gradients by h, c, the pre-activations z and the inputs x; the states themselves.

    `h`, `c`, `state` (the state adjoint), `z`, `x`; `…_immediate`, what the loss at a time step sends there
    itself; `h_norm` and `c_norm`, ‖h[t]‖ and ‖c[t]‖. Gradients are of the training loss, which as a mean over
    time weighs each of an example's N targets 1/N, while a lag curve has weight 1.
    """
    cell, tape, deltas = snapshot.model.cell, snapshot.tape.cell, snapshot.deltas
    logs = log_norms_by_timestep(cell, tape, deltas)
    batch = tape.x.shape[-1]
    for name in ("z", "x", "z_immediate", "x_immediate"):
        logs[name] = np.full((tape.time, batch), -np.inf)
    W_xhT = np.ascontiguousarray(snapshot.params["W_xh"].T)
    for steps in _some_steps(tape.time, batch):
        has_loss = slice(max(steps.start, deltas.first_loss), steps.stop)
        parts = {"": (steps, _columns(deltas.dz[steps]))}
        if has_loss.start < has_loss.stop:
            parts["_immediate"] = has_loss, _immediate_dz(snapshot.params, cell, tape, deltas, has_loss)
        for suffix, (rows, dz) in parts.items():
            for name, a in (("z", dz), ("x", W_xhT @ dz)):
                logs[name + suffix][rows] = log_norm_of_steps(a[None]).reshape(-1, batch) + np.log(batch)
    for name in cell.states:
        logs[f"{name}_norm"] = log_norm_of_steps(tape.states[name][1:])
    return Readings(curves("timestep", np.arange(1, tape.time + 1), logs))


def log_norms_by_timestep(cell: Cell, tape: CellTape, deltas: CellDeltas) -> dict[str, Array]:
    """ln of the norms of each example's total and immediate gradients by the states, (T, B); -inf for 0.

    `state` is the state adjoint, for a cell with one state the same as `h`.
    """
    first, logs = deltas.first_loss, {}
    examples = np.log(tape.x.shape[-1])
    for name in cell.states:
        logs[name] = log_norm_of_steps(deltas.total[name]) + examples
        immediate = np.full_like(logs[name], -np.inf)
        immediate[first:] = log_norm_of_steps(deltas.immediate[name][first:]) + examples
        logs[f"{name}_immediate"] = immediate
    if len(cell.states) == 1:
        return logs | {"state": logs[cell.states[0]]}
    squares = []
    for name, adjoint in cell.state_adjoints(tape, deltas).items():
        is_total = adjoint is deltas.total[name]
        squares.append(2 * (logs[name] if is_total else log_norm_of_steps(adjoint) + examples))
    with np.errstate(invalid="ignore"):  # of NaN
        return logs | {"state": 0.5 * reduce(np.logaddexp, squares)}


def log_norm_of_steps(a: Array) -> Array:
    """ln of the norm over features of a sequence (T, F, B), (T, B).

    By a plain sum of squares, and again for the time steps at which that is in doubt: float32 in float64,
    which holds all its squares, and float64 with the safe norm, which costs several times as much.
    """
    with np.errstate(all="ignore"):
        squares = np.einsum("thb,thb->tb", a, a)
        logs: Array = 0.5 * np.log(squares, dtype=np.float64)
        if squares.min() > SAFE_SQUARES[0] and squares.max() < SAFE_SQUARES[1]:
            return logs
        in_doubt = ~((squares > SAFE_SQUARES[0]) & (squares < SAFE_SQUARES[1])).all(axis=1)
        some = max(_COPIED // a[0].size, 1)  # time steps, so that copies stay small
        doubtful = np.flatnonzero(in_doubt)
        for steps in (doubtful[start : start + some] for start in range(0, len(doubtful), some)):
            if a.dtype == np.float32:
                wide = a[steps].astype(np.float64)
                logs[steps] = 0.5 * np.log(np.einsum("thb,thb->tb", wide, wide))
            else:
                logs[steps] = np.log(norm(a[steps], axis=1))
    return logs


def joint_log_norm(parts: Mapping[str, Array], axis: int) -> Array:
    """ln of the norm of several arrays (…, H, …) stacked along `axis`; -inf where it is 0."""
    total = norm(np.stack([norm(part, axis) for part in parts.values()]), axis=0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(total))


def _immediate_dz(params: Params, cell: Cell, tape: CellTape, deltas: CellDeltas, steps: slice) -> Array:
    """∂ℓ[t]/∂z[t] of the loss at t alone, of some time steps, (G·H, S·B).

    One backward step from e[t] with nothing behind it, for all of them at once as columns of one.
    """
    after_steps = slice(steps.start + 1, steps.stop + 1)
    e = _columns(deltas.immediate["h"][steps])
    of_steps = StepTape(
        tape.x,
        {name: _columns(values[steps]) for name, values in tape.states.items()},
        {name: _columns(values[after_steps]) for name, values in tape.states.items()},
        {name: _columns(values[steps]) for name, values in tape.inner.items()},
    )
    adjoint = {name: np.zeros_like(e) for name in cell.states} | {"h": e}
    return cell.adjoint_step(params, of_steps, adjoint).dz


def _columns(a: Array) -> Array:
    """A sequence (S, F, B) as (F, S·B)."""
    return a.transpose(1, 0, 2).reshape(a.shape[1], -1)


def _some_steps(time: int, batch: int) -> Iterator[slice]:
    """Slices of time of so few columns that what is made of them stays in a core's cache."""
    steps = max(_COLUMNS // batch, 1)
    return (slice(start, min(start + steps, time)) for start in range(0, time, steps))
