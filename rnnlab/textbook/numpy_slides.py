"""Forward and backward pass of an RNN as presented in the slides *Building a RNN with numpy*.

    a⁽ᵗ⁾ = tanh(Wax x⁽ᵗ⁾ + Waa a⁽ᵗ⁻¹⁾ + ba)      ŷ⁽ᵗ⁾ = softmax(Wya a⁽ᵗ⁾ + by)

A cell consists of a forward function and a backward function that share a dictionary of parameters. The
forward function returns a `cache` of values that the backward function requires. The forward pass of the
network applies the forward function at each time step; the backward pass applies the backward function to the
time steps in reverse order. Each of the m columns of xt and of a belongs to one example.

Shapes: xt (n_x, m), a (n_a, m), Wax (n_a, n_x), Waa (n_a, n_a), Wya (n_y, n_a), ba (n_a, 1), by (n_y, 1).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnlab.textbook.softmax import softmax

Array = NDArray[Any]
Parameters = dict[str, Array]
Cache = tuple[Array, Array, Array, Parameters]


def rnn_cell_forward(xt: Array, a_prev: Array, parameters: Parameters) -> tuple[Array, Array, Cache]:
    """Return a⁽ᵗ⁾, ŷ⁽ᵗ⁾ and the cache that the backward pass of the time step requires."""
    Wax, Waa, Wya = (parameters[name] for name in ("Wax", "Waa", "Wya"))
    a_next = np.tanh(Wax @ xt + Waa @ a_prev + parameters["ba"])
    scores = Wya @ a_next + parameters["by"]
    yt_pred = np.stack([softmax(column) for column in scores.T], axis=1)
    return a_next, yt_pred, (a_next, a_prev, xt, parameters)


def rnn_cell_backward(da_next: Array, cache: Cache) -> dict[str, Array]:
    """Return the gradients with respect to x⁽ᵗ⁾, a⁽ᵗ⁻¹⁾, Wax, Waa and ba, given ∂J/∂a⁽ᵗ⁾."""
    a_next, a_prev, xt, parameters = cache
    dtanh = (1 - a_next**2) * da_next
    return {
        "dxt": parameters["Wax"].T @ dtanh,
        "da_prev": parameters["Waa"].T @ dtanh,
        "dWax": dtanh @ xt.T,
        "dWaa": dtanh @ a_prev.T,
        "dba": dtanh.sum(axis=1, keepdims=True),
    }


def rnn_forward(x: Array, a0: Array, parameters: Parameters) -> tuple[list[Array], list[Array], list[Cache]]:
    """Apply the cell to inputs x of shape (T, n_x, m); return the states, predictions and caches."""
    a, y_pred, caches = a0, [], []
    states = []
    for xt in x:
        a, yt_pred, cache = rnn_cell_forward(xt, a, parameters)
        states.append(a)
        y_pred.append(yt_pred)
        caches.append(cache)
    return states, y_pred, caches


def output_backward(dscores: Array, a_next: Array, parameters: Parameters) -> dict[str, Array]:
    """Return the gradients with respect to Wya, by and a⁽ᵗ⁾, given ∂J/∂(scores).

    The slides omit the backward pass of the output layer.
    """
    return {
        "dWya": dscores @ a_next.T,
        "dby": dscores.sum(axis=1, keepdims=True),
        "da": parameters["Wya"].T @ dscores,
    }


def rnn_backward(da: Array, caches: list[Cache]) -> dict[str, Array]:
    """Backpropagate through time, given the gradients da that reach the states a⁽ᵗ⁾ through the outputs ŷ⁽ᵗ⁾.

    The shape of da is (T, n_a, m). At each time step, ∂J/∂a⁽ᵗ⁾ is the sum of da[t] and the gradient da_prev
    from the next time step. The gradients with respect to the parameters are summed over time.
    """
    sums: dict[str, Array] = {}
    dx: list[Array] = []
    da_prev = np.zeros_like(da[0])
    for da_t, cache in zip(reversed(da), reversed(caches), strict=True):
        step = rnn_cell_backward(da_t + da_prev, cache)
        da_prev = step.pop("da_prev")
        dx.insert(0, step.pop("dxt"))
        for name, gradient in step.items():
            sums[name] = sums.get(name, 0) + gradient
    return sums | {"dx": np.stack(dx), "da0": da_prev}
