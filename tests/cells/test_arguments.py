"""Errors of the cells for wrong arguments: each names the argument, the expected value and the actual value."""

from dataclasses import replace

import numpy as np
import pytest

from rnnlab.cells import GRU, LSTM, Vanilla
from rnnlab.model import Batch
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
        (np.full((TIME, BATCH), INPUTS), "x: symbols must be in [0, 6), got values from 6 to 6"),
        (np.full((TIME, BATCH), -1), "x: symbols must be in [0, 6), got values from -1 to -1"),
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


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Vanilla(3, 4, "sigmoid", bias=True),
            "nonlinearity: expected 'tanh' or 'relu' or 'identity', got 'sigmoid'",
        ),
        (
            lambda: LSTM(3, 4, "Tanh", bias=True, forget_bias=0.0),
            "candidate: expected 'tanh' or 'sigmoid', got 'Tanh'",
        ),
        (lambda: GRU(0, 4, bias=True, reset_after=True), "input_size: must be a positive integer, got 0"),
        (
            lambda: GRU(3, 4.5, bias=True, reset_after=True),
            "hidden_size: must be a positive integer, got 4.5",
        ),
        (
            lambda: replace(build(TANH).model, loss="mse"),
            "loss: expected 'cross_entropy' or 'squared_error', got 'mse'",
        ),
        (
            lambda: replace(build(TANH).model, loss_reduction="avg"),
            "loss_reduction: expected 'mean' or 'sum', got 'avg'",
        ),
    ],
)
def test_refuses_unavailable_choices(make, message):
    with pytest.raises(ValueError) as refused:
        make()
    assert str(refused.value) == message


@BOTH
def test_reports_values_that_are_not_arrays(cell):
    case = build(cell, inputs="vectors")
    x, tape = case.batch.x, case.forward().cell
    calls = {
        r"initial: expected the states \['h'.*\], got float64": lambda: cell.forward(case.params, x, x[0]),
        r"params\['W_hh'\]: expected float64 of shape .*, got a list": lambda: cell.forward(
            case.params | {"W_hh": [1.0]}, x
        ),
        r"params\['W_xh'\]: expected float64 of shape .*, got a list": lambda: cell.forward(
            case.params | {"W_xh": [1.0]}, x
        ),
        r"initial\['h'\]: expected float64 of shape \(4, 3\), got a list": lambda: cell.forward(
            case.params, x, {name: [0.0] for name in cell.states}
        ),
        r"e: expected float64 of shape \(5, 4, 3\), got a list": lambda: cell.backward(
            case.params, tape, [1.0]
        ),
        r"params: expected W_xh, W_hh, b_h, got none": lambda: cell.backward({}, tape, tape.states["h"][1:]),
        r"y: expected an array, got a list": lambda: case.model.forward(case.params, Batch(x, [0])),
        r"params: expected W_hy, b_y, got W_xh, W_hh, b_h": lambda: case.model.forward(
            {name: case.params[name] for name in cell.param_shapes()}, case.batch
        ),
    }
    for message, call in calls.items():
        with pytest.raises(ValueError, match=message):
            call()


@BOTH
def test_parameters_must_be_those_of_the_tape(cell):
    case = build(cell, inputs="vectors")
    tape, single = (
        case.forward().cell,
        {name: value.astype(np.float32) for name, value in case.params.items()},
    )
    message = "params: expected float64, as in the forward pass, got float32"
    with pytest.raises(ValueError, match=message):
        cell.backward(single, tape, tape.states["h"][1:])
    with pytest.raises(ValueError, match=message):
        cell.step_backward(single, tape.step(1), tape.step(1).before)


@BOTH
def test_a_learned_initial_state_must_be_given(cell):
    case = build(cell, start="learned")
    rest = {name: value for name, value in case.params.items() if not name.endswith("_0")}
    with pytest.raises(ValueError, match="params: expected h_0"):
        case.model.forward(rest, case.batch)
