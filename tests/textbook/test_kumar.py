import numpy as np
import pytest

from rnnlab.clipping import Clipping
from rnnlab.model import Batch
from rnnlab.optimizers import AdaGrad
from rnnlab.textbook import kumar
from tests.textbook.core import (
    CLASSES,
    COLUMNS,
    INPUTS,
    STEPS,
    UNITS,
    assert_derivatives,
    assert_same,
    normal,
    run,
    vanilla,
)

NAMES = {"u": "W_xh", "w": "W_hh", "v": "W_hy", "bh": "b_h", "by": "b_y"}
MODEL = vanilla(bias=True)


def weights_of(rng):
    shapes = {"u": (UNITS, INPUTS), "w": (UNITS, UNITS), "v": (CLASSES, UNITS), "bh": (UNITS, 1)}
    return {name: normal(rng, *shape) for name, shape in (shapes | {"by": (CLASSES, 1)}).items()}


def in_our_letters(kumars):
    return {NAMES[name]: value.copy() for name, value in kumars.items()}


@pytest.fixture
def chunk():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, (STEPS, COLUMNS))
    return weights_of(rng), normal(rng, STEPS, INPUTS, COLUMNS), labels, normal(rng, UNITS, COLUMNS)


def test_kumar_single_step_gradients_are_outer_products(chunk):
    weights, xs, labels, state = chunk
    x, h_before, y = xs[0, :, 0], state[:, 0], np.eye(CLASSES)[labels[0, 0]]
    gradients = kumar.single_step_gradients(weights, x, h_before, y)
    _, grads, deltas = run(MODEL, in_our_letters(weights), xs[:1, :, :1], labels[:1, :1], state[:, :1])
    for name in ("v", "u", "w"):
        np.testing.assert_allclose(gradients[name], grads[NAMES[name]], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(gradients["h_before"], deltas.initial["h"][:, 0], rtol=1e-12)

    def loss(at):
        _, ps = kumar.forward(weights | {k: at[k] for k in "vuw"}, xs[:1, :, :1], at["h_before"][:, None])
        return kumar.loss(ps, labels[:1, :1]).item()

    assert_derivatives(loss, {k: weights[k] for k in "vuw"} | {"h_before": h_before}, gradients)


def test_kumar_backpropagation_through_a_chunk_equals_the_core(chunk):
    weights, xs, labels, state = chunk
    hs, ps = kumar.forward(weights, xs, state)
    gradients = kumar.backward(weights, xs, labels, hs, ps)
    tape, grads, _ = run(MODEL, in_our_letters(weights), xs, labels, state)
    # rnnlab's loss is a mean over the columns
    assert kumar.loss(ps, labels) == pytest.approx(COLUMNS * tape.loss, rel=1e-13)
    np.testing.assert_allclose(np.stack(hs), tape.cell.states["h"], rtol=1e-12, atol=1e-14)
    assert_same(in_our_letters(gradients), {name: COLUMNS * grad for name, grad in grads.items()})


def test_kumar_gradients_are_the_derivatives_of_its_loss(chunk):
    weights, xs, labels, state = chunk
    hs, ps = kumar.forward(weights, xs, state)
    assert_derivatives(
        lambda at: kumar.loss(kumar.forward(at, xs, state)[1], labels).item(),
        weights,
        kumar.backward(weights, xs, labels, hs, ps),
    )


def test_kumar_clip_by_value_equals_the_core(chunk):
    weights, *_ = chunk
    clipped, grads = kumar.clip(weights, 0.5), in_our_letters(weights)
    assert Clipping(0.5, "value").apply(grads).clipped
    assert_same(in_our_letters(clipped), grads)
    assert max(np.abs(value).max() for value in clipped.values()) == 0.5
    assert_same(kumar.clip({"u": np.array([-7.0, 4.0, 6.0])}), {"u": np.array([-5.0, 4.0, 5.0])})


def test_kumar_training_with_clip_adagrad_and_carried_state_equals_the_core():
    """Compare five updates on consecutive chunks of a stream with one column."""
    rng = np.random.default_rng(1)
    weights, chunks = weights_of(rng), []
    for _ in range(5):
        chunks.append((normal(rng, STEPS, INPUTS, 1), rng.integers(0, CLASSES, (STEPS, 1))))
    params, bound, lr = in_our_letters(weights), 0.4, 0.1
    losses = kumar.train(weights, iter(chunks), lr, bound)

    optimizer, clipping = AdaGrad(lr, epsilon=1e-8), Clipping(bound, "value")
    state, carried, clipped = optimizer.init(params), None, []
    for (xs, labels), loss in zip(chunks, losses, strict=True):
        tape = MODEL.forward(params, Batch(xs, labels), carried)
        grads, _ = MODEL.backward(params, tape)
        clipped.append(clipping.apply(grads).clipped)
        optimizer.update(params, grads, state)
        carried = tape.cell.final_states()
        assert tape.loss == pytest.approx(loss, rel=1e-12)
    assert all(clipped) and carried["h"].any()
    assert_same(in_our_letters(weights), params)
