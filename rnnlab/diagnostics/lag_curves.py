"""Lag curves: how the gradient of the loss at one time step fades on its way back.

    g(k) = ‖∂ℓ_τ/∂s[τ-k]‖      k = 0 … τ-1, per example

Only the loss at one step τ is sent back, with weight 1: where every step has a target, short paths
would hide the fading. τ is each example's last step with a target.
"""

import numpy as np

from rnnlab.arrays import Array, Params
from rnnlab.diagnostics.norms import joint_log_norm, norm_curve
from rnnlab.model import Batch, Model
from rnnlab.records import NormCurve


def lag_curves(model: Model, params: Params, batch: Batch) -> list[NormCurve]:
    """Measure the lag curves of every state on one batch, from a zero initial state.

    The gradient is taken back step by step and rescaled by a power of two, per example, whenever
    it is used up, its scale kept apart as a logarithm: it stays right where any number format ends.
    Give float64 `params` for a float64 trajectory.

    Returns:
        A curve for each state, of its total gradient, and `state` for the state adjoint, in
        statistics over the examples.
    """
    log_norms = per_example_lag_curves(model, params, batch)
    return [norm_curve(name, "lag", np.arange(len(logs)), logs) for name, logs in log_norms.items()]


def per_example_lag_curves(model: Model, params: Params, batch: Batch) -> dict[str, Array]:
    """ln g(k) for every lag and example, (K+1, B); -inf where g is 0, NaN for k ≥ τ."""
    cell = model.cell
    tape = model.forward(params, batch)
    last = _last_targets(batch)
    start = _immediate_at(params, tape.d_logits, last)
    examples = np.arange(len(last))
    curves = {name: np.full((last.max(), len(last)), np.nan) for name in (*cell.states, "state")}
    adjoint = {name: np.zeros_like(start) for name in cell.states}
    log_scale = np.zeros(len(last))
    for t in range(int(last.max()), 0, -1):
        adjoint["h"] = np.where(last == t, start, adjoint["h"])
        total, before = cell.adjoint_step(params, tape.cell, t, adjoint)
        active = examples[last >= t]
        lag = last[active] - t
        for name in cell.states:
            curves[name][lag, active] = (joint_log_norm({name: total[name]}, axis=0) + log_scale)[active]
        curves["state"][lag, active] = (joint_log_norm(adjoint, axis=0) + log_scale)[active]
        adjoint, exponents = _rescale(before)
        log_scale += exponents * np.log(2)
    return curves


def _last_targets(batch: Batch) -> Array:
    """Each example's last time step with a target, 1 … T, or 0 for an example without any."""
    if batch.mask is None:
        return np.full(batch.y.shape[1], len(batch.y))
    steps = np.arange(1, len(batch.y) + 1)[:, None]
    return np.asarray((steps * batch.mask).max(axis=0))


def _immediate_at(params: Params, d_logits: Array, last: Array) -> Array:
    """e[τ] = W_hyᵀ (p - onehot(y)) at each example's own τ, (H, B)."""
    batch = len(last)
    columns = np.maximum(last - 1, 0) * batch + np.arange(batch)
    return np.asarray(params["W_hy"].T @ d_logits[:, columns])


def _rescale(adjoint: dict[str, Array]) -> tuple[dict[str, Array], Array]:
    """Bring each example's largest entry to [½, 1) by a power of two, which rounds nothing."""
    largest = np.max([np.abs(part).max(axis=0) for part in adjoint.values()], axis=0)
    exponents = np.frexp(np.where(np.isfinite(largest), largest, 0.0))[1]
    return {name: np.ldexp(part, -exponents) for name, part in adjoint.items()}, exponents
