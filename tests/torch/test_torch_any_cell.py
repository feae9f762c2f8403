"""Lag curves of cells written in torch, compared with autograd through the whole graph and with rnnlab."""

from collections import namedtuple

import numpy as np
import pytest

import rnnlab as rl
import rnnlab.torch
from rnnlab.diagnostics.lag_curves import UNIT_DRAWS

torch = pytest.importorskip("torch")

T, B, X, H = 12, 3, 2, 4
RNG = np.random.default_rng(0)
W, U = (torch.from_numpy(RNG.standard_normal(shape) / 2) for shape in ((H, H), (H, X)))
x = torch.from_numpy(RNG.standard_normal((T, X)))
xs = torch.from_numpy(RNG.standard_normal((T, B, X)))
Pair = namedtuple("Pair", "h m")


def vanilla(state, x_t):
    return torch.tanh(state @ W.T + x_t @ U.T)


def two_speeds(state, x_t):
    h = torch.tanh(W @ state["h"] + U @ x_t + state["slow"][0])
    return {"h": h, "slow": (0.9 * state["slow"][0] + 0.1 * h, state["slow"][1] + 1)}


START = {
    "h": torch.zeros(H, dtype=torch.float64),
    "slow": (torch.ones(H, dtype=torch.float64), torch.tensor(0)),
}


def whole_graph(loss):
    """Return the norm of the gradient with respect to the whole state, by lag, from one backward pass."""
    states = [
        {"h": START["h"].clone().requires_grad_(), "slow": (START["slow"][0].clone().requires_grad_(), 0)}
    ]
    for x_t in x:
        states.append(two_speeds(states[-1], x_t))
    parts = [(state["h"], state["slow"][0]) for state in states[1:]]
    for pair in parts:
        for part in pair:
            part.retain_grad()
    loss(states[-1]).backward()
    found = []
    for h, slow in parts:
        if slow.grad is None:
            slow.grad = torch.zeros_like(slow)
        # slow[t] depends on h[t] within the time step; the adjoint does not contain this path.
        found.append(((h.grad - 0.1 * slow.grad).norm() ** 2 + slow.grad.norm() ** 2).sqrt().item())
    return np.log10(found[::-1])


def test_a_loss_gives_the_gradients_of_the_whole_graph():
    def loss(state):
        return state["h"].pow(2).sum() + state["slow"][0].sum()

    curve = rnnlab.torch.lag_curve(two_speeds, START, x, loss=loss)
    assert curve.log10_g == pytest.approx(whole_graph(loss), abs=1e-10)
    assert curve.loss == "loss"
    assert set(curve.frame["quantity"]) == {"state", "state.h", "state.slow.0"}


def test_random_unit_vectors_give_the_gradients_of_the_whole_graph():
    curve = rnnlab.torch.lag_curve(two_speeds, START, x, on="h", seed=5)
    rng, total = np.random.default_rng(5), np.zeros(T)
    for _ in range(UNIT_DRAWS):
        w = torch.from_numpy(rng.standard_normal(H))
        total += whole_graph(lambda state, w=w: state["h"] @ (w / w.norm()))
    assert curve.log10_g == pytest.approx(total / UNIT_DRAWS, abs=1e-10)
    assert curve.loss == "random unit vector"


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_equals_a_network_of_the_same_weights(cell):
    net = rl.network(cell, inputs=X, hidden=H, seed=1, dtype="float64")
    params = {name: torch.from_numpy(value) for name, value in net.params.items()}
    W_xh, W_hh, b_h = params["W_xh"], params["W_hh"], params["b_h"][:, 0]

    def step(state, x_t):
        if cell == "rnn":
            return {"h": torch.tanh(x_t @ W_xh.T + state["h"] @ W_hh.T + b_h)}
        if cell == "lstm":
            o, i, f, g = (x_t @ W_xh.T + state["h"] @ W_hh.T + b_h).chunk(4, dim=1)
            c = f.sigmoid() * state["c"] + i.sigmoid() * g.tanh()
            return {"h": o.sigmoid() * c.tanh(), "c": c}
        r_x, u_x, n_x = (x_t @ W_xh.T + b_h).chunk(3, dim=1)
        r_h, u_h, a = (state["h"] @ W_hh.T).chunk(3, dim=1)
        u, n = (u_x + u_h).sigmoid(), torch.tanh(n_x + (r_x + r_h).sigmoid() * (a + params["b_hn"][:, 0]))
        return {"h": (1 - u) * n + u * state["h"]}

    start = {name: torch.zeros(B, H, dtype=torch.float64) for name in net.model.cell.states}
    curve = rnnlab.torch.lag_curve(step, start, xs, batch_axis=0, on="h" if cell == "lstm" else None)
    assert curve.log10_g == pytest.approx(net.lag_curve(xs.numpy(), axes="tbf").log10_g, abs=1e-10)


def test_long_lags_do_not_underflow():
    curve = rnnlab.torch.lag_curve(lambda s, x_t: 0.5 * s, torch.zeros(3), torch.zeros(2000), name="half")
    assert curve.log10_g == pytest.approx(np.log10(0.5) * np.arange(2000), abs=1e-3)
    assert (curve.gain, curve.name) == (pytest.approx(0.5), "half")


def test_gradients_that_explode_do_not_overflow():
    curve = rnnlab.torch.lag_curve(lambda s, x_t: 3 * s, torch.zeros(3), torch.zeros(500))
    assert curve.log10_g == pytest.approx(np.log10(3) * np.arange(500), abs=1e-3)


def test_sequences_of_a_batch_are_scaled_on_their_own():
    gains = torch.tensor([0.01, 2.0]).reshape(1, 2)
    curve = rnnlab.torch.lag_curve(
        lambda s, x_t: gains * s, torch.zeros(3, 2), torch.zeros(400), batch_axis=1
    )
    assert curve.log10_g == pytest.approx(np.log10(0.02) / 2 * np.arange(400), abs=1e-3)


def test_a_named_tuple_and_a_detached_part():
    def step(state, x_t):
        return Pair(torch.tanh(state.h + state.m + x_t), state.m.detach() * 0.5)

    curve = rnnlab.torch.lag_curve(step, Pair(torch.zeros(2), torch.ones(2)), torch.ones(5))
    zeros = curve.frame[curve.frame["quantity"] == "state.m"].set_index("lag")["zero_fraction"]
    assert set(curve.frame["quantity"]) == {"state", "state.h", "state.m"} and zeros[1] == 0


def test_training_and_random_numbers_are_unchanged():
    cell = torch.nn.GRUCell(X, H)
    before = torch.get_rng_state()
    curve = rnnlab.torch.lag_curve(lambda h, x_t: cell(x_t, h), torch.zeros(B, H), xs.float(), batch_axis=0)
    assert torch.equal(before, torch.get_rng_state()) and curve.gain < 1
    assert all(parameter.grad is None for parameter in cell.parameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": x[:1]}, "x: must have at least 2 time steps, got 1"),
        ({"state": 3}, "state: must be a tensor, or a tuple, list or dictionary of tensors, got int"),
        ({"state": torch.tensor([1, 2])}, "must be|floating-point"),
        ({"step": lambda s, x_t: s[:2]}, r"time step 1 returned a state of shape \(2,\), must be \(4,\)"),
        ({"step": lambda s, x_t: (s, s)}, "time step 1 returned the parts"),
        ({"on": "c"}, "on='c': must be one of ''"),
        ({"batch_axis": 1}, r"batch_axis=1: the shapes of the state are \(4,\)"),
        ({"loss": lambda s: s}, "loss: must return a scalar"),
    ],
)
def test_mistakes_are_refused_in_one_line(change, message):
    arguments = {"step": vanilla, "state": torch.zeros(H, dtype=torch.float64), "x": x} | change
    if "state" in change:
        arguments["step"] = lambda s, x_t: s
    with pytest.raises(ValueError, match=message):
        rnnlab.torch.lag_curve(**arguments)


class TanhThroughNumpy(torch.autograd.Function):
    """tanh whose backward pass leaves torch, so that torch cannot vectorize it."""

    @staticmethod
    def forward(ctx, a):
        ctx.save_for_backward(a)
        return torch.tanh(a)

    @staticmethod
    def backward(ctx, gradient):
        (a,) = ctx.saved_tensors
        return torch.from_numpy(gradient.numpy() / np.cosh(a.numpy()) ** 2)


@pytest.mark.parametrize(
    ("φ", "calls"), [(torch.tanh, T - 1), (TanhThroughNumpy.apply, 1 + (T - 1) * UNIT_DRAWS)]
)
def test_all_draws_share_one_backward_pass_where_torch_can_vectorize(φ, calls, monkeypatch):
    own, seen = torch.autograd.grad, []
    monkeypatch.setattr(torch.autograd, "grad", lambda *a, **keys: seen.append(keys) or own(*a, **keys))
    start = torch.zeros(H, dtype=torch.float64)
    curve = rnnlab.torch.lag_curve(lambda h, x_t: φ(h @ W.T + x_t @ U.T), start, x)
    assert len(seen) == calls
    monkeypatch.undo()
    expected = rnnlab.torch.lag_curve(vanilla, start, x).log10_g
    assert curve.log10_g == pytest.approx(expected, abs=1e-12)
