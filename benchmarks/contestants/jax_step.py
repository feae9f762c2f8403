"""Training step in JAX that records the gradient at every state, compiled as one jit with lax.scan over time.

The step adds a zero to every state at every time step. The gradient at this zero is the total gradient at h,
and for an LSTM also the state adjoint at c. The norms are computed in float32.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.contestants.shapes import CLIP, LR, Shape


def make(shape: Shape) -> Callable[[], None]:
    """Return a training step that records the gradient norms at all states."""
    H, B, states = shape.H, shape.B, 2 if shape.cell == "lstm" else 1
    rng, bound = np.random.default_rng(0), 1 / np.sqrt(H)
    sizes = {
        "W_xh": (shape.G * H, shape.X),
        "W_hh": (shape.G * H, H),
        "b_h": (shape.G * H,),
        "W_hy": (shape.Y, H),
        "b_y": (shape.Y,),
    } | ({"b_hn": (H,)} if shape.cell == "gru" else {})
    params = {k: jnp.asarray(rng.uniform(-bound, bound, s).astype(np.float32)) for k, s in sizes.items()}
    zeros = jnp.zeros((shape.T, states, B, H), jnp.float32)
    batch_x, batch_y = shape.batch()
    if shape.inputs == "vectors":
        batch_x = batch_x.transpose(0, 2, 1)
    x, y = jnp.asarray(np.ascontiguousarray(batch_x)), jnp.asarray(batch_y)
    cell = CELLS[shape.cell]

    def loss(p: Any, pushes: Any) -> Any:
        inputs = p["W_xh"].T[x] if shape.inputs == "symbols" else x @ p["W_xh"].T
        inputs = inputs + p["b_h"]

        def over(state: Any, at: Any) -> Any:
            after = cell(p, at[0], state) + at[1]
            return after, after[0]

        _, h = lax.scan(over, jnp.zeros((states, B, H), jnp.float32), (inputs, pushes))
        logits = h[-shape.outputs :] @ p["W_hy"].T + p["b_y"]
        picked = jnp.take_along_axis(jax.nn.log_softmax(logits), y[..., None], axis=-1)
        return -picked.mean()

    def train(p: Any, m: Any, v: Any, k: Any) -> Any:
        value, (grads, deltas) = jax.value_and_grad(loss, argnums=(0, 1))(p, zeros)
        norms = jnp.sqrt((deltas * deltas).sum(axis=-1))
        norm = jnp.sqrt(sum((g * g).sum() for g in grads.values()))
        scale = jnp.minimum(1.0, CLIP / norm)
        k = k + 1
        for name, g in grads.items():
            g = g * scale
            m = m | {name: 0.9 * m[name] + 0.1 * g}
            v = v | {name: 0.999 * v[name] + 0.001 * g * g}
            denominator = jnp.sqrt(v[name] / (1 - 0.999**k)) + 1e-8
            p = p | {name: p[name] - LR * m[name] / (1 - 0.9**k) / denominator}
        return p, m, v, k, value, norms

    means = [{k: jnp.zeros_like(w) for k, w in params.items()} for _ in range(2)]
    held: Any = (params, *means, jnp.zeros((), jnp.float32))

    compiled: Any = jax.jit(train, donate_argnums=(0, 1, 2, 3))

    def step() -> None:
        nonlocal held
        *held, value, norms = compiled(*held)
        float(value)
        np.asarray(norms)

    return step


def _rnn(p: Any, inputs: Any, state: Any) -> Any:
    return jnp.tanh(inputs + state[0] @ p["W_hh"].T)[None]


def _lstm(p: Any, inputs: Any, state: Any) -> Any:
    g, i, f, o = jnp.split(inputs + state[0] @ p["W_hh"].T, 4, axis=-1)
    c = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jnp.stack([jax.nn.sigmoid(o) * jnp.tanh(c), c])


def _gru(p: Any, inputs: Any, state: Any) -> Any:
    n, r, u = jnp.split(inputs, 3, axis=-1)
    a, a_r, a_u = jnp.split(state[0] @ p["W_hh"].T, 3, axis=-1)
    r, u = jax.nn.sigmoid(r + a_r), jax.nn.sigmoid(u + a_u)
    n = jnp.tanh(n + r * (a + p["b_hn"]))
    return ((1 - u) * n + u * state[0])[None]


CELLS: dict[str, Callable[[Any, Any, Any], Any]] = {"rnn": _rnn, "lstm": _lstm, "gru": _gru}
