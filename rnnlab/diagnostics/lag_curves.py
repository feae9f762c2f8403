"""Lag curves: how the gradient of the loss at one time step fades on its way back.

    g(k) = ‖∂ℓ_τ/∂s[τ-k]‖      k = 0 … τ-1, per example

Only the loss at one step τ is sent back, with weight 1: where every step has a target, short paths
would hide the fading. τ is each example's last step with a target.
"""

import numpy as np

from rnnlab.arrays import Array, Params, Workspace
from rnnlab.cells import States
from rnnlab.diagnostics.norms import joint_log_norm, norm_curve
from rnnlab.model import Batch, Model
from rnnlab.records import NormCurve


def lag_curves(
    model: Model,
    params: Params,
    batch: Batch,
    workspace: Workspace | None = None,
    rng: np.random.Generator | None = None,
) -> list[NormCurve]:
    """Measure the lag curves of every state on one batch, from the model's initial state.

    The gradient is taken back step by step and rescaled by a power of two, per example, whenever
    it is used up, its scale kept apart as a logarithm: it stays right where any number format ends.
    The trajectory is that of the parameters' dtype.

    Returns:
        A curve for each state, of its total gradient, and `state` for the state adjoint, in
        statistics over the examples.
    """
    log_norms = per_example_lag_curves(model, params, batch, workspace, rng)
    return [norm_curve(name, "lag", np.arange(len(logs)), logs) for name, logs in log_norms.items()]


def per_example_lag_curves(
    model: Model,
    params: Params,
    batch: Batch,
    workspace: Workspace | None = None,
    rng: np.random.Generator | None = None,
) -> dict[str, Array]:
    """ln g(k) for every lag and example, (K+1, B); -inf where g is 0, NaN for k ≥ τ."""
    cell = model.cell
    tape = model.forward(params, batch, workspace=workspace, rng=rng)
    last = _last_targets(batch)
    examples = len(last)
    start = _immediate_at(params, tape.d_outputs, last - batch.first_output)
    totals = {name: np.zeros((last.max(), *start.shape), start.dtype) for name in cell.states}
    adjoints = {name: np.zeros_like(totals["h"]) for name in cell.states}
    log_scale = np.zeros((last.max(), examples))
    adjoint = {name: np.zeros_like(start) for name in cell.states}
    exponents = np.zeros(examples)
    for t in range(int(last.max()), 0, -1):
        adjoint["h"] = np.where(last == t, start, adjoint["h"])
        deltas = cell.adjoint_step(params, tape.cell.step(t), adjoint)
        for name in cell.states:
            totals[name][t - 1], adjoints[name][t - 1] = deltas.total[name], adjoint[name]
        log_scale[t - 1] = exponents * np.log(2)
        adjoint, used = _rescale(deltas.before)
        exponents = exponents + used
    by_time = {name: joint_log_norm({name: totals[name]}, axis=1) for name in cell.states}
    by_time["state"] = joint_log_norm(adjoints, axis=1)
    return {name: _by_lag(logs + log_scale, last) for name, logs in by_time.items()}


def _by_lag(log_norms: Array, last: Array) -> Array:
    """Norms by time step (T, B) as norms by lag from each example's own τ; NaN for k ≥ τ."""
    lags = np.full_like(log_norms, np.nan)
    for example, τ in enumerate(last):
        lags[:τ, example] = log_norms[:τ, example][::-1]
    return lags


def _last_targets(batch: Batch) -> Array:
    """Each example's last time step with a target, 1 … T, or 0 for an example without any."""
    if batch.mask is None:
        return np.full(batch.size, len(batch.x))
    steps = np.arange(batch.first_output + 1, len(batch.x) + 1)[:, None]
    return np.asarray((steps * batch.mask).max(axis=0))


def _immediate_at(params: Params, d_outputs: Array, output: Array) -> Array:
    """e[τ] = W_hyᵀ ∂ℓ/∂o at each example's own τ, (H, B), its outputs counted 1 … S."""
    examples = len(output)
    columns = np.maximum(output - 1, 0) * examples + np.arange(examples)
    return np.asarray(params["W_hy"].T @ d_outputs[:, columns])


def _rescale(adjoint: States) -> tuple[dict[str, Array], Array]:
    """Bring each example's largest entry to [½, 1) by a power of two, which rounds nothing."""
    largest = np.max([np.abs(part).max(axis=0) for part in adjoint.values()], axis=0)
    exponents = np.frexp(np.where(np.isfinite(largest), largest, 0.0))[1]
    return {name: np.ldexp(part, -exponents) for name, part in adjoint.items()}, exponents
