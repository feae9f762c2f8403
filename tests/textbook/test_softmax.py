import numpy as np
import pytest

from rnnlab.gradcheck.derivatives import complex_step
from rnnlab.losses import losses_and_gradients
from rnnlab.textbook import softmax
from rnnlab.workspace import Workspace
from tests.textbook.core import CLASSES, normal

A = normal(np.random.default_rng(0), CLASSES)
Y = np.eye(CLASSES)[2]


def test_softmax_jacobian_is_the_derivative_of_every_output_by_every_input():
    S, D = softmax.softmax(A), softmax.jacobian(softmax.softmax(A))
    for i in range(CLASSES):
        for j in range(CLASSES):
            step = np.eye(CLASSES)[j]
            derivative = complex_step(lambda s, i=i, step=step: complex(softmax.softmax(A + s * step)[i]))
            assert D[i, j] == pytest.approx(derivative, rel=1e-13)
    np.testing.assert_allclose(D.sum(axis=0), 0, atol=1e-16)  # probabilities always sum to one
    assert S.sum() == pytest.approx(1)


def test_cross_entropy_gradient_through_the_jacobian_equals_the_core():
    S = softmax.softmax(A)
    losses, do = losses_and_gradients("cross_entropy", A[:, None], np.array([2]), Workspace())
    np.testing.assert_allclose(softmax.gradient_through_the_jacobian(S, Y), do[:, 0], rtol=1e-13)
    np.testing.assert_allclose(softmax.gradient(S, Y), do[:, 0], rtol=1e-13)
    assert softmax.cross_entropy(S, Y) == pytest.approx(losses[0], rel=1e-13)


def test_closed_form_needs_targets_that_sum_to_one():
    S, soft = softmax.softmax(A), np.array([0.2, 0.5, 0.3, 0.0])
    np.testing.assert_allclose(
        softmax.gradient_through_the_jacobian(S, soft), softmax.gradient(S, soft), rtol=1e-13
    )
    twice = softmax.gradient_through_the_jacobian(S, 2 * soft)
    assert np.abs(twice - softmax.gradient(S, 2 * soft)).max() > 0.1


def test_large_logits_do_not_overflow():
    np.testing.assert_array_equal(softmax.softmax(np.array([1e4, 0.0, -1e4])), [1.0, 0.0, 0.0])
