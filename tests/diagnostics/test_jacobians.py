"""Comparison of state Jacobians with finite differences, products beyond float64, and linear maps."""

from dataclasses import replace
from functools import reduce
from itertools import pairwise

import numpy as np
import pytest
import scipy.stats

from rnnlab.cells import GRU, LSTM, Vanilla
from rnnlab.diagnostics import (
    log_singular_values,
    lyapunov_exponents,
    measure_jacobians,
    measure_lyapunov,
    state_jacobians,
)
from rnnlab.diagnostics.lyapunov import local_exponents
from rnnlab.diagnostics.statistics import standard_error
from rnnlab.initializers import Init, Initializer
from rnnlab.model import Batch
from tests.oracles.cases import GATED, NORMAL, RESET, TANH, build, cell_id, every_cell
from tests.oracles.snapshots import by_name, snapshot_of

STEP = 1e-5


@pytest.mark.parametrize("cell", every_cell(), ids=cell_id)
def test_one_step_equals_finite_differences(cell):
    case = build(cell)
    tape = case.forward().cell
    found = state_jacobians(cell, case.params, tape.step(3), examples=2)
    n = len(cell.states) * cell.hidden_size
    assert found.shape == (2, n, n)
    for b in range(2):
        expected = np.stack([difference(cell, case, tape, b, j) for j in range(n)], axis=1)
        np.testing.assert_allclose(found[b], expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("cell", [TANH, GATED, RESET], ids=cell_id)
def test_one_adjoint_of_ones_per_state_gives_all_slopes(cell, monkeypatch):
    case, columns = build(cell), []
    tape, own = case.forward().cell, type(cell)._adjoint_step

    def counted(self, params, step, adjoint):
        columns.append(adjoint[self.states[0]].shape[1])
        return own(self, params, step, adjoint)

    monkeypatch.setattr(type(cell), "_adjoint_step", counted)
    found = state_jacobians(cell, case.params, tape.step(3), examples=2)
    monkeypatch.setattr("rnnlab.diagnostics.jacobians.GatedCell", ())
    expected = state_jacobians(cell, case.params, tape.step(3), examples=2)
    np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-15)
    parts = len(cell.states)
    assert columns == [2 * parts, 2 * parts * cell.hidden_size]


def difference(cell, case, tape, b, j):
    """Return ∂s[3]/∂s_j[2] of example b by central differences of `Cell.step`."""
    H, sides = cell.hidden_size, []
    for sign in (1, -1):
        before = {name: values[2][:, b : b + 1].copy() for name, values in tape.states.items()}
        before[cell.states[j // H]][j % H] += sign * STEP
        after = cell.step(case.params, tape.x[2][..., b : b + 1], before).after
        sides.append(np.concatenate([after[name][:, 0] for name in cell.states]))
    return (sides[0] - sides[1]) / (2 * STEP)


@pytest.mark.parametrize("cell", [TANH, GATED, RESET], ids=cell_id)
def test_singular_values_of_short_products(cell):
    case = build(cell)
    tape = case.forward().cell
    lags = np.arange(1, 6)
    largest, smallest = log_singular_values(cell, case.params, tape, lags, examples=3)
    steps = [state_jacobians(cell, case.params, tape.step(t), 3) for t in range(5, 0, -1)]
    for k in lags:
        values = np.linalg.svd(reduce(np.matmul, steps[:k]), compute_uv=False)
        np.testing.assert_allclose(largest[k - 1], np.log(values[:, 0]), rtol=1e-10, atol=1e-10)
        well = values[:, -1] > 1e-6 * values[:, 0]
        assert well.any() or k > 2
        np.testing.assert_allclose(smallest[k - 1][well], np.log(values[well, -1]), rtol=1e-8, atol=1e-8)


def linear(W_hh, time):
    H = len(W_hh)
    cell = Vanilla(2, H, "identity", bias=False)
    params = {"W_hh": W_hh, "W_xh": np.zeros((H, 2))}
    return cell, params, cell.forward(params, np.zeros((time, 1), int))


def test_singular_values_far_beyond_float64():
    """For the linear map W = U diag(d) Uᵀ, P_k has the singular values d^k, here 1e-1200 and 1e+400."""
    U = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))[0]
    cell, params, tape = linear(U @ np.diag([10.0, 1.0, 1e-2, 1e-3]) @ U.T, 400)
    lags = np.array([1, 10, 400])
    largest, smallest = log_singular_values(cell, params, tape, lags, examples=1)
    np.testing.assert_allclose(largest[:, 0], lags * np.log(10), rtol=1e-11)
    np.testing.assert_allclose(smallest[:, 0], lags * np.log(1e-3), rtol=1e-11)


def test_a_singular_jacobian_has_no_smallest_value():
    cell, params, tape = linear(np.diag([1.0, 0.5, 0.0]), 5)
    largest, smallest = log_singular_values(cell, params, tape, np.array([1, 5]), examples=1)
    np.testing.assert_allclose(largest, 0, atol=1e-12)
    assert np.isnan(smallest).all()


def test_measured_by_lag_on_the_probe_batch():
    snapshot = snapshot_of(build(GATED, dtype=np.float32))
    found = by_name(measure_jacobians(snapshot, examples=2, lags=3).curves)
    assert set(found) == {"sv_max", "sv_min"}
    np.testing.assert_array_equal(found["sv_max"].index, [1, 2, 5])
    tape = snapshot.model.forward(snapshot.params, snapshot.inputs.batch).cell
    largest, _ = log_singular_values(GATED, snapshot.params, tape, np.array([1, 2, 5]), 2)
    np.testing.assert_allclose(found["sv_max"].log10_gmean, largest.mean(axis=1) / np.log(10))
    assert (found["sv_max"].log10_gmean > found["sv_min"].log10_gmean).all()


@pytest.mark.parametrize("seed", range(3))
def test_lyapunov_exponents_of_a_linear_map_are_its_eigenvalues(seed):
    """For any matrix, the exponents converge to ln |λ| and differ from the logarithms of singular values."""
    W_hh = np.random.default_rng(seed).standard_normal((6, 6)) / np.sqrt(6)
    cell, params, tape = linear(W_hh, 4200)
    found = lyapunov_exponents(cell, params, tape, warm_up=100, exponents=6)
    expected = np.sort(np.log(np.abs(np.linalg.eigvals(W_hh))))[::-1]
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert not np.allclose(expected, np.log(np.linalg.svd(W_hh)[1]), atol=0.05)


@pytest.mark.parametrize("ρ", [0.5, 1.0, 1.1])
def test_lyapunov_exponents_of_a_scaled_rotation(ρ):
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 5)))[0]
    cell, params, tape = linear(ρ * Q, 150)
    np.testing.assert_allclose(lyapunov_exponents(cell, params, tape, 20, 3), np.log(ρ), atol=1e-12)


@pytest.mark.parametrize("make", [Vanilla, LSTM, GRU])
def test_lyapunov_exponents_add_up_to_the_volume(make):
    """The sum of all exponents is the mean of ln |det J|, even during transients."""
    options = {
        Vanilla: {"nonlinearity": "tanh"},
        LSTM: {"candidate": "tanh", "forget_bias": 1.0},
        GRU: {"reset_after": True},
    }
    cell = make(3, 4, bias=True, **options[make])
    params = cell.init_params(np.random.default_rng(0), NORMAL, np.float64)
    tape = cell.forward(params, np.random.default_rng(1).standard_normal((60, 3, 1)))
    n = 4 * len(cell.states)
    found = lyapunov_exponents(cell, params, tape, warm_up=10, exponents=99)
    steps = [state_jacobians(cell, params, tape.step(t), 1)[0] for t in range(11, 51)]
    volume = np.mean([np.linalg.slogdet(J)[1] for J in steps])
    assert found.shape == (n,)
    assert found.sum() == pytest.approx(volume, rel=1e-9)
    assert (np.diff(found) <= 0).all()


def test_top_exponent_is_the_separation_rate_of_neighbours():
    init = Init(Initializer("normal", 2.0), Initializer("normal", 0.3), Initializer("zero", 1.0))
    cell = Vanilla(3, 40, "tanh", bias=True)
    params = cell.init_params(np.random.default_rng(0), init, np.float64)
    x = np.random.default_rng(1).standard_normal((3000, 3, 1))
    tape = cell.forward(params, x)
    found = lyapunov_exponents(cell, params, tape, warm_up=200, exponents=1)[0]
    h, rates = tape.states["h"][200] + 1e-9, []
    for t in range(200, 2800):
        h = cell.step(params, x[t], {"h": h}).after["h"]
        apart = h - tape.states["h"][t + 1]
        rates.append(np.log(np.linalg.norm(apart) / (1e-9 * np.sqrt(40))))
        h = tape.states["h"][t + 1] + apart * (1e-9 * np.sqrt(40) / np.linalg.norm(apart))
    assert found > 0
    assert found == pytest.approx(np.mean(rates[50:]), abs=0.01)


def test_measured_along_one_long_run():
    snapshot = snapshot_of(build(GATED), long=Batch(np.arange(60)[:, None] % 6, np.zeros((60, 1), int)))
    metrics = measure_lyapunov(snapshot, steps=40, warm_up=10, exponents=3).metrics
    names = ["lyapunov/top", "lyapunov/02", "lyapunov/03"]
    assert list(metrics) == [name + end for name in names for end in ("", "_se")]
    values = [metrics[name] for name in names]
    assert values == sorted(values, reverse=True)
    tape = GATED.forward(snapshot.params, np.arange(60)[:, None] % 6)
    np.testing.assert_allclose(values, lyapunov_exponents(GATED, snapshot.params, tape, 10, 3))
    assert all(metrics[f"{name}_se"] > 0 for name in names)


def test_the_run_consists_of_the_averaged_steps_and_a_warm_up_at_each_end():
    lengths = []

    def long(length):
        lengths.append(length)
        return Batch(np.zeros((length, 1), int), np.zeros((1, 1), int))

    snapshot = snapshot_of(build(GATED))
    snapshot = replace(snapshot, inputs=replace(snapshot.inputs, long=long))
    measure_lyapunov(snapshot, steps=40, warm_up=10, exponents=3)
    assert lengths == [60]


def test_the_error_is_that_of_block_means_of_the_pushed_vector():
    """The reference uses full Jacobians and one vector without QR, with ten blocks of 37 or 36 steps."""
    case = build(Vanilla(6, 5, "tanh", bias=True))
    case.params["W_hh"][...] = 0.1 * case.params["W_hh"] + 0.3  # one dominant direction
    x = np.random.default_rng(1).integers(6, size=(565, 1))
    snapshot = snapshot_of(case, long=Batch(x, np.zeros((565, 1), int)))
    metrics = measure_lyapunov(snapshot, steps=365, warm_up=100, exponents=1).metrics
    cell, params = case.model.cell, case.params
    tape = cell.forward(params, x)
    v, logs = np.ones(5), []
    for t in range(565, 100, -1):
        v = state_jacobians(cell, params, tape.step(t), 1)[0].T @ v
        logs.append(np.log(np.linalg.norm(v)))
        v /= np.linalg.norm(v)
    forward = logs[100:][::-1]  # in order of time
    edges = np.cumsum([0] + [37] * 5 + [36] * 5)
    means = [np.mean(forward[start:end]) for start, end in pairwise(edges)]
    assert metrics["lyapunov/top"] == pytest.approx(np.mean(forward), rel=1e-9)
    assert metrics["lyapunov/top_se"] == pytest.approx(np.std(means, ddof=1) / 10**0.5, rel=1e-9)


def test_the_error_is_calibrated_where_the_exponent_is_known():
    """For a unit driven by its input alone (w is tiny), J[t] = w (1 - tanh² x[t]) is independent noise."""
    w, rng = 1e-9, np.random.default_rng(0)
    cell = Vanilla(1, 1, "tanh", bias=False)
    params = {"W_hh": np.array([[w]]), "W_xh": np.ones((1, 1))}
    nodes = np.linspace(-12, 12, 4001)
    density = np.exp(-(nodes**2) / 2) / np.sqrt(2 * np.pi)
    true = np.log(w) + np.trapezoid(-2 * np.log(np.cosh(nodes)) * density, nodes)
    tape = cell.forward(params, rng.standard_normal((20_000, 1, 1)))
    windows = local_exponents(cell, params, tape, 0, 1)[:, 0].reshape(100, 200)
    errors = np.array([standard_error(window) for window in windows])
    apart = np.abs(windows.mean(axis=1) - true) / errors
    assert 0.9 <= np.mean(apart < scipy.stats.t.ppf(0.975, 9)) <= 1.0
    assert np.mean(errors**2) == pytest.approx(windows.mean(axis=1).var(ddof=1), rel=0.35)


def test_a_vanished_direction_has_neither_exponent_nor_error():
    W_hh = np.diag([0.5, 0.0])
    batch = Batch(np.zeros((40, 1), int), np.zeros((40, 1), int))
    cell = Vanilla(6, 2, "identity", bias=False)
    case = build(cell)
    case.params["W_hh"][...] = W_hh
    metrics = measure_lyapunov(snapshot_of(case, long=batch), steps=20, warm_up=10, exponents=2).metrics
    assert metrics["lyapunov/top"] == pytest.approx(np.log(0.5))
    assert metrics["lyapunov/top_se"] == pytest.approx(0, abs=1e-9)
    assert metrics["lyapunov/02"] is None and metrics["lyapunov/02_se"] is None


def test_a_run_with_non_finite_states_has_no_exponents():
    cell, params, tape = linear(np.full((2, 2), np.nan), 50)
    assert np.isnan(lyapunov_exponents(cell, params, tape, 5, 2)).all()
