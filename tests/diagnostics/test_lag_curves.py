from dataclasses import replace

import numpy as np
import pytest

from rnnlab.cells import Vanilla
from rnnlab.diagnostics import Readings, lag_curves_of, ln_lag_curves, measure_lag_curves
from rnnlab.initial_states import Learned, Normal, Zero
from rnnlab.initializers import Init, Initializer
from rnnlab.model import Batch, Model
from rnnlab.norms import norm
from rnnlab.readout import Readout
from tests.oracles.cases import (
    BATCH,
    GATED,
    TANH,
    TIME,
    build,
    cell_id,
    every_cell,
    example,
    recurrent_shares,
    with_mask,
)
from tests.oracles.snapshots import snapshot_of

H = 6
# Last targets at different time steps, and an example without targets; earlier targets must not matter.
LAST = np.array([4, 2, 0])
SPREAD = np.array([[1, 1, 0], [0, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]], dtype=bool)

cells = pytest.mark.parametrize("cell", every_cell(), ids=cell_id)


def linear(rho: float, time: int, dtype=np.float64):
    """Return a linear network with W_hh = ρ Q, Q orthogonal, so that ‖δ[T-k]‖ = ρᵏ ‖δ[T]‖ exactly."""
    rng = np.random.default_rng(1)
    model = Model(
        Vanilla(3, H, "identity", bias=False), Readout(H, 4, bias=True), Zero(), "cross_entropy", "mean"
    )
    uniform = Initializer("uniform", 1.0)
    params = model.init_params(rng, Init(Initializer("orthogonal", rho), uniform, uniform), dtype)
    only_last = np.zeros((time, 2), dtype=bool)
    only_last[-1] = True
    batch = Batch(rng.integers(0, 3, (time, 2)), rng.integers(0, 4, (time, 2)), only_last)
    return model, params, batch


@pytest.mark.parametrize(
    ("rho", "time"),
    [(0.5, 40), (0.9, 40), (1.0, 40), (1.1, 40), (0.5, 2001), (0.9, 2001), (1.0, 2001), (1.1, 1001)],
)
def test_linear_network_decays_at_its_spectral_radius(rho, time):
    """At ρ = 0.5 and k = 2000, the gradient has shrunk by a factor of 1e-602, beyond the range of float64."""
    curves = ln_lag_curves(*linear(rho, time))
    lags = np.arange(time)[:, None]
    for name in ("h", "state"):
        assert curves[name].shape == (time, 2)
        np.testing.assert_allclose(
            curves[name], curves[name][0] + lags * np.log(rho), rtol=1e-12, atol=1e-12, err_msg=name
        )


def test_linear_network_in_float32_decays_as_far():
    """The factor 1e-602 is far below the float32 limit 1e-45; in float32, Q is orthogonal only to 1e-7."""
    logs = ln_lag_curves(*linear(0.5, 2001, np.float32))["h"]
    np.testing.assert_allclose(logs, logs[0] + np.arange(2001)[:, None] * np.log(0.5), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("rho", [0.5, 0.9, 1.0, 1.1])
def test_linear_network_in_the_training_backward_pass(rho):
    model, params, batch = linear(rho, 40)
    tape = model.forward(params, batch)
    total = norm(model.backward(params, tape)[1].total["h"], axis=1)
    np.testing.assert_allclose(total[::-1], total[-1] * rho ** np.arange(40)[:, None], rtol=1e-12)


def test_statistics_beyond_float64_stay_right_in_the_logarithm():
    curve = lag_curves_of(ln_lag_curves(*linear(0.5, 2001)))[0]
    assert (curve.quantity, curve.axis) == ("h", "lag")
    np.testing.assert_array_equal(curve.index, np.arange(2001))
    assert curve.log10_gmean[2000] - curve.log10_gmean[0] == pytest.approx(2000 * np.log10(0.5), rel=1e-12)
    assert curve.mean[2000] == curve.max[2000] == 0.0  # below the range of float64
    assert curve.zero_fraction[2000] == 0.0


@cells
def test_adjoint_steps_sum_to_the_backward_pass(cell):
    """With a loss at one time step only, chained adjoint steps reproduce the whole backward pass."""
    τ = 4
    mask = np.zeros((TIME, BATCH), dtype=bool)
    mask[τ - 1] = True
    case = with_mask(build(cell), mask)
    tape = case.forward()
    _, deltas = case.model.backward(case.params, tape)
    expected = deltas.adjoint

    adjoint = {name: np.zeros_like(deltas.total[name][0]) for name in cell.states}
    adjoint["h"] = deltas.immediate["h"][τ - 1]
    for t in range(τ, 0, -1):
        for name in cell.states:
            _close(adjoint[name], expected[name][t - 1])
        step = cell.adjoint_step(case.params, tape.cell.step(t), adjoint)
        total, adjoint = step.total, step.before
        for name in cell.states:
            _close(total[name], deltas.total[name][t - 1])
    for name in cell.states:
        _close(adjoint[name], deltas.initial[name])


@cells
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_equal_a_backward_pass_from_each_examples_last_target(cell, reduction):
    case = with_mask(build(cell, reduction), SPREAD)
    curves = ln_lag_curves(case.model, case.params, case.batch)

    only_last = np.zeros_like(SPREAD)
    only_last[LAST[:2] - 1, [0, 1]] = True
    alone = replace(with_mask(case, only_last), initial=None)  # a lag curve starts from a zero state
    tape = alone.forward()
    _, deltas = alone.model.backward(alone.params, tape)
    parts = {name: [deltas.total[name]] for name in cell.states}
    parts["state"] = list(deltas.adjoint.values())
    parts["x"] = [case.params["W_xh"].T @ deltas.dz]
    recurrent = deltas.recurrent
    share = recurrent_shares(cell, tape.cell, recurrent)
    parts["dW_hh"] = [share.reshape(TIME, -1, BATCH)]

    assert set(curves) == set(parts)
    for name, gradients in parts.items():
        norms = BATCH * norm(np.concatenate(gradients, axis=1), axis=1)
        assert curves[name].shape == (LAST.max(), BATCH)
        with np.errstate(divide="ignore"):  # dW_hh at the first time step, from h[0] = 0
            logs = np.log(norms)
        for b, τ in enumerate(LAST):
            _close(curves[name][:τ, b], logs[:τ, b][::-1])
            assert np.isnan(curves[name][τ:, b]).all()


@cells
def test_do_not_depend_on_the_rest_of_the_batch(cell):
    case = with_mask(build(cell), SPREAD)
    together = ln_lag_curves(case.model, case.params, case.batch)
    for b in (0, 1):
        one = example(case, b)
        for name, alone in ln_lag_curves(one.model, one.params, one.batch).items():
            _close(alone[:, 0], together[name][: LAST[b], b])


@cells
@pytest.mark.parametrize("mask", ["only output", "last two outputs"])
def test_targets_of_the_last_steps_alone_are_a_mask_of_them(cell, mask):
    """Outputs at the last S time steps are equivalent to outputs at every step with a mask for the last S."""
    short = build(cell, mask=mask)
    outputs = len(short.batch.y)
    y, everywhere = np.zeros((TIME, BATCH), int), np.zeros((TIME, BATCH), bool)
    y[-outputs:], everywhere[-outputs:] = short.batch.y, short.batch.mask
    whole = Batch(short.batch.x, y, everywhere)
    expected = ln_lag_curves(short.model, short.params, whole)
    for name, curve in ln_lag_curves(short.model, short.params, short.batch).items():
        _close(curve, expected[name])


@pytest.mark.parametrize("start", [Learned(0.7), Normal(0.7)], ids=repr)
def test_start_from_the_models_own_initial_state(start):
    case = build(GATED, start="learned")
    case = replace(case, model=replace(case.model, initial_state=start))
    rng = np.random.default_rng(4)
    own = ln_lag_curves(case.model, case.params, case.batch, rng=rng)
    states = case.model.start(case.params, BATCH, np.random.default_rng(4))
    tape = case.model.forward(case.params, replace(case.batch, y=case.batch.y[-1:]), states)
    _, deltas = case.model.backward(case.params, tape)
    _close(own["h"], np.log(BATCH * norm(deltas.total["h"], axis=1))[::-1])


def test_without_a_mask_start_at_the_last_step():
    case = build(GATED)
    last = np.zeros((TIME, BATCH), dtype=bool)
    last[-1] = True
    unmasked = ln_lag_curves(case.model, case.params, case.batch)
    masked = ln_lag_curves(case.model, case.params, with_mask(case, last).batch)
    for name in unmasked:
        np.testing.assert_array_equal(unmasked[name], masked[name])


def test_an_exactly_zero_gradient_is_minus_infinity_and_counted():
    case = build(TANH)
    case.params["W_hh"][...] = 0
    logs = ln_lag_curves(case.model, case.params, case.batch)["h"]
    assert np.isfinite(logs[0]).all()
    assert (logs[1:] == -np.inf).all()
    curve = lag_curves_of(ln_lag_curves(case.model, case.params, case.batch))[0]
    np.testing.assert_array_equal(curve.zero_fraction, [0, 1, 1, 1, 1])
    assert np.isnan(curve.log10_gmean[1:]).all()


def test_curves_of_a_batch_without_targets_are_empty():
    case = with_mask(build(GATED), np.zeros((TIME, BATCH), dtype=bool))
    assert ln_lag_curves(case.model, case.params, case.batch) == {}
    assert measure_lag_curves(snapshot_of(case), targets=("last",)) == Readings([], {})


@cells
@pytest.mark.parametrize("τ", [1, 3, TIME])
def test_any_target_is_a_backward_pass_from_there(cell, τ):
    case = build(cell, start="zero")
    curves = ln_lag_curves(case.model, case.params, case.batch, target=τ)
    alone = np.zeros((TIME, BATCH), dtype=bool)
    alone[τ - 1] = True
    masked = with_mask(case, alone)
    last = ln_lag_curves(case.model, case.params, masked.batch)
    assert set(curves) == set(last)
    for name, logs in last.items():
        assert curves[name].shape == (τ, BATCH)
        np.testing.assert_array_equal(curves[name], logs)


def test_examples_without_the_target_have_no_value():
    case = with_mask(build(TANH), SPREAD)
    curves = ln_lag_curves(case.model, case.params, case.batch, target=2)
    assert np.isfinite(curves["h"][:, 1]).all()
    assert np.isnan(curves["h"][:, [0, 2]]).all()
    assert ln_lag_curves(case.model, case.params, case.batch, target=5) == {}
    only_last = replace(case.batch, y=case.batch.y[-1:], mask=None)
    assert ln_lag_curves(case.model, case.params, only_last, target=2) == {}


def test_measures_every_target_and_reports_the_last_in_metrics():
    snapshot = snapshot_of(build(GATED))
    readings = measure_lag_curves(snapshot, targets=("last", 3))
    assert [curve.target for curve in readings.curves] == [None] * 5 + [3] * 5
    assert [curve.quantity for curve in readings.curves] == ["h", "c", "state", "x", "dW_hh"] * 2
    only_last = measure_lag_curves(snapshot, targets=("last",))
    assert readings.metrics == only_last.metrics and "grad/log10_gain" in only_last.metrics
    assert measure_lag_curves(snapshot, targets=(3,)).metrics == {}


def _close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-11, atol=1e-14)
