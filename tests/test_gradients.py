"""Comparison of every gradient of the whole model with three independent oracles."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.oracles.cases import (
    INPUT_KINDS,
    LOSSES,
    MASKS,
    REDUCTIONS,
    STARTS,
    build,
    cell_id,
    every_cell,
    with_mask,
)
from tests.oracles.equations import STEPS, differentiate
from tests.oracles.projection import TOLERANCE, complex_step_errors, projection_errors
from tests.thorough import covering

cells = pytest.mark.parametrize("cell", every_cell(), ids=cell_id)
losses = pytest.mark.parametrize("loss", LOSSES)
masks = pytest.mark.parametrize("mask", MASKS)


@pytest.mark.parametrize(("start", "loss", "mask"), covering(STARTS, LOSSES, list(MASKS)))
@cells
def test_gradients_equal_numerical_derivatives(cell, start, loss, mask):
    """Finite differences require ten evaluations per variable, and check one combination of the others in turn."""
    pairs = list(product(REDUCTIONS, INPUT_KINDS))
    turn = (LOSSES.index(loss) + STARTS.index(start) + list(MASKS).index(mask)) % len(pairs)
    for number, (reduction, inputs) in enumerate(pairs):
        case = build(cell, reduction, mask, inputs, loss=loss, start=start)
        gradients = case.gradients()
        errors = complex_step_errors(case, gradients)
        assert max(errors.values()) <= 1e-12, (reduction, inputs, errors)
        if number == turn:
            errors = projection_errors(case, gradients)
            assert max(errors.values()) <= TOLERANCE, (reduction, inputs, errors)


@masks
@losses
@cells
def test_gradients_and_deltas_equal_automatic_differentiation(cell, loss, mask):
    if type(cell) not in STEPS:
        pytest.skip("no second oracle has this cell's equations")
    for reduction, inputs in product(REDUCTIONS, INPUT_KINDS):
        _assert_equal_automatic_differentiation(build(cell, reduction, mask, inputs, loss=loss))


@settings(max_examples=150)
@given(data=st.data())
def test_gradients_and_deltas_at_any_size_and_mask(data):
    """The sizes include 1 for each dimension."""
    time, batch, inputs, hidden = (data.draw(st.integers(1, 4)) for _ in range(4))
    cell = data.draw(st.sampled_from([cell for cell in every_cell() if type(cell) in STEPS]))
    sized = replace(cell, input_size=inputs, hidden_size=hidden)
    choices = {
        "reduction": data.draw(st.sampled_from(REDUCTIONS)),
        "inputs": data.draw(st.sampled_from(INPUT_KINDS)),
        "loss": data.draw(st.sampled_from(LOSSES)),
        "start": data.draw(st.sampled_from(STARTS)),
        "outputs": data.draw(st.integers(1, time)),
    }
    case = build(sized, time=time, batch=batch, **choices)
    present = data.draw(arrays(bool, (choices["outputs"], batch)))
    _assert_equal_automatic_differentiation(with_mask(case, present))


def test_an_example_without_targets_has_no_gradient():
    for cell in every_cell():
        case = build(cell, mask="one example without")
        _, deltas = case.model.backward(case.params, case.forward())
        for state in cell.states:
            assert not deltas.total[state][:, :, 1].any()
            assert not deltas.initial[state][:, 1].any()
            assert deltas.initial[state][:, 0].any()


def _assert_equal_automatic_differentiation(case):
    loss, gradients, pushes = differentiate(case)
    tape = case.forward()
    _, deltas = case.model.backward(case.params, tape)

    assert tape.loss == pytest.approx(loss, rel=1e-13)
    _assert_all_close(case.gradients(), gradients)
    for state in case.model.cell.states:
        immediate = pushes[f"read_{state}"]
        adjoint = pushes["next_h"] + immediate if state == "h" else pushes[f"next_{state}"]
        _assert_close(deltas.total[state], pushes[state], f"total {state}")
        _assert_close(deltas.immediate[state], immediate, f"immediate {state}")
        _assert_close(deltas.adjoint[state], adjoint, f"adjoint {state}")
    _assert_close(deltas.dz, pushes["z"], "dz")


def _assert_all_close(actual, expected):
    assert set(actual) == set(expected)
    for name in expected:
        _assert_close(actual[name], expected[name], name)


def _assert_close(actual, expected, name):
    np.testing.assert_allclose(actual, expected, rtol=1e-11, atol=1e-15, err_msg=name)
