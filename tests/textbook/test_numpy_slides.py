"""Tests with the sizes of the slides: 3 inputs, 5 units, 2 outputs, 10 columns."""

import numpy as np
import pytest

from rnnlab.cells import Vanilla
from rnnlab.textbook import numpy_slides as slides
from tests.textbook.core import STEPS, assert_derivatives, assert_same, network, normal, run

N_X, N_A, N_Y, M = 3, 5, 2, 10
NAMES = {"Wax": "W_xh", "Waa": "W_hh", "Wya": "W_hy", "ba": "b_h", "by": "b_y"}
CELL = Vanilla(N_X, N_A, "tanh", bias=True)


@pytest.fixture
def parameters():
    rng = np.random.default_rng(1)
    shapes = {"Waa": (N_A, N_A), "Wax": (N_A, N_X), "Wya": (N_Y, N_A), "ba": (N_A, 1), "by": (N_Y, 1)}
    return {name: normal(rng, *shape) for name, shape in shapes.items()}


def in_our_letters(parameters):
    return {NAMES[name]: value for name, value in parameters.items()}


def test_numpy_slides_cell_equals_a_step_of_the_core(parameters):
    rng = np.random.default_rng(2)
    xt, a_prev, da_next = normal(rng, N_X, M), normal(rng, N_A, M), normal(rng, N_A, M)
    a_next, yt_pred, cache = slides.rnn_cell_forward(xt, a_prev, parameters)
    gradients = slides.rnn_cell_backward(da_next, cache)
    params = in_our_letters(parameters)
    step = CELL.step(params, xt, {"h": a_prev})
    back = CELL.step_backward(params, step, {"h": da_next})
    np.testing.assert_allclose(a_next, step.after["h"], rtol=1e-12)
    np.testing.assert_allclose(yt_pred.sum(axis=0), 1, rtol=1e-12)
    np.testing.assert_allclose(gradients.pop("dxt"), back.dx, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(gradients.pop("da_prev"), back.deltas.before["h"], rtol=1e-12, atol=1e-14)
    assert_same({NAMES[name[1:]]: value for name, value in gradients.items()}, back.grads)


def test_numpy_slides_network_as_the_cell_repeated_equals_the_core(parameters):
    rng = np.random.default_rng(3)
    x, a0, labels = normal(rng, STEPS, N_X, M), normal(rng, N_A, M), rng.integers(0, N_Y, (STEPS, M))
    states, y_pred, caches = slides.rnn_forward(x, a0, parameters)
    outputs = [
        slides.output_backward(p - np.eye(N_Y)[label].T, a, parameters)
        for p, label, a in zip(y_pred, labels, states, strict=True)
    ]
    gradients = slides.rnn_backward(np.stack([step["da"] for step in outputs]), caches)
    for name in ("dWya", "dby"):
        gradients[name] = sum(step[name] for step in outputs)
    tape, grads, deltas = run(network(CELL, N_Y, bias=True), in_our_letters(parameters), x, labels, a0)
    np.testing.assert_allclose(np.stack(states), tape.cell.states["h"][1:], rtol=1e-12)
    np.testing.assert_allclose(gradients.pop("dx"), M * deltas.dx, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(gradients.pop("da0"), M * deltas.initial["h"], rtol=1e-12, atol=1e-14)
    assert_same(
        {NAMES[name[1:]]: value for name, value in gradients.items()},
        {name: M * grad for name, grad in grads.items()},
    )


def test_numpy_slides_gradients_are_the_derivatives_of_a_loss(parameters):
    rng = np.random.default_rng(4)
    x, a0, da = normal(rng, STEPS, N_X, M), normal(rng, N_A, M), normal(rng, STEPS, N_A, M)
    _, _, caches = slides.rnn_forward(x, a0, parameters)
    gradients = slides.rnn_backward(da, caches)
    renamed = {"dx": "x", "da0": "a0", "dWax": "Wax", "dWaa": "Waa", "dba": "ba"}
    cell = {name: parameters[name] for name in ("Wax", "Waa", "ba")}

    def loss(at):
        states, _, _ = slides.rnn_forward(at["x"], at["a0"], parameters | {name: at[name] for name in cell})
        return np.sum(da * np.stack(states)).item()

    assert_derivatives(
        loss, cell | {"x": x, "a0": a0}, {renamed[name]: value for name, value in gradients.items()}
    )


def test_numpy_slides_slope_belongs_to_the_new_state(parameters):
    """The slides print ∂a⁽ᵗ⁾/∂a⁽ᵗ⁻¹⁾ with x⁽ᵗ⁻¹⁾ in the slope, which is not the derivative."""
    rng = np.random.default_rng(5)
    x, a_prev, da_next = normal(rng, 2, N_X, M), normal(rng, N_A, M), normal(rng, N_A, M)
    _, _, cache = slides.rnn_cell_forward(x[1], a_prev, parameters)
    right = slides.rnn_cell_backward(da_next, cache)["da_prev"]
    at_wrong_step = np.tanh(parameters["Wax"] @ x[0] + parameters["Waa"] @ a_prev + parameters["ba"])
    as_printed = parameters["Waa"].T @ ((1 - at_wrong_step**2) * da_next)
    assert np.abs(as_printed - right).max() > 0.1
