"""What a cell refuses, and how it says so: the argument, what was expected, what came."""

import numpy as np
import pytest

from tests.oracles.cases import BATCH, GATED, HIDDEN, INPUTS, TANH, TIME, build

BOTH = pytest.mark.parametrize("cell", [TANH, GATED], ids=lambda cell: type(cell).__name__)
X_EXPECTED = (
    "x: expected integer symbols of shape (time, batch) or float64 vectors of shape "
    f"(time, {INPUTS}, batch), "
)
EMPTY = "x: expected at least one time step and one example, got shape "


@BOTH
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((TIME, INPUTS + 1, BATCH)), X_EXPECTED + "got float64 of shape (5, 7, 3)"),
        (np.zeros((TIME, INPUTS, BATCH), np.float32), X_EXPECTED + "got float32 of shape (5, 6, 3)"),
        (np.zeros((TIME, INPUTS, BATCH), int), X_EXPECTED + "got int64 of shape (5, 6, 3)"),
        (np.zeros((TIME, BATCH)), X_EXPECTED + "got float64 of shape (5, 3)"),
        (np.zeros((TIME, BATCH), bool), X_EXPECTED + "got bool of shape (5, 3)"),
        (np.zeros(TIME, int), X_EXPECTED + "got int64 of shape (5,)"),
        (np.full((TIME, BATCH), INPUTS), "x: symbols must lie in [0, 6), got values from 6 to 6"),
        (np.full((TIME, BATCH), -1), "x: symbols must lie in [0, 6), got values from -1 to -1"),
        (np.zeros((0, BATCH), int), EMPTY + "(0, 3)"),
        (np.zeros((TIME, 0), int), EMPTY + "(5, 0)"),
        (np.zeros((0, INPUTS, BATCH)), EMPTY + "(0, 6, 3)"),
        (np.zeros((TIME, INPUTS, 0)), EMPTY + "(5, 6, 0)"),
    ],
)
def test_refuses_wrong_inputs(cell, x, message):
    with pytest.raises(ValueError) as refused:
        cell.forward(build(cell).params, x)
    assert str(refused.value) == message


@BOTH
@pytest.mark.parametrize(
    ("state", "came"),
    [
        (np.zeros((HIDDEN, BATCH + 1)), "float64 of shape (4, 4)"),
        (np.zeros((BATCH, HIDDEN)), "float64 of shape (3, 4)"),
        (np.zeros((HIDDEN, BATCH), np.float32), "float32 of shape (4, 3)"),
    ],
)
def test_refuses_a_wrong_initial_state(cell, state, came):
    case = build(cell)
    for name in cell.states:
        with pytest.raises(ValueError) as refused:
            cell.forward(case.params, case.batch.x, case.initial | {name: state})
        assert str(refused.value) == f"initial[{name!r}]: expected float64 of shape (4, 3), got {came}"


@BOTH
@pytest.mark.parametrize("names", [(), ("c",), ("h", "c", "s")])
def test_refuses_other_states_than_its_own(cell, names):
    case = build(cell)
    with pytest.raises(ValueError, match=r"initial: expected the states \['h'.*\], got \["):
        cell.forward(case.params, case.batch.x, {name: np.zeros((HIDDEN, BATCH)) for name in names})


@BOTH
@pytest.mark.parametrize(
    ("e", "came"),
    [
        (np.zeros((TIME + 1, HIDDEN, BATCH)), "float64 of shape (6, 4, 3)"),
        (np.zeros((TIME, HIDDEN, 1)), "float64 of shape (5, 4, 1)"),
        (np.zeros((TIME, HIDDEN, BATCH), np.float32), "float32 of shape (5, 4, 3)"),
    ],
)
def test_refuses_a_wrong_immediate_gradient(cell, e, came):
    case = build(cell)
    with pytest.raises(ValueError) as refused:
        cell.backward(case.params, case.forward().cell, e)
    assert str(refused.value) == f"e: expected float64 of shape (5, 4, 3), got {came}"
