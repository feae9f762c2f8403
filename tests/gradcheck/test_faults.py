"""The gradient check must detect deliberately wrong gradients."""

import pytest

from tests.oracles import faults
from tests.oracles.cases import GATED, INPUT_KINDS, RESET, TANH, build
from tests.oracles.projection import TOLERANCE, projection_errors

# The gradients in which each fault must be detected.
IN_EVERY_CELL = [
    (faults.off_by_one_in_time, "W_hh"),
    (faults.missing_recurrent_bias, "b_h"),
    (faults.missing_readout_bias, "b_y"),
    (faults.a_little_too_large, "W_xh"),
    (faults.transposed_recurrent_weights, "W_hh"),
    (faults.transposed_recurrent_weights, "initial h"),
    (faults.immediate_for_total, "W_hh"),
    (faults.immediate_for_total, "W_xh"),
    (faults.truncated_after_two_steps, "W_hh"),
    (faults.truncated_after_two_steps, "initial h"),
]
IN_GRU = [(faults.missing_update_carry, "W_hh"), (faults.missing_update_carry, "initial h")]
IN_LSTM = [(faults.missing_carry, "W_hh"), (faults.missing_carry, "initial c")]


@pytest.mark.parametrize("inputs", INPUT_KINDS)
@pytest.mark.parametrize(
    ("cell", "fault", "name"),
    [
        pytest.param(cell, fault, name, id=f"{type(cell).__name__} {fault.__name__} {name}")
        for cell, known in (
            (TANH, IN_EVERY_CELL),
            (GATED, IN_EVERY_CELL + IN_LSTM),
            (RESET, IN_EVERY_CELL + IN_GRU),
        )
        for fault, name in known
    ],
)
def test_a_wrong_gradient_is_detected(cell, fault, name, inputs):
    case = build(cell, inputs=inputs)
    assert projection_errors(case, fault(case))[name] > 1000 * TOLERANCE


def test_a_fault_in_one_gradient_is_not_attributed_to_another():
    case = build(GATED)
    errors = projection_errors(case, faults.off_by_one_in_time(case))
    assert [name for name, error in errors.items() if error > TOLERANCE] == ["W_hh"]


def test_stepwise_backward_passes_are_right_where_nothing_is_dropped():
    """The faults come from the dropped terms, not from the step-by-step loop."""
    for cell in (TANH, GATED, RESET):
        case = build(cell, inputs="vectors")
        errors = projection_errors(case, faults.step_by_step(case, carried=cell.states))
        assert max(errors.values()) <= TOLERANCE
