"""Initial states of sequences: zero, read from a file, random, learned."""

from dataclasses import replace

import numpy as np
import pytest

from rnnlab.initial_states import Given, Learned, Normal, Zero
from rnnlab.model import Batch
from tests.oracles.cases import BATCH, GATED, HIDDEN, NORMAL, RESET, TANH, build, cell_id

cells = pytest.mark.parametrize("cell", [TANH, GATED, RESET], ids=cell_id)


def starting(cell, initial_state, **choices):
    case = build(cell, **choices)
    model = replace(case.model, initial_state=initial_state)
    params = model.init_params(np.random.default_rng(0), NORMAL, np.float64)
    return replace(case, model=model, params=params, initial=None)


def start_of(tape):
    return {name: values[0] for name, values in tape.cell.states.items()}


@cells
def test_zero_is_the_default_of_a_cell(cell):
    case = starting(cell, Zero())
    assert not any(state.any() for state in start_of(case.forward()).values())
    assert set(case.params) == {*cell.param_shapes(), "W_hy", "b_y"}


@cells
def test_normal_is_drawn_anew_for_every_sequence(cell):
    case = starting(cell, Normal(0.3), batch=400)
    rng = np.random.default_rng(0)
    first, second = (start_of(case.model.forward(case.params, case.batch, rng=rng)) for _ in range(2))
    for name in cell.states:
        assert first[name].std() == pytest.approx(0.3, rel=0.1)
        assert (first[name] != second[name]).all()
        assert abs(np.corrcoef(first[name])[0, 1]) < 0.2  # units and examples are independent
    if cell is GATED:
        assert (first["h"] != first["c"]).all()
    assert set(case.params) == {*cell.param_shapes(), "W_hy", "b_y"}


def test_normal_needs_a_generator():
    with pytest.raises(
        ValueError, match="rng=None: a random initial state requires a random number generator"
    ):
        starting(TANH, Normal(1.0)).forward()


@cells
def test_a_given_initial_state_is_the_same_in_every_sequence(cell, tmp_path):
    states = {name: np.random.default_rng(1).standard_normal(HIDDEN) for name in cell.states}
    np.savez(tmp_path / "states.npz", **states)
    tape = starting(cell, Given(str(tmp_path / "states.npz"))).forward()
    for name, state in states.items():
        np.testing.assert_array_equal(start_of(tape)[name], np.repeat(state[:, None], BATCH, axis=1))


@cells
def test_learned_is_a_parameter_with_one_column_for_all(cell):
    case = starting(cell, Learned(0.7))
    assert {f"{name}_0" for name in cell.states} == set(case.params) - {*cell.param_shapes(), "W_hy", "b_y"}
    tape = case.forward()
    for name in cell.states:
        assert case.params[f"{name}_0"].any()
        np.testing.assert_array_equal(
            start_of(tape)[name], np.repeat(case.params[f"{name}_0"], BATCH, axis=1)
        )


@cells
def test_learned_does_not_change_the_draws_of_the_other_parameters(cell):
    plain, learned = (starting(cell, choice).params for choice in (Zero(), Learned(1.0)))
    for name, value in plain.items():
        np.testing.assert_array_equal(learned[name], value)


@cells
def test_learned_gets_no_gradient_from_a_sequence_that_continues_another(cell):
    case = starting(cell, Learned(0.7))
    carried = case.forward().cell.final_states()
    grads, deltas = case.model.backward(case.params, case.model.forward(case.params, case.batch, carried))
    for name in cell.states:
        assert deltas.initial[name].any()
        np.testing.assert_array_equal(grads[f"{name}_0"], np.zeros((HIDDEN, 1)))


def test_a_given_state_replaces_the_initial_state_of_the_model():
    case = starting(TANH, Learned(0.7))
    own = {"h": np.full((HIDDEN, BATCH), 0.25)}
    tape = case.model.forward(case.params, Batch(case.batch.x, case.batch.y), own)
    np.testing.assert_array_equal(start_of(tape)["h"], own["h"])
