"""Comparison of mean-field theory with other integration methods and with simulations."""

import numpy as np
import pytest

from rnnlab.cells import Vanilla
from rnnlab.diagnostics import ln_lag_curves, mean_field, measure_theory
from rnnlab.diagnostics.theory import input_variance
from rnnlab.initial_states import Zero
from rnnlab.initializers import Init, Initializer
from rnnlab.model import Batch, Model
from rnnlab.readout import Readout
from tests.oracles.cases import GATED, RESET, TANH, build
from tests.oracles.snapshots import snapshot_of

ZERO = Initializer("zero", 1.0)


@pytest.mark.parametrize(
    ("σ_w", "σ_x", "half_ln_χ"),
    [
        (0.5, 0.5, -0.8813),
        (1.0, 0.1, -0.0661),
        (1.0, 0.5, -0.2725),
        (1.5, 0.5, -0.0167),
        (2.0, 0.5, 0.1204),
        (3.0, 0.1, 0.3098),
    ],
)
def test_tanh_against_known_values(σ_w, σ_x, half_ln_χ):
    found = mean_field("tanh", σ_w**2, σ_x**2)
    assert 0.5 * np.log(found.χ) == pytest.approx(half_ln_χ, abs=5.1e-5)
    assert found.log10_gain == pytest.approx(half_ln_χ / np.log(10), abs=3e-5)
    assert found.depth == pytest.approx(1 / abs(0.5 * np.log(found.χ)))


@pytest.mark.parametrize("σ_w", [0.3, 1.0, 1.5, 3.0, 5.0, 20.0])
@pytest.mark.parametrize("σ_x", [0.01, 0.5, 3.0, 100.0])
def test_tanh_by_brute_force(σ_w, σ_x):
    """The reference for q and χ is a sum over two million nodes."""
    found = mean_field("tanh", σ_w**2, σ_x**2)
    z = np.linspace(-12, 12, 2_000_001)
    density = np.exp(-z * z / 2) / np.sqrt(2 * np.pi) * (z[1] - z[0])
    h = np.tanh(np.sqrt(found.q) * z)
    assert found.q == pytest.approx(σ_w**2 * np.sum(density * h * h) + σ_x**2, rel=1e-9)
    assert found.χ == pytest.approx(σ_w**2 * np.sum(density * (1 - h * h) ** 2), rel=1e-8)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu", "identity"])
@pytest.mark.parametrize("σ_x", [0.0, 1e-3, 0.5, 10.0])
def test_gradients_do_not_vanish_at_the_critical_weight(nonlinearity, σ_x):
    σ_w = mean_field(nonlinearity, 0.7, σ_x**2).critical_σ_w
    assert mean_field(nonlinearity, σ_w**2, σ_x**2).χ == pytest.approx(1.0, rel=1e-9)
    below, above = (mean_field(nonlinearity, (σ_w * by) ** 2, σ_x**2).χ for by in (0.9, 1.1))
    assert below < 1 < above


def test_relu_and_identity_in_closed_form():
    relu, identity = mean_field("relu", 1.0, 0.3), mean_field("identity", 0.5, 0.3)
    assert (relu.q, relu.χ) == pytest.approx((0.6, 0.5))
    assert (identity.q, identity.χ) == pytest.approx((0.6, 0.5))
    rng = np.random.default_rng(0)
    z = np.sqrt(0.6) * rng.standard_normal(1_000_000)
    assert np.mean(np.maximum(z, 0) ** 2) + 0.3 == pytest.approx(0.6, rel=5e-3)
    assert mean_field("relu", 2.0, 0.3).q is None and mean_field("relu", 2.5, 0.3).χ == 1.25
    assert mean_field("identity", 1.0, 0.3).q is None and mean_field("identity", 1.21, 0.3).χ == 1.21


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu", "identity"])
def test_theory_agrees_with_a_wide_network(nonlinearity):
    H, time, σ_w = 300, 40, {"tanh": 1.3, "relu": 1.1, "identity": 0.8}[nonlinearity]
    slopes = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        cell = Vanilla(8, H, nonlinearity, bias=True)
        model = Model(cell, Readout(H, 5, bias=True), Zero(), "cross_entropy", "mean")
        init = Init(Initializer("normal", σ_w), Initializer("normal", 0.5 * np.sqrt(H / 8)), ZERO)
        params = model.init_params(rng, init, np.float64)
        params["W_xh"] *= 0.5 / np.sqrt(8) / params["W_xh"].std()
        batch = Batch(rng.standard_normal((time, 8, 6)), rng.integers(0, 5, (1, 6)))
        logs = ln_lag_curves(model, params, batch)["h"].mean(axis=1)
        slopes.append(np.polyfit(np.arange(1, 21), logs[1:21], 1)[0])
        expected = mean_field(
            nonlinearity,
            H * np.mean(params["W_hh"] ** 2),
            input_variance((params["W_xh"], params["b_h"]), batch.x),
        )
    error = np.std(slopes) / np.sqrt(len(slopes))
    assert np.mean(slopes) == pytest.approx(0.5 * np.log(expected.χ), abs=4 * error + 0.01)


def test_measured_at_step_0_alone():
    snapshot = snapshot_of(build(TANH))
    metrics = measure_theory(snapshot).metrics
    names = ("sigma_w", "sigma_x", "q", "chi", "critical_sigma_w", "depth", "log10_gain")
    assert set(metrics) == {f"theory/{name}" for name in names}
    W = snapshot.params["W_hh"]
    expected = mean_field(
        "tanh",
        len(W) * np.mean(W**2),
        input_variance(snapshot.model.cell.input_weights(snapshot.params), snapshot.inputs.batch.x),
    )
    assert metrics["theory/chi"] == expected.χ and metrics["theory/log10_gain"] == expected.log10_gain
    assert measure_theory(snapshot_of(build(TANH), step=1)).metrics == {}


def test_the_variance_of_inputs():
    for inputs in ("symbols", "vectors"):
        case = build(TANH, inputs=inputs)
        x = case.batch.x if inputs == "vectors" else np.eye(6)[case.batch.x].transpose(0, 2, 1)
        z = case.params["W_xh"] @ x + case.params["b_h"]
        assert input_variance(case.model.cell.input_weights(case.params), case.batch.x) == pytest.approx(
            np.mean(z**2)
        )
    del case.params["b_h"]
    assert input_variance(case.model.cell.input_weights(case.params), case.batch.x) == pytest.approx(
        np.mean((case.params["W_xh"] @ x) ** 2)
    )


@pytest.mark.parametrize("W_hh", ["orthogonal", "identity", "zero"])
def test_no_theory_for_non_random_weights(W_hh):
    snapshot = snapshot_of(build(TANH))
    matrices = {
        "orthogonal": np.linalg.qr(snapshot.params["W_hh"])[0],
        "identity": 0.5 * np.eye(4),
        "zero": 0.0,
    }
    snapshot.params["W_hh"][...] = matrices[W_hh]
    assert measure_theory(snapshot).metrics == {}


def test_forget_gates_for_an_lstm_and_none_for_a_gru():
    snapshot = snapshot_of(build(GATED, start="zero"))
    f = snapshot.tape.cell.inner["gates"][:, GATED.rows("f")]
    assert measure_theory(snapshot).metrics == {"theory/log10_cell_path": pytest.approx(np.log10(f).mean())}
    assert measure_theory(snapshot_of(build(RESET))).metrics == {}
