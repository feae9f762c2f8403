import numpy as np
import pytest

from rnnlab.cells import LSTM
from rnnlab.textbook import goodfellow
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

NAMES = {"U": "W_xh", "W": "W_hh", "V": "W_hy", "b": "b_h", "c": "b_y"}
OUR_GATES = {"g": "", "i": "g", "f": "f", "o": "o"}
"""Superscripts in the note by gate name in rnnlab; the note's g is the input gate."""


@pytest.fixture
def sequence():
    rng = np.random.default_rng(0)
    shapes = {
        "b": (UNITS,),
        "W": (UNITS, UNITS),
        "U": (UNITS, INPUTS),
        "c": (CLASSES,),
        "V": (CLASSES, UNITS),
    }
    p = {name: normal(rng, *shape) for name, shape in shapes.items()}
    return p, normal(rng, STEPS, INPUTS), rng.integers(0, CLASSES, STEPS), normal(rng, UNITS)


def in_our_letters(p):
    return {NAMES[name]: value[:, None] if value.ndim == 1 else value for name, value in p.items()}


def test_goodfellow_rnn_summed_over_time_equals_the_core(sequence):
    p, x, y, h0 = sequence
    h, y_hat = goodfellow.rnn_forward(p, x, h0)
    gradients = goodfellow.rnn_gradients(p, x, y, h, y_hat)
    tape, grads, deltas = run(vanilla(bias=True), in_our_letters(p), columns(x), y[:, None], h0[:, None])
    assert goodfellow.rnn_loss(y_hat, y) == pytest.approx(tape.loss, rel=1e-13)
    np.testing.assert_allclose(gradients.pop("h0"), deltas.initial["h"][:, 0], rtol=1e-12)
    assert_same(in_our_letters(gradients), grads)


def test_goodfellow_rnn_gradients_are_the_derivatives_of_its_loss(sequence):
    p, x, y, h0 = sequence

    def loss(at):
        return goodfellow.rnn_loss(goodfellow.rnn_forward(at, x, at["h0"])[1], y).item()

    assert_derivatives(
        loss, p | {"h0": h0}, goodfellow.rnn_gradients(p, x, y, *goodfellow.rnn_forward(p, x, h0))
    )


CELL = LSTM(INPUTS, UNITS, "sigmoid", bias=True, forget_bias=0.0)


@pytest.fixture
def gated():
    rng = np.random.default_rng(1)
    p = {}
    for k in goodfellow.GATES:
        p |= {
            f"b{k}": normal(rng, UNITS),
            f"U{k}": normal(rng, UNITS, INPUTS),
            f"W{k}": normal(rng, UNITS, UNITS),
        }
    return p, normal(rng, STEPS, INPUTS), normal(rng, UNITS), normal(rng, UNITS), normal(rng, STEPS, UNITS)


def lstm_in_our_letters(p):
    def stacked(letter):
        return np.concatenate([p[f"{letter}{OUR_GATES[gate]}"] for gate in CELL.gates])

    return {"W_xh": stacked("U"), "W_hh": stacked("W"), "b_h": stacked("b")[:, None]}


def test_goodfellow_lstm_with_sigmoid_candidate_equals_the_core(gated):
    p, x, h0, s0, e = gated
    out = goodfellow.lstm_forward(p, x, h0, s0)
    gradients, grad_h, grad_s = goodfellow.lstm_gradients(p, x, out, e)
    cell = CELL
    params = lstm_in_our_letters(p)
    tape = cell.forward(params, columns(x), {"h": h0[:, None], "c": s0[:, None]})
    deltas = cell.backward(params, tape, columns(e))
    for theirs, ours in (("h", "h"), ("s", "c")):
        np.testing.assert_allclose(np.stack(out[theirs]), tape.states[ours][:, :, 0], rtol=1e-12)
        np.testing.assert_allclose(gradients.pop(f"{theirs}0"), deltas.initial[ours][:, 0], rtol=1e-12)
    np.testing.assert_allclose(np.stack(grad_h), deltas.total["h"][:, :, 0], rtol=1e-12)
    np.testing.assert_allclose(np.stack(grad_s), deltas.total["c"][:, :, 0], rtol=1e-12)
    assert_same(lstm_in_our_letters(gradients), deltas.grads)


def test_goodfellow_lstm_gradients_are_the_derivatives_of_a_loss(gated):
    p, x, h0, s0, e = gated

    def loss(at):
        out = goodfellow.lstm_forward(at, x, at["h0"], at["s0"])
        return np.sum(e * np.stack(out["h"][1:])).item()

    gradients, _, _ = goodfellow.lstm_gradients(p, x, goodfellow.lstm_forward(p, x, h0, s0), e)
    assert_derivatives(loss, p | {"h0": h0, "s0": s0}, gradients)
