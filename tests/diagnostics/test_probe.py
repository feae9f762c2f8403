import numpy as np
import pytest

from rnnlab.arrays import Workspace
from rnnlab.diagnostics import Probe, lag_curves, lag_metrics, norms_by_timestep, summarize_lag_curve
from rnnlab.records import NormCurve
from tests.oracles.cases import GATED, TANH, build

BOTH = ("time", "lag")


def probe(quantities=BOTH):
    return Probe(quantities, examples=4, seed=0, dense=3, per_decade=2)


def measure(case, quantities):
    tape = case.forward()
    _, deltas = case.model.backward(case.params, tape)
    return probe(quantities).measure(case.model, case.params, case.batch, tape.cell, deltas), tape, deltas


def assert_same_curves(actual, expected):
    assert [curve.quantity for curve in actual] == [curve.quantity for curve in expected]
    for one, other in zip(actual, expected, strict=True):
        for name, value in vars(other).items():
            np.testing.assert_array_equal(getattr(one, name), value, err_msg=f"{one.quantity} {name}")


@pytest.mark.parametrize("cell", [TANH, GATED])
def test_measures_what_is_asked_for(cell):
    case = build(cell)
    curves, tape, deltas = measure(case, BOTH)
    by_time = norms_by_timestep(cell, tape.cell, deltas)
    by_lag = lag_curves(case.model, case.params, case.batch)
    assert_same_curves(curves, by_time + by_lag)
    assert_same_curves(measure(case, ("time",))[0], by_time)
    assert_same_curves(measure(case, ("lag",))[0], by_lag)
    assert measure(case, ())[0] == []


def test_a_reused_workspace_changes_no_measurement():
    workspace = Workspace()
    for cell in (TANH, GATED, TANH):
        case = build(cell)
        for _ in range(2):
            curves = lag_curves(case.model, case.params, case.batch, workspace)
            assert_same_curves(curves, lag_curves(case.model, case.params, case.batch))


def test_schedule_is_empty_when_nothing_is_measured():
    assert probe().steps(5) == {0, 1, 2, 3, 4}
    assert probe(()).steps(5) == frozenset()


def curve(quantity, log10_g, axis="lag"):
    nothing = np.full(len(log10_g), np.nan)
    return NormCurve(quantity, axis, np.arange(len(log10_g)), *[nothing] * 3, np.array(log10_g), nothing)


def test_metrics_follow_each_curve_at_powers_of_two():
    h, c = -0.5 - 0.1 * np.arange(7), 3.0 * np.arange(7)
    state = -1.0 * np.arange(7)
    curves = [curve("h", h), curve("c", c), curve("state", state), curve("h", 100 + h, axis="timestep")]
    metrics = lag_metrics(curves, ("h", "c"), task_lag=3)
    followed = {name: value for name, value in metrics.items() if "_by_lag/" in name}
    assert followed == pytest.approx(
        {
            "log10_h_by_lag/0001": -0.6,  # the level, the others relative to it
            "log10_h_by_lag/0002": -0.1,
            "log10_h_by_lag/0004": -0.3,
            "log10_c_by_lag/0001": 3.0,
            "log10_c_by_lag/0002": 3.0,
            "log10_c_by_lag/0004": 9.0,
            "log10_state_by_lag/0001": -1.0,
            "log10_state_by_lag/0002": -1.0,
            "log10_state_by_lag/0004": -3.0,
        }
    )
    summary = summarize_lag_curve(state, 3).metrics()
    assert {name: metrics[name] for name in summary} == summary
    assert summary["grad/at_task_lag"] == pytest.approx(-2.0)


def test_metrics_show_the_state_once_where_it_is_h_alone():
    metrics = lag_metrics([curve("h", [0, -1, -2]), curve("state", [0, -1, -2])], ("h",), None)
    assert {name for name in metrics if "_by_lag/" in name} == {"log10_h_by_lag/0001", "log10_h_by_lag/0002"}
    assert metrics["grad/log10_gain"] == pytest.approx(-1.0)


def test_metrics_have_no_value_where_the_curve_has_none():
    metrics = lag_metrics([curve("h", [0, -1, np.nan]), curve("state", [0, -1, np.nan])], ("h",), None)
    assert metrics["log10_h_by_lag/0002"] is None
    assert metrics["grad/log10_decay"] is None


def test_without_lag_curves_there_are_no_metrics():
    assert lag_metrics([curve("h", [0, 1], axis="timestep")], ("h",), None) == {}
