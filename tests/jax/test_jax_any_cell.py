"""Lag curves of cells written in JAX, compared with the gradient through the whole unrolled graph.

JAX starts threads, after which a process must not fork, as other tests do; `make test-jax` runs these tests.
"""

import os
import re

import numpy as np
import pytest

import rnnlab as rl
import rnnlab.jax
from tests.surroundings import ROOT

if not os.environ.get("RNNLAB_JAX"):
    pytest.skip("needs RNNLAB_JAX=1 (make test-jax)", allow_module_level=True)
import jax

jnp = jax.numpy

T, B, X, H = 10, 3, 2, 4
RNG = np.random.default_rng(0)
W, U = RNG.standard_normal((H, H)) / 2, RNG.standard_normal((H, X))
XS = RNG.standard_normal((T, X))


@pytest.fixture(autouse=True)
def float64():
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def step(state, x_t):
    h = jnp.tanh(W @ state["h"] + U @ x_t + state["slow"])
    return {"h": h, "slow": 0.9 * state["slow"] + 0.1 * h, "count": state["count"] + 1}


def loss(state):
    return (state["h"] ** 2).sum() + state["slow"].sum()


def start():
    return {"h": jnp.zeros(H), "slow": jnp.ones(H), "count": jnp.array(0)}


def test_a_loss_gives_the_gradients_of_the_whole_graph():
    states = [start()]
    for x_t in XS:
        states.append(step(states[-1], x_t))
    expected = []
    for t in range(T, 0, -1):

        def rest(h, slow, t=t):
            state = {**states[t], "h": h, "slow": slow}
            for x_t in XS[t:]:
                state = step(state, x_t)
            return loss(state)

        parts = jax.grad(rest, argnums=(0, 1))(states[t]["h"], states[t]["slow"])
        expected.append(np.log10(np.linalg.norm(np.concatenate(parts))))
    curve = rnnlab.jax.lag_curve(step, start(), XS, loss=loss)
    assert curve.log10_g == pytest.approx(expected, abs=1e-10)
    assert set(curve.frame["quantity"]) == {"state", "state.h", "state.slow"}


def test_equals_a_network_of_the_same_weights():
    net = rl.network("rnn", inputs=X, hidden=H, seed=1, dtype="float64")
    W_xh, W_hh, b_h = (net.params[name] for name in ("W_xh", "W_hh", "b_h"))
    xs = RNG.standard_normal((T, B, X))

    def vanilla(h, x_t):
        return jnp.tanh(x_t @ W_xh.T + h @ W_hh.T + b_h[:, 0])

    curve = rnnlab.jax.lag_curve(vanilla, jnp.zeros((B, H)), xs, batch_axis=0)
    assert curve.log10_g == pytest.approx(net.lag_curve(xs, axes="tbf").log10_g, abs=1e-10)


def test_long_lags_do_not_underflow():
    curve = rnnlab.jax.lag_curve(lambda s, x_t: 0.5 * s, jnp.zeros(3, jnp.float32), np.zeros(2000))
    assert curve.log10_g == pytest.approx(np.log10(0.5) * np.arange(2000), abs=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": XS[:1]}, "x: must have at least 2 time steps, got 1"),
        ({"step": lambda s, x_t: (s, s)}, "returned a state of another form or shape"),
        ({"on": "c"}, "on='c': must be one of"),
    ],
)
def test_mistakes_are_refused_in_one_line(change, message):
    with pytest.raises(ValueError, match=message):
        rnnlab.jax.lag_curve(**({"step": step, "state": start(), "x": XS} | change))


def test_the_example_of_the_page_runs():
    page = (ROOT / "docs" / "torch.md").read_text(encoding="utf-8")
    names: dict[str, object] = {}
    exec(re.findall(r"```py\n(.+?)```", page, re.DOTALL)[1], names)
    assert names["curve"].gain == pytest.approx(0.9, abs=1e-3)
