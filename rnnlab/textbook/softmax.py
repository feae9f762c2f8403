"""Softmax of one column, its Jacobian, and the gradient of the cross-entropy through the softmax.

    S_i = e^{a_i} / Σ_k e^{a_k}      ∂S_i/∂a_j = S_i (δ_ij - S_j)      E = -Σ_k y_k log S_k

Three sources derive these equations: M. Kumar, *RNN Derivatives and Code sample*; the note after Goodfellow,
Bengio & Courville; and C. N. Brown, *Gradients for an RNN*, equations 8 to 11.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def softmax(a: Array) -> Array:
    """Return S (N,) for the logits a (N,); subtracting the largest logit leaves S unchanged."""
    powers = np.exp(a - a.max())
    return np.asarray(powers / powers.sum())


def jacobian(S: Array) -> Array:
    """Return ∂S_i/∂a_j, (N, N), by the quotient rule (g'h - h'g) / h² with g = e^{a_i} and h = Σ_k e^{a_k}.

    h' is e^{a_j} for every j. g' is e^{a_i} for j = i and 0 otherwise, which gives two cases.
    """
    N = len(S)
    D = np.empty((N, N), S.dtype)
    for i in range(N):
        for j in range(N):
            if i == j:
                D[i, j] = S[i] * (1 - S[j])
            else:
                D[i, j] = -S[i] * S[j]
    return D


def cross_entropy(S: Array, y: Array) -> Any:
    """Return E = -Σ_k y_k log S_k for a target y (N,) that sums to 1."""
    return -np.sum(y * np.log(S))


def gradient_through_the_jacobian(S: Array, y: Array) -> Array:
    """Return ∂E/∂a_l = Σ_k ∂E/∂S_k ∂S_k/∂a_l with ∂E/∂S_k = -y_k / S_k (Brown, 8 to 10)."""
    D = jacobian(S)
    gradient = np.zeros_like(S)
    for l in range(len(S)):  # noqa: E741 (Brown's index)
        for k in range(len(S)):
            gradient[l] += -y[k] / S[k] * D[k, l]
    return gradient


def gradient(S: Array, y: Array) -> Array:
    """Return ∂E/∂a in closed form, S - y, which follows from Σ_k y_k = 1 (Brown, 11)."""
    return S - y
