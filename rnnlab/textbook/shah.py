"""Gradients of an RNN as derived by Shah in *RNN backpropagation*.

    (1) h_t = tanh(W_hh h_{t-1} + W_xh x_t)    (2) y_t = W_hy h_t    loss = -log P_correct, P = softmax(y_t)

The network has no biases. The initial state h_0 is zero or drawn from a fixed distribution. The network has
an output either at every time step or only at the last time step s. The loss is summed over the outputs.

Shapes for one sequence: x (s, f), W_hh (d, d), W_xh (d, f), W_hy (n, d), h_0 (d,). The correct classes are
integers in an array of shape (s,), or of shape (1,) if the network has a single output.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnlab.textbook.softmax import softmax

Array = NDArray[Any]
Weights = dict[str, Array]


def forward(weights: Weights, x: Array, h_0: Array) -> tuple[list[Array], list[Array]]:
    """Return the states h_0 … h_s (equation 1) and the outputs y_1 … y_s (equation 2)."""
    h = [h_0]
    for x_t in x:
        h.append(np.tanh(weights["W_hh"] @ h[-1] + weights["W_xh"] @ x_t))
    return h, [weights["W_hy"] @ h_t for h_t in h[1:]]


def loss(y: list[Array], correct: Array) -> Any:
    """Return the loss of equation (5): -log P_correct, summed over the last len(correct) time steps."""
    return sum(
        -np.log(softmax(y_t)[class_t]) for y_t, class_t in zip(y[-len(correct) :], correct, strict=True)
    )


def output_gradients(y: list[Array], correct: Array) -> list[Array]:
    """Return the gradients dy_t of equation (8), which are zero at time steps without an output."""
    first = len(y) - len(correct)
    dy = [np.zeros_like(y_t) for y_t in y]
    for t, class_t in enumerate(correct, start=first):
        dy[t] = softmax(y[t])
        dy[t][class_t] -= 1
    return dy


def gradients(weights: Weights, x: Array, h: list[Array], y: list[Array], correct: Array) -> Weights:
    """Return the gradients of the loss with respect to W_hy, W_hh, W_xh and h_0 (equations 9 to 16).

    Equation (14) splits dh_t into contributions from the loss at time step t and from all later losses. Later
    losses depend on h_t only through h_{t+1}, and equation (16) therefore computes dh_t from dh_{t+1}.
    """
    dy = output_gradients(y, correct)
    d = {name: np.zeros_like(value) for name, value in weights.items()}
    from_later = np.zeros_like(h[0])
    for t in range(len(x), 0, -1):
        dh = weights["W_hy"].T @ dy[t - 1] + from_later
        through_tanh = dh * (1 - h[t] ** 2)
        d["W_hy"] += np.outer(dy[t - 1], h[t])
        d["W_hh"] += np.outer(through_tanh, h[t - 1])
        d["W_xh"] += np.outer(through_tanh, x[t - 1])
        from_later = weights["W_hh"].T @ through_tanh
    return d | {"h_0": from_later}
