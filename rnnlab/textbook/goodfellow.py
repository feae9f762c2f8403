"""Gradients of an RNN and an LSTM in the notation of Goodfellow, Bengio & Courville.

The source is the note "RNN" (16 September 2019), based on chapter 10 of the book *Deep Learning* (2016).

    a⁽ᵗ⁾ = b + W h⁽ᵗ⁻¹⁾ + U x⁽ᵗ⁾    h⁽ᵗ⁾ = tanh(a⁽ᵗ⁾)    o⁽ᵗ⁾ = c + V h⁽ᵗ⁾    ŷ⁽ᵗ⁾ = softmax(o⁽ᵗ⁾)
    L = Σ_t L⁽ᵗ⁾,    L⁽ᵗ⁾ = -log ŷ⁽ᵗ⁾[y⁽ᵗ⁾]

In this LSTM variant, the activation function of the cell input is the sigmoid instead of tanh:

    f = σ(b^f + U^f x⁽ᵗ⁾ + W^f h⁽ᵗ⁻¹⁾)    forget gate        q = σ(b^o + U^o x⁽ᵗ⁾ + W^o h⁽ᵗ⁻¹⁾)    output gate
    g = σ(b^g + U^g x⁽ᵗ⁾ + W^g h⁽ᵗ⁻¹⁾)    input gate         s⁽ᵗ⁾ = f s⁽ᵗ⁻¹⁾ + g σ(b + U x⁽ᵗ⁾ + W h⁽ᵗ⁻¹⁾)
    h⁽ᵗ⁾ = tanh(s⁽ᵗ⁾) q

For the RNN, the note "RNN" derives ∇_o L, and section 10.2.2 of the book derives the other gradients node by
node. For the LSTM, the note contains only the forward equations; this module derives the gradients in the
same notation.

Shapes for one sequence: inputs x (τ, X), integer classes y (τ,), parameters b (H,), W (H, H), U (H, X),
c (Y,) and V (Y, H).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnlab.textbook.softmax import softmax

Array = NDArray[Any]
Parameters = dict[str, Array]
GATES = ("f", "g", "o", "")
"""Superscripts of b, U and W: f, g and o for the three gates, and no superscript for the cell input."""


def rnn_forward(p: Parameters, x: Array, h0: Array) -> tuple[list[Array], list[Array]]:
    """Return the hidden states h⁽⁰⁾ … h⁽τ⁾ and the predictions ŷ⁽¹⁾ … ŷ⁽τ⁾."""
    h, y_hat = [h0], []
    for x_t in x:
        a = p["b"] + p["W"] @ h[-1] + p["U"] @ x_t
        h.append(np.tanh(a))
        o = p["c"] + p["V"] @ h[-1]
        y_hat.append(softmax(o))
    return h, y_hat


def rnn_loss(y_hat: list[Array], y: Array) -> Any:
    """Return the loss L, the sum of the negative log-likelihoods over time."""
    return sum(-np.log(y_hat_t[y_t]) for y_hat_t, y_t in zip(y_hat, y, strict=True))


def rnn_gradients(p: Parameters, x: Array, y: Array, h: list[Array], y_hat: list[Array]) -> Parameters:
    """Return the gradients of L with respect to all parameters and h⁽⁰⁾ (key "h0"), computed node by node."""
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
    """Return the logistic function σ(z) = 1 / (1 + e^{-z})."""
    return np.asarray(1 / (1 + np.exp(-z)))


def lstm_forward(p: Parameters, x: Array, h0: Array, s0: Array) -> dict[str, list[Array]]:
    """Return the states h and s for t = 0 … τ, and the gates f, g, q and cell inputs i for t = 1 … τ."""
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
    """Return the gradients of the LSTM's loss, given e⁽ᵗ⁾ = ∂L⁽ᵗ⁾/∂h⁽ᵗ⁾ for all time steps, shape (τ, H).

    The hidden state h⁽ᵗ⁾ affects the loss L⁽ᵗ⁾ and, through the gates and the cell input, time step t + 1.
    The cell state s⁽ᵗ⁾ affects h⁽ᵗ⁾ and, through the forget gate, s⁽ᵗ⁺¹⁾. The derivative of σ is σ(1 - σ).

    Returns:
        The gradients of L with respect to all parameters, h⁽⁰⁾ (key "h0") and s⁽⁰⁾ (key "s0"), followed by
        the lists of ∇_h L and ∇_s L for t = 1 … τ.
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
