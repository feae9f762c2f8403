import numpy as np
import pytest

from rnnlab.diagnostics import first_non_finite
from rnnlab.records import FirstNonFinite
from tests.oracles.cases import GATED, TANH, TIME, build


class Passes:
    """Results of a forward and a backward pass, in which a test can set non-finite values."""

    def __init__(self, cell, mask="every step"):
        case = build(cell, mask=mask)
        self.params = case.params
        self.tape = case.forward()
        self.grads, self.deltas = case.model.backward(case.params, self.tape)

    def first(self):
        return first_non_finite(self.tape, self.grads, self.deltas, self.params)


@pytest.mark.parametrize("cell", [TANH, GATED])
def test_finite_numbers_give_no_report(cell):
    assert Passes(cell).first() is None


def test_a_parameter_with_a_non_finite_update_is_reported_first():
    passes = Passes(GATED)
    passes.params["W_hy"][0, 0] = np.inf
    passes.tape.cell.states["h"][3:, 1, 0] = np.nan
    assert passes.first() == FirstNonFinite("W_hy", None)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("state", ["h", "c"])
def test_forward_the_earliest_step_counts(state, broken):
    passes = Passes(GATED)
    passes.tape.cell.states[state][3:, 1, 0] = broken  # index 3 is time step 3; index 0 is the initial state
    assert passes.first() == FirstNonFinite(state, 3)


@pytest.mark.parametrize("quantity", ["h", "c", "z"])
def test_backward_the_latest_non_finite_step_is_reported(quantity):
    passes = Passes(GATED)
    array = passes.deltas.dz if quantity == "z" else passes.deltas.total[quantity]
    array[:3, 1, 0] = np.inf  # indices 0, 1, 2 are time steps 1, 2, 3
    assert passes.first() == FirstNonFinite(f"d_{quantity}", 3)


def test_a_loss_has_its_step():
    passes = Passes(TANH)
    passes.tape.losses[2, 1] = np.inf
    assert passes.first() == FirstNonFinite("loss", 3)


def test_a_loss_at_the_last_outputs_has_its_step():
    passes = Passes(TANH, mask="last two outputs")
    passes.tape.losses[0, 0] = np.inf
    assert passes.first() == FirstNonFinite("loss", TIME - 1)


def test_the_loss_of_a_step_without_target_is_not_checked():
    passes = Passes(TANH, mask="last step")
    passes.tape.losses[2, 1] = np.inf
    assert passes.first() is None


@pytest.mark.parametrize("name", ["W_xh", "W_hh", "b_h", "W_hy", "b_y"])
def test_a_parameters_gradient_has_no_step(name):
    passes = Passes(TANH)
    passes.grads[name][-1] = np.nan
    assert passes.first() == FirstNonFinite(f"d_{name}", None)


def test_the_first_computed_value_is_named():
    passes = Passes(TANH)
    expected = []
    for array, index, found in [
        (passes.grads["W_hh"], 0, FirstNonFinite("d_W_hh", None)),
        (passes.deltas.total["h"], 0, FirstNonFinite("d_h", 1)),
        (passes.tape.losses, TIME - 1, FirstNonFinite("loss", TIME)),
        (passes.tape.cell.states["h"], TIME, FirstNonFinite("h", TIME)),
    ]:
        array[index] = np.nan
        expected.append(found)
        assert passes.first() == expected[-1]


def test_forward_an_earlier_step_goes_before_another_state():
    passes = Passes(GATED)
    passes.tape.cell.states["c"][2:] = np.inf  # tanh(inf) is finite, so h becomes non-finite later
    passes.tape.cell.states["h"][4:] = np.nan
    assert passes.first() == FirstNonFinite("c", 2)


def test_in_one_step_the_cell_precedes_the_state_computed_from_it():
    passes = Passes(GATED)
    for state in ("h", "c"):
        passes.tape.cell.states[state][2:] = np.nan
    passes.tape.losses[1] = np.nan
    assert passes.first() == FirstNonFinite("c", 2)


def test_in_one_backward_step_the_state_precedes_the_cell_and_its_input():
    passes = Passes(GATED)
    for array in (*passes.deltas.total.values(), passes.deltas.dz):
        array[:3] = np.nan
    assert passes.first() == FirstNonFinite("d_h", 3)
    passes.deltas.total["h"][2] = 0
    assert passes.first() == FirstNonFinite("d_c", 3)


def test_backward_a_later_step_precedes_another_state():
    passes = Passes(GATED)
    passes.deltas.total["c"][:4] = np.inf
    passes.deltas.total["h"][:3] = np.inf
    assert passes.first() == FirstNonFinite("d_c", 4)
