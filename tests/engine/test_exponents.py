"""Vanishing gradients in float32, compared with the backward pass in float64 on the same tape."""

from dataclasses import replace

import numpy as np
import pytest

from rnnlab.arrays import copy_params
from rnnlab.cells import GRU, LSTM, Cell, CellDeltas, CellTape, GRUResetBefore, Stack, Vanilla
from rnnlab.engine.exponents import rescale, unscale

H, X, B = 8, 3, 3
CELLS = {
    "rnn": Vanilla(X, H, "tanh", bias=True),
    "identity": Vanilla(X, H, "identity", bias=True),
    "lstm": LSTM(X, H, "tanh", 0.0, bias=True),
    "gru": GRU(X, H, bias=True, reset_after=True),
}


def wide(tape: CellTape) -> CellTape:
    """Return the tape in float64."""
    groups = {
        group: {name: a.astype(np.float64) for name, a in getattr(tape, group).items()}
        for group in ("states", "inner")
    }
    joined = None if tape.joined is None else tape.joined.astype(np.float64)
    layers = tuple(map(wide, tape.layers))
    return replace(tape, x=tape.x.astype(np.float64), joined=joined, layers=layers, **groups)


def in_steps(
    cell: Cell, params: dict[str, np.ndarray], tape: CellTape, e: np.ndarray
) -> dict[str, np.ndarray]:
    """Return log10 of the norms of the adjoint and of dz by time step and example, step by step in float64."""
    adjoint = {name: np.zeros_like(values[0]) for name, values in tape.states.items()}
    exponents = np.zeros(B)
    logs = {name: np.full((tape.time, B), -np.inf) for name in ("adjoint", "dz")}
    for t in range(tape.time, 0, -1):
        has_loss = (e[t - 1] != 0).any(axis=0)
        factor = np.where(has_loss, 2.0 ** np.maximum(exponents, -1000), 1.0)
        adjoint = {name: a * factor for name, a in adjoint.items()}
        exponents = np.where(has_loss, 0, exponents)
        adjoint = cell.with_immediate(adjoint, e[t - 1])
        deltas = cell.adjoint_step(params, tape.step(t), adjoint)
        for name, parts in {"adjoint": list(adjoint.values()), "dz": [deltas.dz]}.items():
            with np.errstate(divide="ignore"):
                norm = np.log10(np.sqrt(sum((a * a).sum(axis=0) for a in parts)))
            logs[name][t - 1] = norm + exponents * np.log10(2)
        largest = np.max([np.abs(a).max(axis=0) for a in deltas.before.values()], axis=0)
        shift = np.where(largest > 0, np.frexp(np.where(largest > 0, largest, 1))[1], 0)
        adjoint = {name: np.ldexp(a, -shift) for name, a in deltas.before.items()}
        exponents = exponents + shift
    return logs


def scaled_logs(deltas: CellDeltas) -> dict[str, np.ndarray]:
    log_scale = deltas.log_scale / np.log(10)
    with np.errstate(divide="ignore"):
        squares = {
            "adjoint": sum((a.astype(np.float64) ** 2).sum(axis=1) for a in deltas.adjoint.values()),
            "dz": (deltas.dz.astype(np.float64) ** 2).sum(axis=1),
        }
        return {name: 0.5 * np.log10(square) + log_scale for name, square in squares.items()}


def case(name: str, time: int, gain: float):
    cell, rng = CELLS[name], np.random.default_rng(3)
    shapes = cell.param_shapes()
    params = {
        n: (gain * rng.standard_normal(s) / np.sqrt(s[1])).astype(np.float32) for n, s in shapes.items()
    }
    x = rng.standard_normal((time, X, B)).astype(np.float32)
    return cell, params, cell.forward(params, x), rng


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("gain", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("losses", ["last", "apart", "every tenth"])
def test_rows_are_right_far_below_the_range_of_float32(name: str, gain: float, losses: str) -> None:
    if name == "identity" and gain == 0.9:
        pytest.skip("explodes")
    cell, params, tape, rng = case(name, 700, gain)
    e = np.zeros((700, H, B), np.float32)
    if losses == "last":
        e[-1] = rng.standard_normal((H, B))
    elif losses == "apart":  # 500 time steps apart in one batch
        for b, t in enumerate((699, 450, 199)):
            e[t, :, b] = rng.standard_normal(H)
    else:
        e[::-10, :, 0] = rng.standard_normal((70, H))
        e[-1, :, 1:] = rng.standard_normal((H, 2))
    deltas = cell.backward(params, tape, e, scaled=True)
    expected = in_steps(cell, copy_params(params, np.float64), wide(tape), e.astype(np.float64))
    for quantity, logs in scaled_logs(deltas).items():
        visible = expected[quantity] > -300
        np.testing.assert_array_equal(np.isinf(logs[visible]), np.isinf(expected[quantity][visible]))
        np.testing.assert_allclose(logs[visible], expected[quantity][visible], atol=np.log10(1.01))
    assert expected["adjoint"].min() < -40 or gain == 0.9


def test_a_single_step_layer_accepts_scaled_gradients_from_the_layer_above() -> None:
    """Gradients of the bottom layer, 900 time steps before the only loss, are below the range of float32."""
    cell = GRUResetBefore(X, H, bias=True)
    stack = Stack.of([cell, replace(cell, input_size=H)], residual=True)
    rng = np.random.default_rng(3)
    params = {
        name: (0.5 * rng.standard_normal(shape) / np.sqrt(shape[1])).astype(np.float32)
        for name, shape in stack.param_shapes().items()
    }
    e = np.zeros((900, H, B), np.float32)
    e[-1] = rng.standard_normal((H, B))
    tape = stack.forward(params, rng.standard_normal((900, X, B)).astype(np.float32))
    right = stack.backward(copy_params(params, np.float64), wide(tape), e.astype(np.float64), scaled=True)
    found = stack.backward(params, tape, e, scaled=True)
    for mine, true in zip(found.layers, right.layers, strict=True):
        logs, expected = scaled_logs(mine), scaled_logs(true)
        assert expected["adjoint"][0].max() < -50
        for quantity, values in expected.items():
            np.testing.assert_allclose(logs[quantity], values, atol=np.log10(1.01))


@pytest.mark.parametrize("name", CELLS)
def test_weight_gradients_equal_those_of_float64(name: str) -> None:
    cell, params, tape, rng = case(name, 300, 0.5)
    e = np.zeros((300, H, B), np.float32)
    for b, t in enumerate((299, 150, 20)):
        e[t, :, b] = rng.standard_normal(H)
    found = cell.backward(params, tape, e).grads
    right = cell.backward(copy_params(params, np.float64), wide(tape), e.astype(np.float64)).grads
    for key, grad in right.items():
        np.testing.assert_allclose(found[key], grad, rtol=1e-3, atol=1e-5 * np.abs(grad).max(), err_msg=key)
        normal = np.abs(found[key][found[key] != 0])
        assert normal.size and normal.min() >= np.finfo(np.float32).tiny


def test_a_forgotten_cell_state_reaches_zero() -> None:
    """Without scaling, half of the smallest float32 rounds to itself, so the gradient stayed there for ever."""
    cell, params, tape, rng = case("lstm", 1000, 0.1)
    e = rng.standard_normal((1, H, B)).astype(np.float32)
    deltas = cell.backward(params, tape, e, scaled=True)
    assert scaled_logs(deltas)["adjoint"][0].max() < -200
    assert not cell.backward(params, tape, e).total["c"][0].any()


def test_a_loss_at_every_step_is_not_scaled() -> None:
    cell, params, tape, _ = case("gru", 50, 0.5)
    assert cell.backward(params, tape, np.ones((50, H, B), np.float32), scaled=True).exponents is None


@pytest.mark.parametrize("gain", [3.0, 30.0])
def test_explosion_after_a_decay_is_judged_on_true_values(gain: float) -> None:
    """The first half of the sequence amplifies what the second half has made small."""
    cell, time = CELLS["identity"], 120
    params = {n: np.zeros(s, np.float32) for n, s in cell.param_shapes().items()}
    params["W_hh"] = np.diag(np.full(H, gain)).astype(np.float32)
    tape = cell.forward(params, np.zeros((time, X, B), np.float32))
    e = np.full((1, H, B), 1e-30, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # inf times 0
        deltas = cell.backward(params, tape, e)
    true = np.log10(1e-30) + (time - 1) * np.log10(gain)
    assert np.isfinite(deltas.total["h"][0]).all() == (true < 38.5)
    if true < 38.5:
        np.testing.assert_allclose(np.log10(deltas.total["h"][0]), true, atol=1e-4)


@pytest.mark.parametrize("level", [6.0, 7.0, 8.0])
def test_a_sudden_decay_between_two_checks_loses_nothing(level: float) -> None:
    """Gradients that persist are checked rarely; then saturated units shrink them by 10⁴ or more per step."""
    cell, time = CELLS["rnn"], 120
    params = {n: np.zeros(s, np.float32) for n, s in cell.param_shapes().items()}
    params["W_hh"], params["W_xh"][:, 0] = np.diag(np.full(H, 0.95)).astype(np.float32), 1
    x = np.zeros((time, X, B), np.float32)
    x[20:45, 0] = level
    tape = cell.forward(params, x)
    e = np.zeros((time, H, B), np.float32)
    e[-1] = np.random.default_rng(0).standard_normal((H, B))
    found = scaled_logs(cell.backward(params, tape, e[-1:], scaled=True))
    expected = in_steps(cell, copy_params(params, np.float64), wide(tape), e.astype(np.float64))
    for name, logs in expected.items():
        assert logs.min() < -90
        np.testing.assert_allclose(found[name], logs, atol=0.004, err_msg=name)


def test_no_element_stays_below_the_normal_range() -> None:
    """Units that decay at different rates: the slow ones set the scale, and the fast ones become 0."""
    cell, time = CELLS["identity"], 300
    params = {n: np.zeros(s, np.float32) for n, s in cell.param_shapes().items()}
    params["W_hh"] = np.diag(np.geomspace(0.9, 0.51, H)).astype(np.float32)
    tape = cell.forward(params, np.zeros((time, X, B), np.float32))
    deltas = cell.backward(params, tape, np.ones((1, H, B), np.float32), scaled=True)
    smallest = np.abs(deltas.adjoint["h"][deltas.adjoint["h"] != 0]).min()
    assert smallest > 2.0**-100 and (deltas.adjoint["h"][0, -1] == 0).all()


def test_scaling_is_exact_and_reversible() -> None:
    rng = np.random.default_rng(0)
    part = (rng.standard_normal((5, 4)) * [1e-30, 1.0, 1e30, 0.0]).astype(np.float32)
    scaled, exponents = [part.copy()], np.zeros(4, np.int32)
    size, usable = rescale(scaled, exponents)
    assert usable.tolist() == [True, True, True, False] and (exponents <= 0).all()
    np.testing.assert_array_equal(np.ldexp(scaled[0].astype(np.float64), exponents), part)
    unscale(scaled, exponents, np.ones(4, bool))
    np.testing.assert_array_equal(scaled[0], part)
    assert not exponents.any() and size[3] == 60
