"""Per-example gradient norms and their statistics over a batch.

With L the batch's loss, a mean over B examples, the gradient of one example's own loss is

    ‖∂ℓ_b/∂s[t]‖ := B · ‖∂L/∂s[t][:, b]‖₂

so the numbers do not depend on the batch's size, nor on examples cancelling out.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Literal

import numpy as np

from rnnlab.arrays import SAFE_SQUARES, Array, norm
from rnnlab.cells import Cell, CellDeltas, CellTape
from rnnlab.records import NormCurve


def norms_by_timestep(cell: Cell, tape: CellTape, deltas: CellDeltas) -> list[NormCurve]:
    """Norms of the total and immediate gradients of every state at every time step of a backward pass.

    `state` is the norm of the state adjoint, for a cell with one state the same as `h`. In statistics over
    the examples.
    """
    log_norms = log_norms_by_timestep(cell, tape, deltas)
    index = np.arange(1, tape.time + 1)
    return norm_curves(list(log_norms), "timestep", index, np.stack(list(log_norms.values())))


def log_norms_by_timestep(cell: Cell, tape: CellTape, deltas: CellDeltas) -> dict[str, Array]:
    """ln of the same norms for each example, (T, B); -inf where a gradient is 0."""
    first, log_norms = deltas.first_loss, {}
    examples = np.log(tape.x.shape[-1])
    for name in cell.states:
        log_norms[name] = _log_norm_of_steps(deltas.total[name]) + examples
        immediate = np.full_like(log_norms[name], -np.inf)
        immediate[first:] = _log_norm_of_steps(deltas.immediate[name][first:]) + examples
        log_norms[f"{name}_immediate"] = immediate
    if len(cell.states) == 1:
        return log_norms | {"state": log_norms[cell.states[0]]}
    squares = []
    for name, adjoint in cell.state_adjoints(tape, deltas).items():
        known = adjoint is deltas.total[name]
        squares.append(2 * (log_norms[name] if known else _log_norm_of_steps(adjoint) + examples))
    with np.errstate(invalid="ignore"):  # of NaN
        return log_norms | {"state": 0.5 * reduce(np.logaddexp, squares)}


def _log_norm_of_steps(a: Array) -> Array:
    """ln of the norm over features of a sequence (T, H, B), (T, B).

    By a plain sum of squares, and again for the time steps at which that is in doubt: float32 in float64,
    which holds all its squares, and float64 with the safe norm, which costs several times as much.
    """
    with np.errstate(all="ignore"):
        squares = np.einsum("thb,thb->tb", a, a)
        logs: Array = 0.5 * np.log(squares, dtype=np.float64)
        if squares.min() > SAFE_SQUARES[0] and squares.max() < SAFE_SQUARES[1]:
            return logs
        in_doubt = ~((squares > SAFE_SQUARES[0]) & (squares < SAFE_SQUARES[1])).all(axis=1)
        if a.dtype == np.float32:
            doubtful = a[in_doubt].astype(np.float64)
            logs[in_doubt] = 0.5 * np.log(np.einsum("thb,thb->tb", doubtful, doubtful))
        else:
            logs[in_doubt] = np.log(norm(a[in_doubt], axis=1))
    return logs


def joint_log_norm(parts: Mapping[str, Array], axis: int) -> Array:
    """ln of the norm of several arrays (…, H, …) stacked along `axis`; -inf where it is 0."""
    total = norm(np.stack([norm(part, axis) for part in parts.values()]), axis=0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(total))


def norm_curve(quantity: str, axis: Literal["timestep", "lag"], index: Array, log_norms: Array) -> NormCurve:
    """Statistics over examples of one quantity; see `norm_curves`. Its log_norms are (N, B)."""
    return norm_curves([quantity], axis, index, log_norms[None])[0]


def norm_curves(
    quantities: Sequence[str], axis: Literal["timestep", "lag"], index: Array, log_norms: Array
) -> list[NormCurve]:
    """Statistics over examples, of all quantities in one go.

    Args:
        quantities: Q names of what was measured.
        axis: What `index` counts.
        index: (N,).
        log_norms: ln of the per-example norms, (Q, N, B); -inf for a norm of 0, NaN or inf where an
            example has none.

    Returns:
        The curves; NaN where no example has a value. Magnitudes below the reach of float64 are 0 in
        mean, median and max and right in log10_gmean.
    """
    counted = ~np.isnan(log_norms) & (log_norms < np.inf)
    positive = counted & (log_norms > -np.inf)
    count, count_positive = counted.sum(axis=-1), positive.sum(axis=-1)
    with np.errstate(over="ignore"):
        norms = np.exp(np.where(counted, log_norms, np.nan))
        mean, median = _ratio(np.where(counted, norms, 0.0).sum(axis=-1), count), _median(norms, count)
    largest = np.where(count > 0, np.where(counted, norms, -np.inf).max(axis=-1), np.nan)
    log10_gmean = _ratio(np.where(positive, log_norms, 0.0).sum(axis=-1), count_positive) / np.log(10)
    zero_fraction = _ratio(count - count_positive, count)
    statistics = zip(mean, median, largest, log10_gmean, zero_fraction, strict=True)
    return [
        NormCurve(name, axis, index, *of_one) for name, of_one in zip(quantities, statistics, strict=True)
    ]


def _ratio(total: Array, count: Array) -> Array:
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _median(values: Array, count: Array) -> Array:
    ordered = np.sort(values, axis=-1)  # NaN last
    middle = np.stack([np.maximum(count - 1, 0) // 2, np.minimum(count // 2, values.shape[-1] - 1)], axis=-1)
    low, high = np.moveaxis(np.take_along_axis(ordered, middle, axis=-1), -1, 0)
    return np.where(count > 0, (low + high) / 2, np.nan)
