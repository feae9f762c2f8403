"""Gradients and training of an RNN as described by Kumar in *RNN Derivatives and Code sample*.

    g_t = u x_t + w h_{t-1} + bh      h_t = tanh(g_t)      q_t = v h_t + by      p_t = softmax(q_t)
    E = -Σ_t log p_t[label_t]

This module implements three parts of the source:

- the gradients of the loss at one time step, computed as outer products for the weight matrices
- backpropagation through a chunk, which passes the gradient `dhnext` from each time step to the previous one
- training with AdaGrad and elementwise gradient clipping, in which each chunk starts from the final state of
  the previous chunk, but no gradient flows between chunks

Shapes of the parameters: u (statesize, inputs), w (statesize, statesize), v (numclasses, statesize),
bh (statesize, 1), by (numclasses, 1). Shapes of the data in a chunk: inputs xs[t] (inputs, columns), integer
labels (c, columns).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnlab.textbook.softmax import gradient, softmax

Array = NDArray[Any]
Weights = dict[str, Array]


def single_step_gradients(weights: Weights, x: Array, h_before: Array, y: Array) -> Weights:
    """Return the gradients of E at one time step with respect to v, u, w and h_{t-1} (equations 7 to 10).

    The chain rule is applied along E → q → h → g → (u, w, h_{t-1}). The quantities q, h and g are vectors,
    and the gradient with respect to each matrix is therefore an outer product.

    Args:
        weights: Parameters of the network.
        x: Input vector, shape (inputs,).
        h_before: State h_{t-1}, shape (statesize,).
        y: One-hot target, shape (numclasses,).
    """
    u, w, v = weights["u"], weights["w"], weights["v"]
    h = np.tanh(u @ x + w @ h_before + weights["bh"][:, 0])
    y_hat = softmax(v @ h + weights["by"][:, 0])
    dE_dq = gradient(y_hat, y)
    dE_dh = v.T @ dE_dq
    dE_dg = (1 - h**2) * dE_dh
    return {
        "v": np.outer(dE_dq, h),
        "u": np.outer(dE_dg, x),
        "w": np.outer(dE_dg, h_before),
        "h_before": w.T @ dE_dg,
    }


def forward(weights: Weights, xs: Array, state: Array) -> tuple[list[Array], list[Array]]:
    """Return the states hs[0] … hs[c] and the class probabilities of a chunk, where hs[0] is `state`.

    In the source, the state before the chunk is called hs[-1] instead of hs[0].
    """
    hs, ps = [state], []
    for x in xs:
        hs.append(np.tanh(weights["u"] @ x + weights["w"] @ hs[-1] + weights["bh"]))
        q = weights["v"] @ hs[-1] + weights["by"]
        ps.append(np.stack([softmax(column) for column in q.T], axis=1))
    return hs, ps


def loss(ps: list[Array], labels: Array) -> Any:
    """Return the loss E, summed over the time steps and columns of the chunk."""
    total = 0.0
    for p, label in zip(ps, labels, strict=True):
        for column, correct in enumerate(label):
            total = total - np.log(p[correct, column])
    return total


def backward(weights: Weights, xs: Array, labels: Array, hs: list[Array], ps: list[Array]) -> Weights:
    """Backpropagate through the chunk and return the gradient of E with respect to each parameter."""
    numclasses = len(weights["by"])
    d = {name: np.zeros_like(value) for name, value in weights.items()}
    dhnext = np.zeros_like(hs[0])
    for t in reversed(range(len(xs))):
        onehot = np.eye(numclasses)[labels[t]].T
        dy = ps[t] - onehot
        d["v"] += dy @ hs[t + 1].T
        d["by"] += dy.sum(axis=1, keepdims=True)
        dh = weights["v"].T @ dy + dhnext
        dhraw = (1 - hs[t + 1] ** 2) * dh
        d["bh"] += dhraw.sum(axis=1, keepdims=True)
        d["u"] += dhraw @ xs[t].T
        d["w"] += dhraw @ hs[t].T
        dhnext = weights["w"].T @ dhraw
    return d


def clip(d: Weights, bound: float = 5.0) -> Weights:
    """Clip each element of the gradients to [-bound, bound]."""
    return {name: np.minimum(np.maximum(value, -bound), bound) for name, value in d.items()}


def adagrad(weights: Weights, d: Weights, memory: Weights, learningrate: float) -> None:
    """Update weights in place with AdaGrad: m ← m + d², weight ← weight - learningrate · d / √(m + 1e-8)."""
    for name, dparam in d.items():
        memory[name] += dparam * dparam
        weights[name] -= learningrate * dparam / np.sqrt(memory[name] + 1e-8)


def train(
    weights: Weights, chunks: Iterator[tuple[Array, Array]], learningrate: float, bound: float = 5.0
) -> list[float]:
    """Train `weights` in place on consecutive chunks (xs, labels) of a stream; return the loss of each chunk.

    The first chunk starts from a zero state. Each later chunk starts from the final state of the previous
    chunk.
    """
    memory = {name: np.zeros_like(value) for name, value in weights.items()}
    losses: list[float] = []
    state: Array | None = None
    for xs, labels in chunks:
        if state is None:
            state = np.zeros((len(weights["w"]), labels.shape[1]))
        hs, ps = forward(weights, xs, state)
        losses.append(float(loss(ps, labels)))
        adagrad(weights, clip(backward(weights, xs, labels, hs, ps), bound), memory, learningrate)
        state = hs[-1]
    return losses
