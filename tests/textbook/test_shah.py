import numpy as np
import pytest

from rnnlab.textbook import shah
from tests.textbook.core import (
    CLASSES,
    INPUTS,
    STEPS,
    UNITS,
    assert_derivatives,
    assert_same,
    columns,
    normal,
    run,
    vanilla,
)

outputs = pytest.mark.parametrize("outputs", [1, STEPS], ids=["single output", "multiple outputs"])


@pytest.fixture
def sequence():
    rng = np.random.default_rng(0)
    shapes = {"W_hh": (UNITS, UNITS), "W_xh": (UNITS, INPUTS), "W_hy": (CLASSES, UNITS)}
    weights = {name: normal(rng, *shape) for name, shape in shapes.items()}
    return weights, normal(rng, STEPS, INPUTS), rng.integers(0, CLASSES, STEPS), normal(rng, UNITS)


@outputs
def test_shah_without_biases_equals_the_core(sequence, outputs):
    weights, x, classes, h_0 = sequence
    h, y = shah.forward(weights, x, h_0)
    correct = classes[-outputs:]
    gradients = shah.gradients(weights, x, h, y, correct)
    tape, grads, deltas = run(vanilla(bias=False), weights, columns(x), correct[:, None], h_0[:, None])
    assert shah.loss(y, correct) == pytest.approx(tape.loss, rel=1e-13)
    np.testing.assert_allclose(gradients.pop("h_0"), deltas.initial["h"][:, 0], rtol=1e-12)
    assert_same(gradients, grads)


@outputs
def test_shah_gradients_are_the_derivatives_of_its_loss(sequence, outputs):
    weights, x, classes, h_0 = sequence
    correct = classes[-outputs:]

    def loss(at):
        return shah.loss(shah.forward(at, x, at["h_0"])[1], correct).item()

    gradients = shah.gradients(weights, x, *shah.forward(weights, x, h_0), correct)
    assert_derivatives(loss, weights | {"h_0": h_0}, gradients)


def test_shah_later_losses_are_all_of_them_and_not_the_next_one_alone(sequence):
    """Equation 14 mentions time step t+1 only; with only the loss at t+1 in dh_{t+1}, the gradient is wrong."""
    weights, x, classes, h_0 = sequence
    h, y = shah.forward(weights, x, h_0)
    dy = shah.output_gradients(y, classes)
    e = [weights["W_hy"].T @ dy_t for dy_t in dy]
    two_losses = np.zeros_like(weights["W_hh"])
    for t in range(1, STEPS + 1):
        dh = e[t - 1].copy()
        if t < STEPS:
            dh += weights["W_hh"].T @ (e[t] * (1 - h[t + 1] ** 2))
        two_losses += np.outer(dh * (1 - h[t] ** 2), h[t - 1])
    right = shah.gradients(weights, x, h, y, classes)["W_hh"]
    assert np.abs(two_losses - right).max() > 0.01 * np.abs(right).max()
