"""Softmax of a vector, its Jacobian, and the gradient of the cross-entropy with respect to the logits.

    S_i = e^{a_i} / Σ_k e^{a_k}      ∂S_i/∂a_j = S_i (δ_ij - S_j)      E = -Σ_k y_k log S_k

The equations above are derived by Kumar (*RNN Derivatives and Code sample*), in the note "RNN" based on the
book by Goodfellow, Bengio & Courville, and by Brown (*Gradients for an RNN*, equations 8 to 11).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def softmax(a: Array) -> Array:
    """Return the softmax S of the logits a, both of shape (N,); the largest logit is subtracted first."""
    powers = np.exp(a - a.max())
    return np.asarray(powers / powers.sum())


def jacobian(S: Array) -> Array:
    """Return the Jacobian ∂S_i/∂a_j of the softmax, shape (N, N), derived with the quotient rule.

    The softmax S_i is the quotient g / h with g = e^{a_i} and h = Σ_k e^{a_k}, and the derivative of the
    quotient is (g'h - h'g) / h². The derivative h' is e^{a_j}. The derivative g' with respect to a_j is
    e^{a_i} for j = i and 0 otherwise.
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
    """Return the cross-entropy E = -Σ_k y_k log S_k for a target y of shape (N,) that sums to 1."""
    return -np.sum(y * np.log(S))


def gradient_through_the_jacobian(S: Array, y: Array) -> Array:
    """Return ∂E/∂a_l = Σ_k ∂E/∂S_k ∂S_k/∂a_l with ∂E/∂S_k = -y_k / S_k (Brown, equations 8 to 10)."""
    D = jacobian(S)
    gradient = np.zeros_like(S)
    for l in range(len(S)):  # noqa: E741 (Brown's index)
        for k in range(len(S)):
            gradient[l] += -y[k] / S[k] * D[k, l]
    return gradient


def gradient(S: Array, y: Array) -> Array:
    """Return the gradient ∂E/∂a = S - y, which follows from Σ_k y_k = 1 (Brown, equation 11)."""
    return S - y
