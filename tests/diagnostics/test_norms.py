"""Comparison of norms with plain NumPy, and at magnitudes where a plain sum of squares fails."""

from dataclasses import replace

import numpy as np
import pytest

from rnnlab.diagnostics import log_norms_by_timestep, measure_lag_curves, measure_norms
from rnnlab.training.engines import loops_of
from rnnlab.workspace import Workspace
from tests.oracles.cases import BATCH, GATED, TANH, build, cell_id, every_cell, with_mask
from tests.oracles.snapshots import by_name, snapshot_of

TIME = 5


@pytest.mark.parametrize("cell", every_cell(), ids=cell_id)
@pytest.mark.parametrize("inputs", ["symbols", "vectors"])
@pytest.mark.parametrize("mask", ["every step", "one example without", "last two outputs"])
def test_all_quantities_are_per_example(cell, inputs, mask):
    snapshot = snapshot_of(build(cell, mask=mask, inputs=inputs))
    tape, deltas, W_xh = snapshot.tape.cell, snapshot.deltas, snapshot.params["W_xh"]
    dz_immediate = immediate_dz(cell, snapshot)
    expected = {
        "state": np.concatenate(list(deltas.adjoint.values()), axis=1),
        "z": deltas.dz,
        "x": W_xh.T @ deltas.dz,
        "z_immediate": dz_immediate,
        "x_immediate": W_xh.T @ dz_immediate,
    }
    for name in cell.states:
        expected |= {name: deltas.total[name], f"{name}_immediate": deltas.immediate[name]}
    expected = {name: BATCH * a for name, a in expected.items()}
    expected |= {f"{name}_norm": tape.states[name][1:] for name in cell.states}
    readings = measure_norms(snapshot)
    found = by_name(readings.curves)
    assert set(found) == set(expected) and readings.metrics == {}
    for name, a in expected.items():
        norms = np.sqrt(np.sum(a**2, axis=1))
        assert found[name].axis == "timestep"
        np.testing.assert_array_equal(found[name].index, np.arange(1, TIME + 1))
        for statistic, right in {
            "mean": norms.mean(axis=1),
            "max": norms.max(axis=1),
            "zero_fraction": (norms == 0).mean(axis=1),
        }.items():
            actual = getattr(found[name], statistic)
            np.testing.assert_allclose(actual, right, rtol=1e-11, atol=1e-14, err_msg=f"{name} {statistic}")


def immediate_dz(cell, snapshot):
    """Return the immediate dz from a separate backward pass for the loss at each time step."""
    e, out = snapshot.deltas.immediate["h"], np.zeros_like(snapshot.deltas.dz)
    for t in range(TIME):
        alone = np.zeros_like(e)
        alone[t] = e[t]
        out[t] = cell.backward(snapshot.params, snapshot.tape.cell, alone).dz[t]
    return out


@pytest.mark.parametrize("cell", [TANH, GATED], ids=["rnn", "lstm"])
@pytest.mark.parametrize(
    ("dtype", "scales", "rtol"),
    [
        (np.float32, [1, 1e-10, 1e-25, 1e-33, 1e30], 1e-6),
        (np.float32, [1, 2, 3, 4, 5], 1e-6),
        (np.float64, [1, 1e-20, 1e-200, 1e-290, 1e200], 1e-13),
    ],
)
def test_norms_are_right_at_any_magnitude(cell, dtype, scales, rtol):
    case = build(cell, time=TIME, dtype=dtype)
    tape = cell.forward(case.params, case.batch.x, case.initial)
    deltas = cell.backward(case.params, tape, np.ones((TIME, 4, 3), dtype))
    by_time = np.array(scales, dtype)[:, None, None]
    total = {name: a * by_time for name, a in deltas.total.items()}
    adjoint = dict(deltas.adjoint)
    if len(adjoint) == 1:  # the only state's adjoint is its total gradient
        adjoint = dict(total)
    deltas = replace(deltas, total=total, adjoint=adjoint)
    found = log_norms_by_timestep(cell, tape, deltas)
    adjoints = deltas.adjoint
    expected = {name: reference(a) for name, a in total.items()}
    expected["state"] = reference(*adjoints.values())
    for name, log_norms in expected.items():
        np.testing.assert_allclose(found[name] - np.log(3), log_norms, rtol=0, atol=rtol, err_msg=name)


@pytest.mark.parametrize(
    ("reduction", "mask", "factor"),
    [("mean", "every step", 5), ("sum", "every step", 1), ("mean", "last step", 1), ("mean", "last two", 2)],
)
@pytest.mark.parametrize("cell", [TANH, GATED], ids=cell_id)
def test_rows_by_time_step_have_the_weight_1_over_n_of_a_mean_and_lag_0_has_1(cell, reduction, mask, factor):
    """The number N counts the targets of an example, not its time steps."""
    case = build(cell, reduction, "every step" if mask == "last two" else mask, start="zero")
    if mask == "last two":
        case = with_mask(case, np.repeat([[False], [False], [False], [True], [True]], BATCH, axis=1))
    snapshot = snapshot_of(case)
    immediate = by_name(measure_norms(snapshot).curves)["h_immediate"]
    by_lag = by_name(measure_lag_curves(snapshot, targets=("last",)).curves)["h"]
    assert by_lag.mean[0] == pytest.approx(factor * immediate.mean[-1], rel=1e-12)
    assert 10 ** by_lag.log10_gmean[0] == pytest.approx(factor * 10 ** immediate.log10_gmean[-1], rel=1e-12)


def reference(*parts):
    """Return the norm computed in longdouble, whose range is 1e±4932."""
    return np.log(np.sqrt(sum((part.astype(np.longdouble) ** 2).sum(axis=1) for part in parts)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_zero_and_what_is_not_finite(dtype):
    case = build(GATED, time=TIME, dtype=dtype)
    tape = GATED.forward(case.params, case.batch.x, case.initial)
    deltas = GATED.backward(case.params, tape, np.ones((TIME, 4, 3), dtype))
    for a in deltas.total.values():
        a[1], a[2], a[3, 0, 0] = 0, np.inf, np.nan
    log_norms = log_norms_by_timestep(GATED, tape, deltas)
    for name in ("h", "c"):
        assert (log_norms[name][1] == -np.inf).all()
        assert (log_norms[name][2] == np.inf).all()
        assert np.isnan(log_norms[name][3, 0])
        assert np.isfinite(log_norms[name][3, 1:]).all()
    assert np.isnan(log_norms["state"][3, 0])
    assert np.isfinite(log_norms["state"][0]).all()


@pytest.mark.parametrize("batch", [1, 3])
def test_the_compiled_norms_equal_numpys_in_every_step(batch):
    pytest.importorskip("numba")
    rng, compiled = np.random.default_rng(0), Workspace(loops_of("compiled"))
    case = build(GATED, inputs="vectors", time=TIME, batch=batch, dtype=np.float32)
    for outputs in (2, 2, 4):  # the second time, the arrays and the calls are there already
        e = rng.standard_normal((outputs, 4, batch)).astype(np.float32)
        found, right = (
            log_norms_by_timestep(
                GATED, tape, GATED.backward(case.params, tape, e, workspace, scaled=True), workspace
            )
            for workspace in (compiled, Workspace())
            for tape in [GATED.forward(case.params, case.batch.x, case.initial, workspace)]
        )
        assert list(found) == list(right) and np.isneginf(right["h_immediate"][: TIME - outputs]).all()
        for name, logs in right.items():
            np.testing.assert_allclose(found[name], logs, rtol=1e-5, atol=1e-5, err_msg=name)
