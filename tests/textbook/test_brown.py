import numpy as np
import pytest

from rnnlab.gradcheck.derivatives import complex_step
from rnnlab.textbook import brown
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

NAMES = {"U": "W_xh", "W": "W_hh", "V": "W_hy"}


@pytest.fixture
def sequence():
    rng = np.random.default_rng(0)
    shapes = {"U": (UNITS, INPUTS), "W": (UNITS, UNITS), "V": (CLASSES, UNITS)}
    weights = {name: normal(rng, *shape) for name, shape in shapes.items()}
    y = np.eye(CLASSES)[rng.integers(0, CLASSES, STEPS)]
    return weights, normal(rng, STEPS, INPUTS), y, normal(rng, UNITS)


def core(sequence, reduction="mean", steps=slice(None)):
    weights, x, y, s_before = sequence
    params = {NAMES[name]: value for name, value in weights.items()}
    targets = y.argmax(axis=1)[steps, None]
    return run(vanilla(False, reduction), params, columns(x), targets, s_before[:, None])


def test_brown_sum_over_jacobian_products_equals_bptt(sequence):
    weights, x, y, s_before = sequence
    s, y_hat = brown.forward(weights, x, s_before)
    tape, grads, _ = core(sequence)
    assert brown.loss(y, y_hat) == pytest.approx(tape.loss, rel=1e-13)
    gradients = brown.gradients(weights, x, y, s, y_hat)
    assert_same({NAMES[name]: value for name, value in gradients.items()}, grads)


def test_brown_gradients_are_the_derivatives_of_its_loss(sequence):
    weights, x, y, s_before = sequence
    assert_derivatives(
        lambda at: brown.loss(y, brown.forward(at, x, s_before)[1]).item(),
        weights,
        brown.gradients(weights, x, y, *brown.forward(weights, x, s_before)),
    )


def test_brown_gradient_of_V_is_an_outer_product(sequence):
    """The gradient is that of a single E_t; in rnnlab, that of the loss at the last time step."""
    weights, x, y, s_before = sequence
    s, y_hat = brown.forward(weights, x, s_before)
    _, grads, _ = core(sequence, steps=slice(-1, None))
    np.testing.assert_allclose(brown.gradient_of_V(y[-1], y_hat[-1], s[-1]), grads["W_hy"], rtol=1e-12)


@pytest.mark.parametrize(("t", "r"), [(4, 1), (5, -1), (3, 2), (2, 2)])
def test_brown_jacobian_product_is_the_derivative_of_a_state_by_an_earlier_one(sequence, t, r):
    weights, x, _, s_before = sequence
    s, _ = brown.forward(weights, x, s_before)
    product = brown.jacobian_product(weights, s, t, r)
    for n in range(UNITS):
        for m in range(UNITS):

            def s_tm(step, n=n, m=m):
                later, _ = brown.forward(weights, x[r + 1 : t + 1], s[r + 1] + step * np.eye(UNITS)[n])
                return complex(later[-1][m])

            assert product[m, n] == pytest.approx(complex_step(s_tm), rel=1e-12, abs=1e-300)


@pytest.mark.parametrize("of", ["W", "U"])
def test_brown_each_term_of_the_sum_is_what_the_matrix_does_at_one_step(sequence, of):
    """If every time step r had its own matrix, term r would be its gradient; in rnnlab, dz[r] ⊗ operand."""
    weights, x, y, s_before = sequence
    s, y_hat = brown.forward(weights, x, s_before)
    t = STEPS - 1
    terms = brown.terms(weights, x, y[t], s, y_hat[t], t, of)
    _, _, deltas = core(sequence, steps=slice(-1, None))
    assert len(terms) == STEPS
    for r, term in enumerate(terms):
        operand = s[r] if of == "W" else x[r]
        np.testing.assert_allclose(term, np.outer(deltas.dz[r, :, 0], operand), rtol=1e-12, atol=1e-15)


def test_brown_immediate_derivative_holds_the_state_before_constant(sequence):
    weights, x, _, s_before = sequence
    s, _ = brown.forward(weights, x, s_before)
    direction = normal(np.random.default_rng(3), UNITS, UNITS)
    derivative = brown.immediate(s[3], s[2])
    for n in range(UNITS):

        def s_rn(step, n=n):
            return complex(np.tanh(weights["U"] @ x[2] + (weights["W"] + step * direction) @ s[2])[n])

        assert np.sum(derivative[n] * direction) == pytest.approx(complex_step(s_rn), rel=1e-12)
