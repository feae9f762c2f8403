from dataclasses import replace

import numpy as np
import pytest

from rnnlab.arrays import copy_params
from rnnlab.cells import Vanilla
from rnnlab.diagnostics import (
    Measurement,
    Probe,
    Readings,
    Schedule,
    lag_metrics,
    measure_contributions,
    measure_gates,
    measure_jacobians,
    measure_lag_curves,
    measure_norms,
    measure_parameters,
    measure_spectrum,
    measure_theory,
    summarize_lag_curve,
)
from rnnlab.initial_states import Normal
from rnnlab.records import Curve
from rnnlab.workspace import Workspace
from tests.oracles.cases import GATED, RESET, TANH, build
from tests.oracles.snapshots import assert_same_curves, by_name, snapshot_of

NEVER = Schedule(dense=0, per_decade=0, every=None, on_spike=False)
EVERY_OTHER = replace(NEVER, every=2)
SPIKES = replace(NEVER, on_spike=True)


def probe(**measurements):
    return Probe(measurements, examples=4, length=None, seed=0, spike_factor=10.0)


def test_each_measurement_has_a_schedule_of_its_own():
    calls = []

    def noting(name):
        def measure(snapshot):
            calls.append(name)
            return Readings(metrics={f"own/{name}": float(snapshot.step)})

        return measure

    both = probe(a=Measurement(noting("a"), EVERY_OTHER), b=Measurement(noting("b"), SPIKES))
    plan = both.plan(6)
    assert [both.due(plan, step, False) for step in range(6)] == [
        ["a", "b"],
        [],
        ["a"],
        [],
        ["a"],
        [],
    ]
    assert both.due(plan, 1, True) == ["b"]
    assert both.due(plan, 2, True) == ["a", "b"]
    readings = both.measure(snapshot_of(build(TANH), step=2), ["a"])
    assert calls == ["a"] and readings.metrics == {"own/a": 2.0}
    assert probe().plan(6) == {}


def test_measured_and_expected_gain_are_compared():
    def measured(snapshot):
        return Readings(metrics={"grad/log10_gain": -0.5})

    def expected(snapshot):
        return Readings(metrics={"theory/log10_gain": -0.2})

    def nothing(snapshot):
        return Readings(metrics={"theory/log10_gain": None})

    snapshot = snapshot_of(build(TANH))
    made = {name: Measurement(measure, NEVER) for name, measure in vars().items() if callable(measure)}
    both = probe(**made)
    assert both.measure(snapshot, ["measured", "expected"]).metrics["theory/gap"] == -0.3
    for without in (["measured"], ["expected"], ["measured", "nothing"]):
        assert "theory/gap" not in both.measure(snapshot, without).metrics


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, None])
def test_a_non_finite_metric_has_no_value(value):
    own = Measurement(lambda snapshot: Readings(metrics={"own/x": value, "own/y": np.float32(2)}), NEVER)
    metrics = probe(own=own).measure(snapshot_of(build(TANH)), ["own"]).metrics
    assert metrics == {"own/x": None, "own/y": 2.0}


def test_a_gradient_of_exactly_0_is_reported_with_its_first_lag():
    case = build(TANH)
    assert measure_lag_curves(snapshot_of(case), targets=("last",)).metrics["grad/zero_lag"] is None
    case.params["W_hh"][...] = 0
    metrics = measure_lag_curves(snapshot_of(case), targets=("last",)).metrics
    assert metrics["grad/zero_lag"] == metrics["grad/zero_fraction"] == 1.0
    assert metrics["grad/gain"] == metrics["grad/gain_tail"] == metrics["grad/horizon"] == 0.0


def test_the_share_of_zero_gradients_is_listed_with_the_other_columns():
    """In a relu network, all units are inactive at time step 3 for two of three examples."""
    case = build(Vanilla(6, 4, "relu", bias=False), inputs="vectors")
    case.params["W_xh"][...], case.params["W_hh"][...] = 0.1, 0.1
    case.batch.x[...] = 1.0
    case.batch.x[2, :, :2] = -50.0  # time step 3, on the path of the gradient from τ = 5 to lag 3
    found = measure_lag_curves(snapshot_of(case), targets=("last",))
    state = by_name(found.curves)["state"]
    np.testing.assert_allclose(state.zero_fraction, [0, 0, 0, 2 / 3, 2 / 3], atol=1e-12)
    assert found.metrics["grad/zero_fraction"] == found.metrics["grad/zero_at_horizon"] == 2 / 3
    assert found.metrics["grad/zero_lag"] is None and found.metrics["grad/horizon"] == 4.0


def test_every_target_has_the_same_random_initial_state():
    case = build(TANH)
    case = replace(case, model=replace(case.model, initial_state=Normal(std=1.0)))
    both = measure_lag_curves(snapshot_of(case), targets=("last", 3)).curves
    alone = measure_lag_curves(snapshot_of(case), targets=(3,)).curves
    assert_same_curves(both[4:], alone)


def jacobians(snapshot):
    return measure_jacobians(snapshot, examples=2, lags=4)


def lag_curves(snapshot):
    return measure_lag_curves(snapshot, targets=("last",))


ALL = (
    measure_norms,
    measure_contributions,
    measure_gates,
    measure_parameters,
    measure_spectrum,
    measure_theory,
    jacobians,
    lag_curves,
)


@pytest.mark.parametrize("measure", ALL, ids=lambda measure: measure.__name__)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_measurement_changes_nothing_and_is_repeatable(measure, dtype):
    for cell in (TANH, GATED, RESET):
        snapshot = snapshot_of(build(cell, dtype=dtype))
        before = copies(snapshot)
        first, second = measure(snapshot), measure(snapshot)
        assert_same_curves(first.curves, second.curves)
        assert first.metrics == second.metrics
        for name, a in copies(snapshot).items():
            np.testing.assert_array_equal(a, before[name], err_msg=name)


def copies(snapshot):
    tape, deltas = snapshot.tape.cell, snapshot.deltas
    groups = {
        "params": snapshot.params,
        "grads": snapshot.grads,
        "updates": snapshot.updates,
        "states": tape.states,
        "inner": tape.inner,
        "total": deltas.total,
        "immediate": deltas.immediate,
        "dz": {"": deltas.dz},
    }
    return {
        f"{group} {name}": a for group, arrays in groups.items() for name, a in copy_params(arrays).items()
    }


def test_a_reused_workspace_changes_no_measurement():
    workspace = Workspace()
    for cell in (TANH, GATED, TANH):
        fresh = snapshot_of(build(cell))
        for measure in ALL:
            reused = measure(replace(fresh, workspace=workspace))
            assert_same_curves(reused.curves, measure(replace(fresh, workspace=Workspace())).curves)


def curve(quantity, log10_g):
    nothing = np.full(len(log10_g), np.nan)
    return Curve(quantity, "lag", np.arange(len(log10_g)), *[nothing] * 3, np.array(log10_g), nothing)


def test_metrics_follow_each_curve_at_powers_of_two():
    h, c = -0.5 - 0.1 * np.arange(7), 3.0 * np.arange(7)
    state = -1.0 * np.arange(7)
    curves = [curve("h", h), curve("c", c), curve("state", state), curve("x", h), curve("dW_hh", 7 * h)]
    metrics = lag_metrics(curves, ("h", "c"), task_lag=3)
    followed = {name: value for name, value in metrics.items() if "_by_lag/" in name}
    assert followed == pytest.approx(
        {
            "log10_h_by_lag/0001": -0.6,  # absolute value; the others are relative to it
            "log10_h_by_lag/0002": -0.1,
            "log10_h_by_lag/0004": -0.3,
            "log10_c_by_lag/0001": 3.0,
            "log10_c_by_lag/0002": 3.0,
            "log10_c_by_lag/0004": 9.0,
            "log10_state_by_lag/0001": -1.0,
            "log10_state_by_lag/0002": -1.0,
            "log10_state_by_lag/0004": -3.0,
            "log10_x_by_lag/0001": -0.6,
            "log10_x_by_lag/0002": -0.1,
            "log10_x_by_lag/0004": -0.3,
        }
    )
    summary = summarize_lag_curve(state, 3).metrics()
    assert {name: metrics[name] for name in summary} == summary
    assert summary["grad/at_task_lag"] == pytest.approx(-2.0)


def test_metrics_show_the_state_once_where_it_is_h_alone():
    curves = [curve(name, [0, -1, -2]) for name in ("h", "state", "x")]
    metrics = lag_metrics(curves, ("h",), None)
    shown = {name for name in metrics if "_by_lag/" in name}
    assert shown == {f"log10_{name}_by_lag/{lag}" for name in "hx" for lag in ("0001", "0002")}
    assert metrics["grad/log10_gain"] == pytest.approx(-1.0)


def test_metrics_have_no_value_where_the_curve_has_none():
    metrics = lag_metrics([curve(name, [0, -1, np.nan]) for name in ("h", "state", "x")], ("h",), None)
    assert metrics["log10_h_by_lag/0002"] is None
    assert metrics["grad/log10_decay"] is None
