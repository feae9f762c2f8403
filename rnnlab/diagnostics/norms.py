"""Per-example gradient norms and their statistics over a batch.

With L the batch's loss, a mean over B examples, the gradient of one example's own loss is

    ‖∂ℓ_b/∂s[t]‖ := B · ‖∂L/∂s[t][:, b]‖₂

so the numbers do not depend on the batch's size, nor on examples cancelling out.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from rnnlab.arrays import Array, norm
from rnnlab.cells import Cell, CellDeltas, CellTape
from rnnlab.records import NormCurve


def norms_by_timestep(cell: Cell, tape: CellTape, deltas: CellDeltas) -> list[NormCurve]:
    """Norms of the total and immediate gradients of every state at every time step of a backward pass.

    `state` is the norm of the state adjoint, for a cell with one state the same as `h`.
    """
    curves = []
    for name in cell.states:
        curves.append(_by_timestep(name, {name: deltas.total[name]}))
        curves.append(_by_timestep(f"{name}_immediate", {name: deltas.immediate[name]}))
    curves.append(_by_timestep("state", cell.state_adjoints(tape, deltas)))
    return curves


def joint_log_norm(parts: Mapping[str, Array], axis: int) -> Array:
    """ln of the norm of several arrays (…, H, …) stacked along `axis`; -inf where it is 0."""
    total = norm(np.stack([norm(part, axis) for part in parts.values()]), axis=0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(total))


def norm_curve(quantity: str, axis: Literal["timestep", "lag"], index: Array, log_norms: Array) -> NormCurve:
    """Statistics over examples.

    Args:
        quantity: Name of what was measured.
        axis: What `index` counts.
        index: (N,).
        log_norms: ln of the per-example norms, (N, B); -inf for a norm of 0, NaN or inf where an
            example has none.

    Returns:
        The curve; NaN where no example has a value. Magnitudes below the reach of float64 are 0 in
        mean, median and max and right in log10_gmean.
    """
    counted = ~np.isnan(log_norms) & (log_norms < np.inf)
    positive = counted & (log_norms > -np.inf)
    count, count_positive = counted.sum(axis=1), positive.sum(axis=1)
    with np.errstate(over="ignore"):
        norms = np.exp(np.where(counted, log_norms, np.nan))
        mean, median = _ratio(np.where(counted, norms, 0.0).sum(axis=1), count), _median(norms, count)
    logs = np.where(positive, log_norms, 0.0).sum(axis=1)
    return NormCurve(
        quantity,
        axis,
        index,
        mean=mean,
        median=median,
        max=np.where(count > 0, np.where(counted, norms, -np.inf).max(axis=1), np.nan),
        log10_gmean=_ratio(logs, count_positive) / np.log(10),
        zero_fraction=_ratio(count - count_positive, count),
    )


def _by_timestep(quantity: str, parts: Mapping[str, Array]) -> NormCurve:
    time, _, batch = next(iter(parts.values())).shape
    log_norms = joint_log_norm(parts, axis=1) + np.log(batch)
    return norm_curve(quantity, "timestep", np.arange(1, time + 1), log_norms)


def _ratio(total: Array, count: Array) -> Array:
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _median(values: Array, count: Array) -> Array:
    ordered = np.sort(values, axis=1)  # NaN last
    rows = np.arange(len(values))
    low, high = (
        ordered[rows, np.maximum(count - 1, 0) // 2],
        ordered[rows, np.minimum(count // 2, values.shape[1] - 1)],
    )
    return np.where(count > 0, (low + high) / 2, np.nan)
