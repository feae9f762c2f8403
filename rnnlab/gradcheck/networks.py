"""Gradient checks of an entire network and of a single cell."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from rnnlab.arrays import Array, Params, copy_params
from rnnlab.cells import Cell, CellTape, States, layers_of
from rnnlab.engine.weights import is_symbols
from rnnlab.gradcheck.checks import GradientCheck, Part, check_gradients
from rnnlab.gradcheck.inside import check_sequence_inside, check_step_inside, middle_step
from rnnlab.model import Batch, Model, Tape
from rnnlab.workspace import Workspace

DIRECTIONS_SEED = 7


def check_cell(
    cell: Cell, params: Params, x: Array, initial: States | None = None, seed: int = DIRECTIONS_SEED
) -> list[GradientCheck]:
    """Check the backward pass of a cell, which may be user-defined, over a sequence.

    The differentiated function is Σ_t ⟨u[t], h[t]⟩ with random u[t], so that e[t] = u[t].

    Args:
        cell: Cell to check.
        params: Parameters of the cell, of any floating-point dtype; additional parameters are ignored.
        x: Inputs, (T, X, B) vectors or (T, B) symbols.
        initial: Initial states by name, each of shape (H, B). By default, the initial states are random to
            reveal errors in terms that contain h[0].
        seed: Seed for u[t], for random initial states and for the directions of the checks.

    Returns:
        Checks of each parameter, of each initial state (such as `h[0]`), and of `adjoint_step` at one time
        step in the middle of the sequence. If the inputs are vectors, all inputs `x` and the first input
        `x[1]` are also checked.
    """
    rng = np.random.default_rng(seed)
    params = {name: np.asarray(params[name], np.float64) for name in cell.param_shapes() if name in params}
    batch = x.shape[-1]
    start = {
        name: rng.standard_normal((size, batch)) if initial is None else np.asarray(initial[name], np.float64)
        for name, size in cell.state_sizes.items()
    }
    u = rng.standard_normal((len(x), cell.output_size, batch))
    variables = params | {f"{name}[0]": value for name, value in start.items()}
    if not is_symbols(x):
        variables["x"] = x.astype(np.float64)

    def function(at: dict[str, Array]) -> float | complex:
        tape = cell.forward(
            {name: at[name] for name in params}, at.get("x", x), {s: at[f"{s}[0]"] for s in cell.states}
        )
        value: float | complex = np.sum(u * tape.outputs).item()
        return value

    workspace = Workspace()
    for _ in range(2):  # the second pass detects results that depend on previous contents of the buffers
        tape = cell.forward(params, variables.get("x", x), start, workspace)
        deltas = cell.backward(params, tape, u, workspace)
    gradients = dict(deltas.grads) | {f"{name}[0]": value for name, value in deltas.initial.items()}
    if deltas.dx is not None:
        gradients["x"] = deltas.dx
    checks = check_gradients(function, variables, gradients, rng, _parts(variables))
    checks += check_sequence_inside(cell, params, tape, deltas, u, rng)
    return checks + _check_step(cell, params, tape, rng)


def check_model(
    model: Model, params: Params, batch: Batch, initial: States | None = None, seed: int = DIRECTIONS_SEED
) -> list[GradientCheck]:
    """Check all gradients of a network's loss on a batch.

    Args:
        model: Network to check.
        params: Parameters of the network, of any floating-point dtype.
        batch: Inputs and targets, of any floating-point dtype. Symbol inputs are checked as symbols and as
            one-hot vectors.
        initial: Initial states by name, each of shape (H, B). By default, the initial state of the model is
            used.
        seed: Seed for the directions of the checks and for a random initial state.

    Returns:
        Checks of each parameter, of the inputs `x`, of the first input `x[1]` and of each initial state (such
        as `h[0]`). For an early, a middle and a late state (such as `h[25]`), further checks cover the
        gradient of the losses at all later time steps. The last checks cover a single backward step, as used
        by the lag curves.
    """
    rng = np.random.default_rng(seed)
    params = copy_params(params, np.float64)
    if not is_symbols(batch.x):
        batch = replace(batch, x=batch.x.astype(np.float64))
    is_learned = initial is None and model.initial_state.learned  # the parameter h_0 then replaces h[0]
    states = {} if is_learned else _start(model, params, batch, initial, rng)
    checks = _check_batch(model, params, states, batch, rng)
    if is_symbols(batch.x):
        one_hot = np.eye(model.cell.input_size)[batch.x].transpose(0, 2, 1)
        vectors = replace(batch, x=np.ascontiguousarray(one_hot))
        checks += _check_batch(model, params, states, vectors, rng, only="x")
    time = len(batch.x)
    for t in sorted({1, time // 2, time - 1} & set(range(1, time))):
        checks += _check_state(model, params, states, batch, t, rng)
    tape = _forward(model, params, params, states, batch)
    _, deltas = model.backward(params, tape)
    own = {name: params[name] for name in model.cell.param_shapes()}
    e = deltas.immediate[model.cell.output]
    checks += check_sequence_inside(model.cell, own, tape.cell, deltas, e, rng)
    return checks + _check_step(model.cell, own, tape.cell, rng)


def _check_batch(
    model: Model, params: Params, states: States, batch: Batch, rng: np.random.Generator, only: str = ""
) -> list[GradientCheck]:
    variables = params | {f"{name}[0]": value for name, value in states.items()}
    if not is_symbols(batch.x):
        variables["x"] = batch.x
    workspace = Workspace()
    for _ in range(2):  # the second pass detects results that depend on previous contents of the buffers
        tape = _forward(model, variables, params, states, batch, workspace)
        grads, deltas = model.backward(params, tape, workspace)
    gradients = dict(grads) | {f"{name}[0]": deltas.initial[name] for name in states}
    if deltas.dx is not None:
        gradients["x"] = deltas.dx

    def function(at: dict[str, Array]) -> float | complex:
        return _forward(model, at, params, states, batch).loss

    parts = {name: part for name, part in _parts(variables).items() if part[0] == (only or part[0])}
    return check_gradients(function, variables, gradients, rng, parts)


def _check_state(
    model: Model, params: Params, states: States, batch: Batch, t: int, rng: np.random.Generator
) -> list[GradientCheck]:
    """Check that the state adjoint at t, without the loss at t, is the gradient of all losses after t."""
    tape = _forward(model, params, params, states, batch)
    _, deltas = model.backward(params, tape)
    gradients = {f"{name}[{t}]": adjoint[t - 1].copy() for name, adjoint in deltas.adjoint.items()}
    output = model.cell.output
    if output in model.cell.states:
        gradients[f"{output}[{t}]"] -= deltas.immediate[output][t - 1]
    for layer, part in zip(layers_of(model.cell), deltas.layers or (deltas,), strict=True):
        if part.above is not None:
            gradients[f"{layer.prefix}{layer.cell.output}[{t}]"] -= part.above[t - 1]
    outputs = min(len(batch.y), len(batch.x) - t)
    mask = None if batch.mask is None else batch.mask[-outputs:]
    rest = replace(batch, x=batch.x[t:], y=batch.y[-outputs:], mask=mask)
    weights = tape.weights[-outputs:]
    present = weights > 0

    def function(at: dict[str, Array]) -> float | complex:
        start = {name: at[f"{name}[{t}]"] for name in model.cell.states}
        dtype = next(iter(start.values())).dtype
        x = rest.x if is_symbols(rest.x) else rest.x.astype(dtype)
        losses = model.forward(copy_params(params, dtype), replace(rest, x=x), start).losses
        value: float | complex = np.sum(losses[present] * weights[present]).item()
        return value

    variables = {f"{name}[{t}]": values[t] for name, values in tape.cell.states.items()}
    return check_gradients(function, variables, gradients, rng)


def _check_step(cell: Cell, params: Params, tape: CellTape, rng: np.random.Generator) -> list[GradientCheck]:
    """Check `adjoint_step` against the forward `step` in the middle of a sequence."""
    step = tape.step(middle_step(tape.time))
    λ = {name: rng.standard_normal(value.shape) for name, value in step.after.items()}
    if cell.output not in λ:
        λ[cell.output] = rng.standard_normal(cell.output_of(step).shape)
    deltas = cell.adjoint_step(params, step, λ)

    def function(at: dict[str, Array]) -> float | complex:
        states = {name: at[f"one step {name}"] for name in cell.states}
        dtype = next(iter(states.values())).dtype
        x = step.x if is_symbols(step.x) else step.x.astype(dtype)
        tape = cell.step(copy_params(params, dtype), x, states)
        after = {cell.output: cell.output_of(tape), **tape.after}
        value: float | complex = np.sum([np.sum(λ[name] * after[name]) for name in λ]).item()
        return value

    variables = {f"one step {name}": value for name, value in step.before.items()}
    gradients = {f"one step {name}": value for name, value in deltas.before.items()}
    checks = check_gradients(function, variables, gradients, rng)
    return checks + check_step_inside(cell, params, step, λ, deltas, rng)


def _start(
    model: Model, params: Params, batch: Batch, initial: States | None, rng: np.random.Generator
) -> States:
    states = model.start(params, batch.size, rng) if initial is None else initial
    return {name: np.asarray(value, np.float64) for name, value in states.items()}


def _forward(
    model: Model,
    at: Mapping[str, Array],
    params: Params,
    states: States,
    batch: Batch,
    workspace: Workspace | None = None,
) -> Tape:
    """Return the tape of a forward pass in which the variables have the values in `at`."""
    start = {name: at.get(f"{name}[0]", value) for name, value in states.items()} or None
    x = at.get("x", batch.x)
    return model.forward({name: at[name] for name in params}, replace(batch, x=x), start, workspace)


def _parts(variables: Mapping[str, Array]) -> dict[str, Part]:
    """Return one part per variable, and one part for the first input, whose gradient vanishes first."""
    parts: dict[str, Part] = {name: (name, ...) for name in variables}
    return parts | ({"x[1]": ("x", 0)} if "x" in variables else {})
