"""Stacked layers: outputs, gradients and scaled gradients against independent calculations."""

import itertools
from collections.abc import Callable
from math import comb
from typing import Any, Literal

import numpy as np
import pytest

from rnnlab.arrays import Array, Params, copy_params
from rnnlab.cells import GRU, LSTM, Cell, Stack, Vanilla, layers_of, split_layer
from rnnlab.diagnostics.lag_curves import ln_lag_curves
from rnnlab.gradcheck.networks import check_cell, check_model
from rnnlab.initial_states import Zero
from rnnlab.initializers import Init, Initializer
from rnnlab.model import Batch, Model
from rnnlab.readout import Readout
from rnnlab.training.engines import loops_of
from rnnlab.workspace import Workspace
from tests.cells.own import Normalised

MAKERS: dict[str, Callable[[int, int], Cell]] = {
    "rnn": lambda X, H: Vanilla(X, H, "tanh", bias=True),
    "lstm": lambda X, H: LSTM(X, H, "tanh", 0.0, bias=True),
    "gru": lambda X, H: GRU(X, H, bias=True, reset_after=True),
    "single steps": lambda X, H: Normalised(X, H, bias=True),
}
STACKS = list(itertools.product(MAKERS, (2, 3), (False, True)))
UNIFORM = Initializer("uniform", 1.0)


def stack_of(kind: str, layers: int, residual: bool, X: int = 3, H: int = 4) -> tuple[Stack, Params]:
    cells = [MAKERS[kind](X if i == 0 else H, H) for i in range(layers)]
    stack = Stack.of(cells, residual)
    return stack, stack.init_params(np.random.default_rng(0), Init(UNIFORM, UNIFORM, UNIFORM), np.float64)


def unrolled(stack: Stack, params: Params, x: Array) -> list[Array]:
    """Return the outputs, computed one time step and one layer after another by the cells themselves."""
    before: list[Any] = [None] * len(stack.cells)
    outputs = []
    for x_t in x:
        y = x_t
        for i, cell in enumerate(stack.cells):
            own = {name.partition(".")[2]: w for name, w in params.items() if name.startswith(f"l{i + 1}.")}
            tape = cell.step(own, y, before[i])
            before[i] = tape.after
            y = cell.output_of(tape) + (y if stack.residual and i else 0)
        outputs.append(y)
    return outputs


@pytest.mark.parametrize(("kind", "layers", "residual"), STACKS)
def test_outputs_are_those_of_the_stacked_cells(kind: str, layers: int, residual: bool) -> None:
    stack, params = stack_of(kind, layers, residual)
    x = np.random.default_rng(1).standard_normal((7, 3, 2))
    np.testing.assert_allclose(stack.forward(params, x).outputs, unrolled(stack, params, x), rtol=1e-12)


@pytest.mark.parametrize(("kind", "layers", "residual"), STACKS)
def test_all_gradients_agree_with_projections(kind: str, layers: int, residual: bool) -> None:
    stack, params = stack_of(kind, layers, residual)
    rng = np.random.default_rng(1)
    for x in (rng.standard_normal((6, 3, 2)), rng.integers(0, 3, (6, 2))):
        checks = check_cell(stack, params, x)
        names = {check.name for check in checks}
        assert {f"l{layers}.W_xh", "l1.W_xh", f"l{layers}.{stack.cells[-1].states[0]}[0]"} <= names
        assert max(check.error for check in checks) <= 1e-7


@pytest.mark.parametrize(("kind", "layers", "residual"), STACKS)
def test_the_gradient_check_of_a_network_finds_no_error(kind: str, layers: int, residual: bool) -> None:
    stack, params = stack_of(kind, layers, residual)
    model = Model(stack, Readout(4, 3, bias=True), Zero(), "cross_entropy", "mean")
    rng = np.random.default_rng(1)
    params |= {"W_hy": rng.standard_normal((3, 4)), "b_y": rng.standard_normal((3, 1))}
    batch = Batch(rng.standard_normal((6, 3, 2)), rng.integers(0, 3, (6, 2)))
    checks = check_model(model, params, batch)
    assert {f"l1.{stack.cells[0].states[0]}[3]", f"l{layers}.W_hh"} <= {check.name for check in checks}
    assert max(check.error for check in checks) <= 1e-7


@pytest.mark.parametrize("layers", [2, 3, 5])
def test_lag_curves_of_linear_layers_have_a_closed_form(layers: int) -> None:
    """The total curve of layer 1 is C(k+L-1, L-1) wᵏ, its state adjoint C(k+L-2, L-1) wᵏ."""
    w, T = 0.9, 40
    stack = Stack.of([Vanilla(1, 1, "identity", bias=False) for _ in range(layers)], residual=False)
    params = {name: np.full((1, 1), w if name.endswith("W_hh") else 1.0) for name in stack.param_shapes()}
    model = Model(stack, Readout(1, 1, False), Zero(), "squared_error", "mean")
    params |= {"W_hy": np.ones((1, 1))}
    x, y = np.random.default_rng(0).standard_normal((T, 1, 3)), np.full((1, 1, 3), 1e6)
    logs = ln_lag_curves(model, params, Batch(x, y))
    found = {name: np.exp(values - logs[f"l{layers}.h"][0]) for name, values in logs.items()}
    k = np.arange(T)
    for layer in range(1, layers + 1):
        above = layers - layer
        total = np.array([comb(i + above, above) * w**i for i in k])
        np.testing.assert_allclose(found[f"l{layer}.h"], np.tile(total[:, None], 3), rtol=1e-12)
        state = np.array([comb(i + above - 1, above) * w**i if i + above else 1.0 for i in k])
        np.testing.assert_allclose(found[f"l{layer}.state"], np.tile(state[:, None], 3), rtol=1e-12)
    joint = np.sqrt(sum(found[f"l{layer}.state"] ** 2 for layer in range(1, layers + 1)))
    np.testing.assert_allclose(found["state"], joint, rtol=1e-12)
    if layers == 3:
        assert found["l1.h"][1, 0] == pytest.approx(2.7) and found["l1.state"][1, 0] == pytest.approx(0.9)


def totals_by_single_steps(stack: Stack, params: Params, x: Array, e: Array) -> dict[str, Array]:
    """Return the total gradients of a loss at the last time step, (T, H, B) by state, without any scaling."""
    tape, batch = stack.forward(params, x), x.shape[2]
    λ: Any = {name: np.zeros((size, batch)) for name, size in stack.state_sizes.items()}
    steps: list[Any] = []
    for t in range(tape.time, 0, -1):
        adjoint = stack.with_immediate(λ, e[-1] if t == tape.time else np.zeros_like(e[-1]))
        deltas = stack.adjoint_step(params, tape.step(t), adjoint)
        steps.insert(0, deltas.total)
        λ = deltas.before
    return {name: np.stack([step[name] for step in steps]) for name in stack.states}


@pytest.mark.parametrize("engine", ["numpy", "compiled"])
@pytest.mark.parametrize(
    ("kind", "residual"), [(kind, residual) for kind in ("rnn", "lstm", "gru") for residual in (False, True)]
)
def test_vanishing_gradients_keep_their_scale_in_every_layer(
    kind: str, residual: bool, engine: Literal["numpy", "compiled"]
) -> None:
    """In float32, gradients far below 1e-38 agree with float64 in all layers."""
    stack, params = stack_of(kind, 3, residual)
    for name, w in params.items():
        w *= 0.3 if "W_hh" in name else 1
        if name == "l2.W_hh" and kind == "rnn":
            w *= 0  # this layer remembers nothing, so its adjoint comes from above alone
    rng = np.random.default_rng(2)
    x, e = rng.standard_normal((90, 3, 2)), rng.standard_normal((1, 4, 2))
    e[:, :, 1] *= 1e-30
    right = totals_by_single_steps(stack, params, x, e)
    if engine == "compiled":
        pytest.importorskip("numba")
    narrow, workspace = copy_params(params, np.float32), Workspace(loops_of(engine))
    for _ in range(2):
        tape = stack.forward(narrow, x.astype(np.float32), None, workspace)
        found = stack.backward(narrow, tape, e.astype(np.float32), workspace, scaled=True)
    smallest = np.inf
    for layer, own in enumerate(found.layers, start=1):
        assert own.exponents is not None
        scale = 2.0 ** own.exponents.astype(np.float64)[:, None]
        for state, values in own.total.items():
            true = np.sqrt(np.square(right[f"l{layer}.{state}"]).sum(axis=1))
            norms = np.sqrt(np.square(values * scale).sum(axis=1))
            np.testing.assert_allclose(norms, true, rtol=1e-4, atol=1e-290)
            smallest = min(smallest, norms[norms > 0].min())
    assert smallest < 1e-45


def test_scaling_is_removed_without_scaled() -> None:
    stack, params = stack_of("lstm", 2, False)
    rng = np.random.default_rng(0)
    x, e = rng.standard_normal((40, 3, 2)), rng.standard_normal((1, 4, 2))
    e[:, :, 0] = 0
    tape = stack.forward(params, x)
    plain = stack.backward(params, tape, e)
    assert all(layer.exponents is None for layer in plain.layers)
    scaled = stack.backward(params, tape, e, scaled=True)
    for name, grad in plain.grads.items():
        np.testing.assert_allclose(scaled.grads[name], grad, rtol=1e-12)


def test_one_layer_is_the_cell_itself() -> None:
    cell = MAKERS["lstm"](3, 4)
    (layer,) = layers_of(cell)
    assert layer.cell is cell and layer.prefix == "" and layer.take({"h": 1}) == {"h": 1}
    assert split_layer("l12.W_hh") == (12, "W_hh") and split_layer("loss") == (None, "loss")


def test_sizes_that_do_not_fit_are_refused() -> None:
    wide = [Vanilla(3, 5, "tanh", bias=True), Vanilla(4, 4, "tanh", bias=True)]
    with pytest.raises(ValueError, match=r"^cells: layer 2 has inputs of size 4, but layer 1 has outputs of"):
        Stack.of(wide, residual=False)
    with pytest.raises(ValueError, match=r"^cells: a stack has at least two layers, got 1$"):
        Stack.of(wide[:1], residual=False)
    fits = [Vanilla(3, 5, "tanh", bias=True), Vanilla(5, 4, "tanh", bias=True)]
    Stack.of(fits, residual=False)
    with pytest.raises(ValueError, match=r"^residual: layer 2 has inputs of size 5 and outputs of size 4"):
        Stack.of(fits, residual=True)
