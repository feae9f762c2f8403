"""Tests of the estimate of a run's memory, array by array.

The sizes are H = 5 hidden units, B = 3 examples and T = 12 time steps in float32 (4 bytes). A numeric input is
drawn in float64 (8 bytes) and also stored in float32; a symbol input takes 8 bytes. The tests in
`tests/app/test_memory_limit.py` compare the estimate with runs.
"""

import pytest

from tests.app.test_options import experiment_of

SMALL = ("hidden_size=5", "batch_size=3", "seq_len=12", "steps=2")
ADDING = ("task=adding", "task.validation_examples=11")  # two numeric inputs, one output at the end
ORDER = (
    "task=temporal_order",
    "task.validation_examples=11",
)  # one of six symbols as input, one of four classes as output
LATCH = (
    "task=latch",
    "task.information=2",
    "task.validation_examples=11",
)  # a numeric input, one of two classes as output
NO_PROBE = ("probe=none",)


def memory(*overrides: str) -> dict[str, int]:
    return experiment_of(*SMALL, *overrides).memory


FORWARD = {
    "rnn": 1,  # h
    "lstm": 4 + 2 + 1,  # gates, states and tanh c
    "gru": 2 + 2 + 1,  # gates, both parts of the candidate and h
}
"""Number of arrays of H units per time step in a forward pass."""
BACKWARD = {
    "rnn": 1 + 1 + 1,  # dh, dz and the mask of the losses
    "lstm": 2 + 4 + 2 + 1 + 1,  # adjoints, dz, total and immediate dc, the path from dh to dc, the mask
    "gru": 1 + 4 + 1,  # dh, dz and da, the mask
}


def gates_and_states(cell: str) -> int:
    """Return the bytes per time step of one example in a forward pass."""
    return 4 * 5 * FORWARD[cell]


def both_ways(cell: str) -> int:
    """Return the bytes per time step of one example in a forward and a backward pass."""
    return 4 * 5 * (FORWARD[cell] + BACKWARD[cell])


CELLS = [("rnn", 1), ("lstm", 2), ("gru", 1)]


@pytest.mark.parametrize(("cell", "states"), CELLS)
def test_a_training_step_keeps_inputs_gates_states_and_outputs(cell: str, states: int) -> None:
    numbers = memory(f"cell={cell}", *ADDING, *NO_PROBE)
    of_step = both_ways(cell) + 2 * (4 + 8)
    assert numbers["training step"] == 3 * (12 * of_step + 4 * (5 + 3 * 1))
    symbols = memory(f"cell={cell}", *ORDER, *NO_PROBE)
    assert symbols["training step"] == 3 * (12 * (both_ways(cell) + 8) + 4 * (5 + 3 * 4))


def test_outputs_at_every_step_are_counted_at_every_step() -> None:
    copied = memory("cell=rnn", "task=copy", "task.validation_examples=11", *NO_PROBE)
    time = 12 + 20  # ten more symbols before and after the delay, and ten classes
    assert copied["training step"] == 3 * time * (both_ways("rnn") + 8 + 4 * (5 + 3 * 9))


@pytest.mark.parametrize(("cell", "states"), CELLS)
def test_validation_keeps_the_whole_set_and_a_forward_pass(cell: str, states: int) -> None:
    numbers = memory(f"cell={cell}", *ADDING, *NO_PROBE)
    of_pass = 12 * (gates_and_states(cell) + 2 * (4 + 8)) + 4 * (5 + 3 * 1)
    assert numbers["validation"] == 11 * 12 * 2 * (4 + 8) + 11 * of_pass
    symbols = memory(f"cell={cell}", *ORDER, *NO_PROBE)
    of_pass = 12 * (gates_and_states(cell) + 8) + 4 * (5 + 3 * 4)
    assert symbols["validation"] == 11 * 12 + 11 * of_pass  # stored in one byte each


@pytest.mark.parametrize(("optimizer", "copies"), [("sgd", 8), ("rmsprop", 9), ("adam", 10)])
def test_the_estimate_counts_each_copy_of_the_weights(optimizer: str, copies: int) -> None:
    weights = 5 * (5 + 2 + 1) + 5 + 1
    unmeasured = memory("cell=rnn", *ADDING, f"optimizer={optimizer}", *NO_PROBE)
    assert unmeasured["weights"] == 4 * copies * weights
    measured = memory("cell=rnn", *ADDING, f"optimizer={optimizer}")
    assert measured["weights"] == 4 * (copies + 3) * weights


@pytest.mark.parametrize(("cell", "states"), CELLS)
def test_a_probe_needs_the_memory_that_its_measurements_need(cell: str, states: int) -> None:
    n, of_input, of_output = 5 * states, 4 + 8, 4 * (5 + 3 * 2)
    lag_curves = 7 * (12 * (both_ways(cell) + of_input) + of_output)
    run = 40 + 2 * 10  # five times the length of a sequence, with proportionally more outputs
    lyapunov = run * (gates_and_states(cell) + of_input) + 5 * of_output + 2 * 8 * 40 * 3
    jacobians = 2 * 8 * (6 * n * n + 5 * 2 * FORWARD[cell] * states)
    probe = (f"cell={cell}", *LATCH, "probe.examples=7")
    assert memory(*probe)["probe"] == lag_curves
    full = (*probe, "probe=full", "probe.measurements.lyapunov.steps=40")
    full += ("probe.measurements.lyapunov.warm_up=10", "probe.measurements.lyapunov.exponents=3")
    full += ("probe.measurements.jacobians.examples=2",)
    assert memory(*full)["probe"] == lag_curves + lyapunov + jacobians
    assert memory(*probe, "probe.length=24")["probe"] == 2 * lag_curves
