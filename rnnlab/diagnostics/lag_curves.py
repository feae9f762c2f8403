"""Lag curves: the norm of the gradient of the loss at one time step, as a function of the lag.

    g(k) = ‖∂ℓ_τ/∂s[τ-k]‖      k = 0 … τ-1, per example

Only the loss at one time step τ is backpropagated, with weight 1. If the losses at all time steps were
backpropagated, gradients from nearby losses would mask a vanishing gradient. By default, τ is each example's
last time step with a target.

By contrast, the gradients in `diagnostics.norms` are gradients of the training loss. If the training loss is
a mean over time, each of the N targets of an example has weight 1/N; for the same batch, g(0) is then N times
`h_immediate` at time step τ.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge

from rnnlab.arrays import Array, Params
from rnnlab.cells import Cell, CellTape, Layer, States, layers_of, split_layer
from rnnlab.diagnostics.gain_and_horizon import summarize_lag_curve
from rnnlab.diagnostics.norms import joint_log_norm, log_norm_of_steps
from rnnlab.diagnostics.requirements import requires
from rnnlab.diagnostics.snapshot import Readings, Snapshot, of_layer
from rnnlab.diagnostics.statistics import curves
from rnnlab.model import Batch, Model
from rnnlab.norms import norm
from rnnlab.records import Curve, by_lag_key, finite_or_none
from rnnlab.workspace import Workspace

Target = Literal["last"] | Annotated[int, Ge(1)]
UNIT_DRAWS = 32
"""Number of random unit vectors over which a lag curve without targets is averaged."""


@requires(targets="targets")
def measure_lag_curves(snapshot: Snapshot, *, targets: tuple[Target, ...]) -> Readings:
    """Measure the lag curves `h`, `c`, `state`, `x` and `dW_hh` of the probe batch.

    Metrics are computed only from the curves for the target `last`.

    Args:
        snapshot: Snapshot of a training step.
        targets: Time steps τ whose losses are backpropagated, one at a time; each entry is `last` or a number
            in 1 … T.
    """
    all_curves: list[Curve] = []
    metrics: dict[str, float | None] = {}
    model, inputs = snapshot.model, snapshot.inputs
    for target in targets:
        start_rng = np.random.default_rng(inputs.seed)  # same random initial state for each target
        τ = None if target == "last" else target
        logs = ln_lag_curves(model, snapshot.params, inputs.batch, snapshot.workspace, start_rng, τ)
        target_curves = lag_curves_of(logs, τ)
        all_curves += target_curves
        if τ is None and target_curves:
            metrics |= metrics_by_layer(model.cell, target_curves, snapshot.task_lag)
    return Readings(all_curves, metrics)


def metrics_by_layer(cell: Cell, found: Sequence[Curve], task_lag: int | None) -> dict[str, float | None]:
    """Return `lag_metrics` of each layer, and of all layers of a stack together."""
    metrics: dict[str, float | None] = {}
    for layer in layers_of(cell):
        own = [curve for curve in found if curve.layer == layer.number]
        of_one = lag_metrics(own, layer.cell.states, task_lag)
        metrics |= {of_layer(key, layer): value for key, value in of_one.items()}
    if whole := [curve for curve in found if curve.layer == 0]:
        metrics |= lag_metrics(whole, (), task_lag)
    return metrics


def lag_curves_of(logs: dict[str, Array], target: int | None = None) -> list[Curve]:
    """Compute statistics over examples for the curves returned by `ln_lag_curves`."""
    index = np.arange(max(map(len, logs.values()), default=0))
    return curves("lag", index, logs, target, layer=_layer_of_whole(logs))


def norms_by_timestep_of(logs: dict[str, Array]) -> list[Curve]:
    """Compute statistics over examples by time step, for curves of a loss at the last time step."""
    by_time = {name: values[::-1] for name, values in logs.items()}
    index = np.arange(1, max(map(len, logs.values())) + 1)
    return curves("timestep", index, by_time, layer=_layer_of_whole(logs))


def _layer_of_whole(logs: Mapping[str, Array]) -> int:
    """Return the layer of quantities whose names start with no layer: 0 in a stack, otherwise 1."""
    return 0 if any(split_layer(name)[0] for name in logs) else 1


def ln_lag_curves(
    model: Model,
    params: Params,
    batch: Batch,
    workspace: Workspace | None = None,
    rng: np.random.Generator | None = None,
    target: int | None = None,
) -> dict[str, Array]:
    """Return ln g(k), a natural logarithm, of each quantity for every lag and example.

    The quantities are the total gradients `h` (and `c`), the state adjoint `state`, the input gradient `x`,
    and `dW_hh`. If the inputs are symbols, `x` is the gradient with respect to their one-hot vectors. `dW_hh`
    is the contribution of one example at one time step to the gradient with respect to W_hh; the norm of this
    contribution is ‖dz‖ ‖h‖.

    At every time step, each example's gradient is rescaled by a power of two, and the logarithm of the scale
    is stored separately. The values of the curves therefore neither underflow nor overflow. The forward pass
    runs in the parameters' dtype.

    Args:
        model: The network.
        params: Parameters of the network.
        batch: Batch of sequences that start from the model's initial state.
        workspace: Buffers to reuse.
        rng: Random number generator, required for a random initial state.
        target: Time step τ of the loss; None selects the last target of each example.

    In a stack, the names start with the layer, as in `l2.h`. `h` of a layer is the total gradient, which
    includes the paths through the layers above within a time step. `state` of a layer is the adjoint of its
    states as independent inputs of the next time step, and `state` without a layer that of all layers.

    Returns:
        Arrays of ln g(k), shape (K+1, B), keyed by the name of the quantity. Values are -inf where g is 0,
        and NaN for k ≥ τ and for examples without a target at τ. The dict is empty if no example has a target
        at τ.
    """
    tape = model.forward(params, batch, workspace=workspace, rng=rng)
    τs = _last_targets(batch) if target is None else _targets_at(batch, target)
    if not τs.any():
        return {}
    start = _immediate_at(params, tape.d_outputs, τs - batch.first_output)
    return _backpropagate(model.cell, params, tape.cell, start, τs)


def ln_unit_lag_curves(
    cell: Cell, params: Params, tape: CellTape, seed: int = 0, draws: int = UNIT_DRAWS
) -> dict[str, Array]:
    """Return ln g(k) of each quantity for a loss that needs no targets.

        ℓ_b = wᵀ h_b[T]        w: random unit vector, the same for all examples

    The vector w acts on the output of the top layer. g(k) is the geometric mean over the draws of w, for each
    example, so the curve does not depend on a readout.

    Args:
        cell: The cell.
        params: Parameters of the cell.
        tape: Tape of a forward pass.
        seed: Seed of the draws.
        draws: Number of draws of w.

    Returns:
        Arrays as from `ln_lag_curves`, with τ = T for all examples.
    """
    rng, (_, size, examples) = np.random.default_rng(seed), tape.outputs.shape
    τs = np.full(examples, tape.time)
    total: dict[str, Array] = {}
    for _ in range(draws):
        w = rng.standard_normal((size, 1))
        start = np.repeat(w / norm(w, axis=0), examples, axis=1).astype(tape.outputs.dtype)
        for name, logs in _backpropagate(cell, params, tape, start, τs).items():
            total[name] = total[name] + logs if name in total else logs
    return {name: logs / draws for name, logs in total.items()}


def _backpropagate(cell: Cell, params: Params, tape: CellTape, start: Array, τs: Array) -> dict[str, Array]:
    """Return ln of the gradient norms of a loss whose gradient with respect to h[τ] is `start`, (H, B)."""
    layers, length = layers_of(cell), int(τs.max())
    log_scale = np.zeros((length, len(τs)))
    adjoint = {name: np.zeros((size, len(τs)), start.dtype) for name, size in cell.state_sizes.items()}
    exponents = np.zeros(len(τs))
    steps: dict[str, Array] = {}

    def record(t: int, values: Mapping[str, Array | None]) -> None:
        for name, value in values.items():
            if value is not None:
                if name not in steps:
                    steps[name] = np.zeros((length, *value.shape), value.dtype)
                steps[name][t - 1] = value

    for t in range(length, 0, -1):
        adjoint = cell.with_immediate(adjoint, np.where(τs == t, start, 0))
        deltas = cell.adjoint_step(params, tape.step(t), adjoint)
        record(t, {f"total {name}": deltas.total[name] for name in cell.states})
        if len(cell.states) > 1:
            record(t, {f"adjoint {name}": adjoint[name] for name in cell.states})
        for layer, own in zip(layers, deltas.layers or (deltas,), strict=True):
            recurrent = None if own.recurrent is own.dz else own.recurrent
            dx = own.dx if layer.number == 1 else None
            record(t, layer.label({"dz": own.dz, "recurrent": recurrent, "dx": dx}))
        log_scale[t - 1] = exponents * np.log(2)
        adjoint, shifts = _rescale(deltas.before)
        exponents = exponents + shifts
    by_time = {name: log_norm_of_steps(steps[f"total {name}"]) for name in cell.states}
    adjoints = {name: steps[f"adjoint {name}"] for name in cell.states if f"adjoint {name}" in steps}
    by_time["state"] = joint_log_norm(adjoints, axis=1) if adjoints else by_time[cell.states[0]]
    for layer in layers:
        of_layer = layer.take(tape.states), layer.take(tape.inner)
        found = _of_layer(layer, layer.take(params), layer.take(steps), *of_layer, length)
        if len(layers) > 1:
            found["state"] = joint_log_norm(layer.take(adjoints), axis=1)
        by_time |= layer.label(found)
    return {name: _by_lag(logs + log_scale, τs) for name, logs in by_time.items()}


def _of_layer(
    layer: Layer,
    params: Params,
    steps: Mapping[str, Array],
    states: Mapping[str, Array],
    inner: Mapping[str, Array],
    length: int,
) -> dict[str, Array]:
    """Return ln of the norms of the gradients of one layer that follow from its dz, by time step."""
    cell, found = layer.cell, {}
    if "dx" in steps:
        found["x"] = log_norm_of_steps(steps["dx"])
    elif "dz" in steps and cell.input_matrix is not None and layer.number == 1:
        W_xhT = np.ascontiguousarray(params[cell.input_matrix].T)
        found["x"] = log_norm_of_steps(np.matmul(W_xhT, steps["dz"]))
    if cell.recurrent_matrix is not None and ("recurrent" in steps or "dz" in steps):
        of_product = steps["recurrent"] if "recurrent" in steps else steps["dz"]
        h = states[cell.recurrent_state][:length]
        if not (other := cell.other_operands(states, inner)):
            logs = log_norm_of_steps(of_product) + log_norm_of_steps(h)
        else:
            pairs = [(of_product[:, cell.rows(gate)], other.get(gate, h)) for gate in cell.gate_names]
            parts = [log_norm_of_steps(da) + log_norm_of_steps(of[:length]) for da, of in pairs]
            logs = np.logaddexp.reduce([2 * part for part in parts], axis=0) / 2
        found[f"d{cell.recurrent_matrix}"] = logs
    return found


def lag_metrics(
    lag_curves: list[Curve], states: tuple[str, ...], task_lag: int | None
) -> dict[str, float | None]:
    """Return the summary of the lag curves, and the value of each curve at lags 1, 2, 4, 8 …, as metrics.

    The metric `…_by_lag/0001` is log10 g(1); the metrics at larger lags k are log10(g(k)/g(1)).
    """
    by_quantity = {curve.quantity: curve.log10_gmean for curve in lag_curves}
    state = next(curve for curve in lag_curves if curve.quantity == "state")
    metrics = summarize_lag_curve(state.log10_gmean, task_lag, state.zero_fraction).metrics()
    for quantity in (*states, "state", "x"):
        if quantity == "state" and len(states) == 1:
            continue  # the same curve as h
        if quantity not in by_quantity:
            continue
        log10_g, lag = by_quantity[quantity], 1
        while lag < len(log10_g):
            value = log10_g[lag] if lag == 1 else log10_g[lag] - log10_g[1]
            metrics[by_lag_key(quantity, lag)] = finite_or_none(value)
            lag *= 2
    return metrics


def _by_lag(log_norms: Array, τs: Array) -> Array:
    """Reindex an array (T, B) by lag k, where lag 0 is each example's time step τ; NaN for k ≥ τ."""
    lags = np.full_like(log_norms, np.nan)
    for example, τ in enumerate(τs):
        lags[:τ, example] = log_norms[:τ, example][::-1]
    return lags


def _last_targets(batch: Batch) -> Array:
    """Return each example's last time step with a target, 1 … T, or 0 for an example without targets."""
    if batch.mask is None:
        return np.full(batch.size, len(batch.x))
    steps = np.arange(batch.first_output + 1, len(batch.x) + 1)[:, None]
    return np.asarray((steps * batch.mask).max(axis=0))


def _targets_at(batch: Batch, target: int) -> Array:
    """Return, for each example, `target` if the example has a target at that time step, otherwise 0."""
    output = target - batch.first_output - 1
    if not 0 <= output < len(batch.y):
        return np.zeros(batch.size, int)
    return target * (np.ones(batch.size, int) if batch.mask is None else batch.mask[output])


def _immediate_at(params: Params, d_outputs: Array, output: Array) -> Array:
    """Return e[τ] = W_hyᵀ ∂ℓ/∂o, (H, B); `output` in 1 … S is the index of each example's output."""
    examples = len(output)
    columns = np.maximum(output - 1, 0) * examples + np.arange(examples)
    return np.asarray(params["W_hy"].T @ d_outputs[:, columns])


def _rescale(adjoint: States) -> tuple[dict[str, Array], Array]:
    """Scale each example exactly, by a power of two, to bring its largest magnitude into [½, 1)."""
    largest = np.max([np.abs(part).max(axis=0) for part in adjoint.values()], axis=0)
    exponents = np.frexp(np.where(np.isfinite(largest), largest, 0.0))[1]
    return {name: np.ldexp(part, -exponents) for name, part in adjoint.items()}, exponents
