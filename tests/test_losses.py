import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rnnlab.losses import losses_and_gradients, step_weights, uniform_guess_loss
from rnnlab.workspace import Workspace


def loss_and_gradient(logits, targets):
    return losses_and_gradients("cross_entropy", np.asarray(logits), np.asarray(targets), Workspace())


def test_by_hand():
    """The probabilities are (1/4, 3/4) and (1/2, 1/2)."""
    losses, do = loss_and_gradient([[0.0, 7.0], [np.log(3), 7.0]], [0, 1])
    np.testing.assert_allclose(losses, [np.log(4), np.log(2)])
    np.testing.assert_allclose(do, [[-0.75, 0.5], [0.75, -0.5]])


@given(
    arrays(np.float64, (4, 3), elements=st.floats(-30, 30)), arrays(np.int64, 3, elements=st.integers(0, 3))
)
def test_gradient_is_p_minus_onehot(logits, targets):
    losses, do = loss_and_gradient(logits, targets)
    p = np.exp(logits) / np.exp(logits).sum(axis=0)
    onehot = np.eye(4)[:, targets]
    np.testing.assert_allclose(do, p - onehot, atol=1e-13)
    np.testing.assert_allclose(losses, -np.log((p * onehot).sum(axis=0)), atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_is_stable_for_logits_of_any_size(dtype):
    logits = np.array([[1e4, 1e4, -1e4], [-1e4, -1e4, -1e4]], dtype)
    losses, do = loss_and_gradient(logits, [0, 1, 0])
    np.testing.assert_allclose(losses, [0, 2e4, np.log(2)], rtol=1e-6)
    np.testing.assert_allclose(do, [[0, 1, -0.5], [0, -1, 0.5]])
    assert losses.dtype == do.dtype == dtype


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
def test_does_not_change_the_outputs(loss):
    outputs = np.ones((2, 2))
    losses_and_gradient = losses_and_gradients(loss, outputs, np.array([0, 1]), Workspace())
    assert (losses_and_gradient[1] != 1).any()
    np.testing.assert_array_equal(outputs, 1.0)


def test_squared_error_by_hand():
    outputs = np.array([[1.0, 0.5], [3.0, -0.5]])
    losses, do = losses_and_gradients(
        "squared_error", outputs, np.array([[0.0, 1.0], [1.0, 1.0]]), Workspace()
    )
    np.testing.assert_array_equal(losses, [2.5, 1.25])
    np.testing.assert_array_equal(do, [[1.0, -0.5], [2.0, -1.5]])


def test_squared_error_of_classes_is_that_of_one_hot_targets():
    rng = np.random.default_rng(0)
    outputs, classes = rng.standard_normal((4, 6)), rng.integers(0, 4, 6)
    by_class = losses_and_gradients("squared_error", outputs, classes, Workspace())
    by_value = losses_and_gradients("squared_error", outputs, np.eye(4)[:, classes], Workspace())
    for actual, expected in zip(by_class, by_value, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-15)


@pytest.mark.parametrize(
    ("loss", "guess"), [("cross_entropy", np.zeros(5)), ("squared_error", np.full(5, 1 / 5))]
)
def test_the_uniform_guess_has_its_loss(loss, guess):
    losses, _ = losses_and_gradients(loss, guess[:, None], np.array([3]), Workspace())
    assert losses[0] == pytest.approx(uniform_guess_loss(loss, 5))


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
@pytest.mark.parametrize("targets", [[0, 3], [-1, 0]])
def test_refuses_targets_that_are_not_classes(loss, targets):
    with pytest.raises(ValueError, match=r"y: targets must be in \[0, 3\), got values from"):
        losses_and_gradients(loss, np.zeros((3, 2)), np.array(targets), Workspace())


MASK = np.array([[1, 0, 0], [1, 0, 1], [1, 0, 0], [0, 0, 1]], dtype=bool)


def test_weights_of_the_mean_are_one_over_batch_times_targets_of_the_example():
    np.testing.assert_allclose(
        step_weights(MASK, 4, 3, "mean"),
        np.array([[1 / 3, 0, 0], [1 / 3, 0, 1 / 2], [1 / 3, 0, 0], [0, 0, 1 / 2]]) / 3,
    )
    np.testing.assert_allclose(step_weights(None, 4, 3, "mean"), 1 / 12)


def test_weights_of_the_sum_are_one_over_batch():
    np.testing.assert_allclose(step_weights(MASK, 4, 3, "sum"), MASK / 3)
    np.testing.assert_allclose(step_weights(None, 4, 3, "sum"), 1 / 3)


@given(arrays(np.bool_, st.tuples(st.integers(1, 6), st.integers(1, 5))))
def test_weights_sum_to_the_share_of_examples_or_to_the_targets_per_example(mask):
    time, batch = mask.shape
    mean, total = step_weights(mask, time, batch, "mean"), step_weights(mask, time, batch, "sum")
    np.testing.assert_allclose(mean.sum(axis=0), mask.any(axis=0) / batch)
    np.testing.assert_allclose(total.sum(), mask.sum() / batch)


def test_a_single_target_has_weight_one_in_both():
    single = np.zeros((5, 1), dtype=bool)
    single[-1] = True
    for reduction in ("mean", "sum"):
        np.testing.assert_array_equal(step_weights(single, 5, 1, reduction), single)
