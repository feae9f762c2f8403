"""Norms at every time step, at magnitudes where a plain sum of squares fails."""

from dataclasses import replace

import numpy as np
import pytest

from rnnlab.diagnostics import log_norms_by_timestep
from tests.oracles.cases import GATED, TANH, build

TIME = 5


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
    deltas = replace(deltas, total=total)
    found = log_norms_by_timestep(cell, tape, deltas)
    adjoints = cell.state_adjoints(tape, deltas)
    expected = {name: reference(a) for name, a in total.items()}
    expected["state"] = reference(*adjoints.values())
    for name, log_norms in expected.items():
        np.testing.assert_allclose(found[name] - np.log(3), log_norms, rtol=0, atol=rtol, err_msg=name)


def reference(*parts):
    """By longdouble, whose range is 1e±4932."""
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
