"""The note "RNN" (16 September 2019) after I. Goodfellow, Y. Bengio & A. Courville, *Deep Learning*, ch. 10.

    a⁽ᵗ⁾ = b + W h⁽ᵗ⁻¹⁾ + U x⁽ᵗ⁾    h⁽ᵗ⁾ = tanh(a⁽ᵗ⁾)    o⁽ᵗ⁾ = c + V h⁽ᵗ⁾    ŷ⁽ᵗ⁾ = softmax(o⁽ᵗ⁾)
    L = Σ_t L⁽ᵗ⁾,    L⁽ᵗ⁾ = -log ŷ⁽ᵗ⁾[y⁽ᵗ⁾]

The cell input of this LSTM uses a sigmoid, whereas other variants use tanh:

    f = σ(b^f + U^f x⁽ᵗ⁾ + W^f h⁽ᵗ⁻¹⁾)    forget gate        q = σ(b^o + U^o x⁽ᵗ⁾ + W^o h⁽ᵗ⁻¹⁾)    output gate
    g = σ(b^g + U^g x⁽ᵗ⁾ + W^g h⁽ᵗ⁻¹⁾)    input gate         s⁽ᵗ⁾ = f s⁽ᵗ⁻¹⁾ + g σ(b + U x⁽ᵗ⁾ + W h⁽ᵗ⁻¹⁾)
    h⁽ᵗ⁾ = tanh(s⁽ᵗ⁾) q

The note derives ∇_o L. The other gradients of the RNN, node by node, follow section 10.2.2 of the book. For
the LSTM, the note gives only the forward equations; this module derives the gradients in the same notation.

Shapes for one sequence: x (τ, X), y (τ,) integers, b (H,), W (H, H), U (H, X), c (Y,), V (Y, H).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnlab.textbook.softmax import softmax

Array = NDArray[Any]
Parameters = dict[str, Array]
GATES = ("f", "g", "o", "")
"""Superscripts of b, U and W for the forget, input and output gates; the cell input has no superscript."""


def rnn_forward(p: Parameters, x: Array, h0: Array) -> tuple[list[Array], list[Array]]:
    """Return h⁽⁰⁾ … h⁽τ⁾ and ŷ⁽¹⁾ … ŷ⁽τ⁾."""
    h, y_hat = [h0], []
    for x_t in x:
        a = p["b"] + p["W"] @ h[-1] + p["U"] @ x_t
        h.append(np.tanh(a))
        o = p["c"] + p["V"] @ h[-1]
        y_hat.append(softmax(o))
    return h, y_hat


def rnn_loss(y_hat: list[Array], y: Array) -> Any:
    """Return L, the sum over time of the negative log-likelihoods."""
    return sum(-np.log(y_hat_t[y_t]) for y_hat_t, y_t in zip(y_hat, y, strict=True))


def rnn_gradients(p: Parameters, x: Array, y: Array, h: list[Array], y_hat: list[Array]) -> Parameters:
    """Return the gradients of L with respect to each parameter and h⁽⁰⁾ ("h0"), computed node by node."""
    tau = len(x)
    grad = {name: np.zeros_like(value) for name, value in p.items()}
    from_next = np.zeros_like(h[0])
    for t in range(tau, 0, -1):
        grad_o = np.array([y_hat[t - 1][i] - (1.0 if i == y[t - 1] else 0.0) for i in range(len(p["c"]))])
        grad_h = p["V"].T @ grad_o + from_next
        grad_a = np.diag(1 - h[t] ** 2) @ grad_h
        grad["c"] += grad_o
        grad["V"] += np.outer(grad_o, h[t])
        grad["b"] += grad_a
        grad["W"] += np.outer(grad_a, h[t - 1])
        grad["U"] += np.outer(grad_a, x[t - 1])
        from_next = p["W"].T @ grad_a
    return grad | {"h0": from_next}


def sigma(z: Array) -> Array:
    """Return σ(z) = 1 / (1 + e^{-z})."""
    return np.asarray(1 / (1 + np.exp(-z)))


def lstm_forward(p: Parameters, x: Array, h0: Array, s0: Array) -> dict[str, list[Array]]:
    """Return h⁽⁰⁾ … h⁽τ⁾, s⁽⁰⁾ … s⁽τ⁾, and the gates f, g, q and cell inputs i of time steps 1 … τ."""
    out: dict[str, list[Array]] = {"h": [h0], "s": [s0], "f": [], "g": [], "q": [], "i": []}
    for x_t in x:
        h = out["h"][-1]
        f, g, q, i = (sigma(p[f"b{k}"] + p[f"U{k}"] @ x_t + p[f"W{k}"] @ h) for k in GATES)
        s = f * out["s"][-1] + g * i
        for name, value in {"f": f, "g": g, "q": q, "i": i, "s": s, "h": np.tanh(s) * q}.items():
            out[name].append(value)
    return out


def lstm_gradients(
    p: Parameters, x: Array, out: dict[str, list[Array]], e: Array
) -> tuple[Parameters, list[Array], list[Array]]:
    """Return the gradients of the LSTM, given e⁽ᵗ⁾ = ∂L⁽ᵗ⁾/∂h⁽ᵗ⁾ for each time step, (τ, H).

    h⁽ᵗ⁾ affects the loss at t and, through the four affine maps, time step t + 1. s⁽ᵗ⁾ affects h⁽ᵗ⁾ and,
    through the forget gate, s⁽ᵗ⁺¹⁾. The derivative of each σ is σ(1 - σ).

    Returns:
        The gradients of L with respect to each parameter, h⁽⁰⁾ ("h0") and s⁽⁰⁾ ("s0"), and the lists of
        ∇_h L and ∇_s L for t = 1 … τ.
    """
    grad = {name: np.zeros_like(value) for name, value in p.items()}
    grad_hs: list[Array] = []
    grad_ss: list[Array] = []
    h_from_next, s_from_next = np.zeros_like(e[0]), np.zeros_like(e[0])
    for t in range(len(x), 0, -1):
        f, g, q, i = (out[name][t - 1] for name in ("f", "g", "q", "i"))
        s, s_before, h_before = out["s"][t], out["s"][t - 1], out["h"][t - 1]
        grad_h = e[t - 1] + h_from_next
        grad_s = grad_h * q * (1 - np.tanh(s) ** 2) + s_from_next
        before_sigma = {
            "f": grad_s * s_before * f * (1 - f),
            "g": grad_s * i * g * (1 - g),
            "o": grad_h * np.tanh(s) * q * (1 - q),
            "": grad_s * g * i * (1 - i),
        }
        h_from_next = np.zeros_like(grad_h)
        for k, grad_z in before_sigma.items():
            grad[f"b{k}"] += grad_z
            grad[f"U{k}"] += np.outer(grad_z, x[t - 1])
            grad[f"W{k}"] += np.outer(grad_z, h_before)
            h_from_next += p[f"W{k}"].T @ grad_z
        s_from_next = f * grad_s
        grad_hs.insert(0, grad_h)
        grad_ss.insert(0, grad_s)
    return grad | {"h0": h_from_next, "s0": s_from_next}, grad_hs, grad_ss
