"""Lag curves: how the gradient of the loss at one time step fades on its way back.

    g(k) = ‖∂ℓ_τ/∂s[τ-k]‖      k = 0 … τ-1, per example

Only the loss at one step τ is sent back, with weight 1: where every step has a target, short paths
would hide the fading. τ is each example's last step with a target unless another is asked for.

Rows by time step are of the training loss instead, which weighs each of an example's N targets 1/N if it is a
mean over time: so g(0) is N times the `h_immediate` of step τ on the same batch.
"""

from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge

from rnnlab.arrays import Array, Params
from rnnlab.cells import States
from rnnlab.diagnostics.gain_and_horizon import summarize_lag_curve
from rnnlab.diagnostics.norms import joint_log_norm, log_norm_of_steps
from rnnlab.diagnostics.snapshot import Readings, Snapshot
from rnnlab.diagnostics.statistics import curves
from rnnlab.model import Batch, Model
from rnnlab.records import Curve, by_lag_key
from rnnlab.workspace import Workspace

Target = Literal["last"] | Annotated[int, Ge(1)]


def measure_lag_curves(snapshot: Snapshot, *, targets: tuple[Target, ...]) -> Readings:
    """Lag curves of the probe batch: `h`, `c`, `state`, `x`, and `dW_hh`; the metrics are of the last target.

    Args:
        snapshot: Of a training step.
        targets: The time steps τ whose loss is sent back, each on its own: `last`, or a number of 1 … T.
    """
    found: list[Curve] = []
    metrics: dict[str, float | None] = {}
    model, inputs = snapshot.model, snapshot.inputs
    for target in targets:
        start_rng = np.random.default_rng(inputs.seed)  # the same random initial state every time
        τ = None if target == "last" else target
        logs = per_example_lag_curves(model, snapshot.params, inputs.batch, snapshot.workspace, start_rng, τ)
        of_target = lag_curves_of(logs, τ)
        found += of_target
        if τ is None and of_target:
            metrics = lag_metrics(of_target, model.cell.states, snapshot.task_lag)
    return Readings(found, metrics)


def lag_curves_of(logs: dict[str, Array], target: int | None = None) -> list[Curve]:
    """Statistics over examples of `per_example_lag_curves`."""
    return curves("lag", np.arange(max(map(len, logs.values()), default=0)), logs, target)


def per_example_lag_curves(
    model: Model,
    params: Params,
    batch: Batch,
    workspace: Workspace | None = None,
    rng: np.random.Generator | None = None,
    target: int | None = None,
) -> dict[str, Array]:
    """ln g(k) for every lag and example, (K+1, B); -inf where g is 0, NaN for k ≥ τ.

    `h` (and `c`) is the total gradient, `state` the state adjoint, `x` the gradient by the input (by the
    one-hot vector of a symbol), `dW_hh` the norm of the example's own share of dW_hh at that step, which
    is ‖dz‖ ‖h‖.

    The gradient is taken back step by step and rescaled by a power of two, per example, whenever
    it is used up, its scale kept apart as a logarithm: it stays right where any number format ends.
    The trajectory is that of the parameters' dtype.

    Args:
        model: The network.
        params: Its parameters.
        batch: From the model's initial state.
        workspace: Buffers to reuse.
        rng: For an initial state that is random.
        target: τ; None is each example's last target. Examples without a target there have no value.

    Returns:
        By quantity; empty where no example has the target.
    """
    cell = model.cell
    tape = model.forward(params, batch, workspace=workspace, rng=rng)
    τs = _last_targets(batch) if target is None else _targets_at(batch, target)
    length = int(τs.max())
    if length == 0:
        return {}
    start = _immediate_at(params, tape.d_outputs, τs - batch.first_output)
    totals = {name: np.zeros((length, *start.shape), start.dtype) for name in cell.states}
    adjoints = {name: np.zeros_like(totals["h"]) for name in cell.states}
    dz = np.zeros((length, len(params["W_hh"]), len(τs)), start.dtype)
    log_scale = np.zeros((length, len(τs)))
    adjoint = {name: np.zeros_like(start) for name in cell.states}
    exponents = np.zeros(len(τs))
    for t in range(length, 0, -1):
        adjoint["h"] = np.where(τs == t, start, adjoint["h"])
        deltas = cell.adjoint_step(params, tape.cell.step(t), adjoint)
        for name in cell.states:
            totals[name][t - 1], adjoints[name][t - 1] = deltas.total[name], adjoint[name]
        dz[t - 1] = deltas.dz
        log_scale[t - 1] = exponents * np.log(2)
        adjoint, used = _rescale(deltas.before)
        exponents = exponents + used
    by_time = {name: log_norm_of_steps(totals[name]) for name in cell.states}
    by_time["state"] = joint_log_norm(adjoints, axis=1) if len(cell.states) > 1 else by_time["h"]
    by_time["x"] = log_norm_of_steps(np.matmul(np.ascontiguousarray(params["W_xh"].T), dz))
    recurrent = cell.recurrent_deltas({name: a[:length] for name, a in tape.cell.inner.items()}, dz)
    by_time["dW_hh"] = log_norm_of_steps(recurrent) + log_norm_of_steps(tape.cell.states["h"][:length])
    return {name: _by_lag(logs + log_scale, τs) for name, logs in by_time.items()}


def lag_metrics(found: list[Curve], states: tuple[str, ...], task_lag: int | None) -> dict[str, float | None]:
    """The lag curves as metrics of a training step: their summary, and each curve at powers of two.

    `…_by_lag/0001` is the level itself, the others are relative to it, all in log10.
    """
    by_quantity = {curve.quantity: curve.log10_gmean for curve in found}
    state = next(curve for curve in found if curve.quantity == "state")
    metrics = summarize_lag_curve(state.log10_gmean, task_lag, state.zero_fraction).metrics()
    for quantity in (*states, "state", "x"):
        if quantity == "state" and len(states) == 1:
            continue  # the same curve as h
        log10_g, lag = by_quantity[quantity], 1
        while lag < len(log10_g):
            value = log10_g[lag] if lag == 1 else log10_g[lag] - log10_g[1]
            metrics[by_lag_key(quantity, lag)] = float(value) if np.isfinite(value) else None
            lag *= 2
    return metrics


def _by_lag(log_norms: Array, τs: Array) -> Array:
    """Norms by time step (T, B) as norms by lag from each example's own τ; NaN for k ≥ τ."""
    lags = np.full_like(log_norms, np.nan)
    for example, τ in enumerate(τs):
        lags[:τ, example] = log_norms[:τ, example][::-1]
    return lags


def _last_targets(batch: Batch) -> Array:
    """Each example's last time step with a target, 1 … T, or 0 for an example without any."""
    if batch.mask is None:
        return np.full(batch.size, len(batch.x))
    steps = np.arange(batch.first_output + 1, len(batch.x) + 1)[:, None]
    return np.asarray((steps * batch.mask).max(axis=0))


def _targets_at(batch: Batch, target: int) -> Array:
    """`target` for every example that has one at that time step, else 0."""
    output = target - batch.first_output - 1
    if not 0 <= output < len(batch.y):
        return np.zeros(batch.size, int)
    return target * (np.ones(batch.size, int) if batch.mask is None else batch.mask[output])


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
