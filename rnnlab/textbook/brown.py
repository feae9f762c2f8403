"""Gradients of an RNN as derived by Brown in *Gradients for an RNN* (2017), based on the WildML tutorial.

    (1a) s_t = tanh(z_t), z_t = U x_t + W s_{t-1}      (1b) ŷ_t = softmax(q_t), q_t = V s_t
    (2) L = -1/N Σ_t y_t · log ŷ_t                     (3) E_t = -y_t · log ŷ_t

The network has no biases. The gradients with respect to W and U are computed as explicit sums, not by
recursion. Each term of these sums is the contribution of one time step r ≤ t: the gradient of E_t with
respect to s_t is multiplied by the Jacobian ∂s_t/∂s_r and by the immediate partial derivative of s_r with
respect to W or U. The Jacobian ∂s_t/∂s_r is a product of one-step Jacobians and can therefore vanish or
explode as t - r grows.

Shapes for one sequence: inputs x (N, X), one-hot targets y (N, Y), initial state s_before = s_{-1} (H,). Time
steps are numbered 0 … N-1.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnlab.textbook.softmax import cross_entropy, softmax

Array = NDArray[Any]
Weights = dict[str, Array]


def forward(weights: Weights, x: Array, s_before: Array) -> tuple[list[Array], list[Array]]:
    """Return the states s_{-1} … s_{N-1} and the predictions ŷ_0 … ŷ_{N-1} from equation (1)."""
    s = [s_before]
    for x_t in x:
        s.append(np.tanh(weights["U"] @ x_t + weights["W"] @ s[-1]))
    return s, [softmax(weights["V"] @ s_t) for s_t in s[1:]]


def loss(y: Array, y_hat: list[Array]) -> Any:
    """Return the loss L of equation (2), the mean of E_t over time."""
    return sum(cross_entropy(y_hat_t, y_t) for y_hat_t, y_t in zip(y_hat, y, strict=True)) / len(y)


def gradient_of_V(y_t: Array, y_hat_t: Array, s_t: Array) -> Array:
    """Return ∂E_t/∂V = (ŷ_t - y_t) ⊗ s_t, equation (14)."""
    return np.outer(y_hat_t - y_t, s_t)


def jacobian(weights: Weights, s: list[Array], t: int) -> Array:
    """Return the Jacobian ∂s_t/∂s_{t-1} = diag(1 - s_t²) W."""
    return np.asarray(np.diag(1 - s[t + 1] ** 2) @ weights["W"])


def jacobian_product(weights: Weights, s: list[Array], t: int, r: int) -> Array:
    """Return the Jacobian ∂s_t/∂s_r = J_t J_{t-1} … J_{r+1}, which is the identity matrix for r = t."""
    product = np.eye(len(s[0]))
    for step in range(t, r, -1):
        product = product @ jacobian(weights, s, step)
    return product


def immediate(s_r: Array, operand: Array) -> Array:
    """Return the immediate partial derivative ∂⁺s_r/∂M, where M multiplies `operand` in z_r.

    ∂⁺s_{r,n}/∂M_ij = (1 - s_{r,n}²) δ_ni operand_j, with s_{r-1} held constant.

    Returns:
        Immediate partial derivative, shape (H, H, len(operand)).
    """
    H = len(s_r)
    derivative = np.zeros((H, H, len(operand)))
    for n in range(H):
        for j in range(len(operand)):
            derivative[n, n, j] = (1 - s_r[n] ** 2) * operand[j]
    return derivative


def terms(
    weights: Weights, x: Array, y_t: Array, s: list[Array], y_hat_t: Array, t: int, of: str
) -> list[Array]:
    """Return the terms r = 0 … t of the sum for ∂E_t/∂W (equation 21) or ∂E_t/∂U (equation 24).

    Term r is the contribution of time step r: (ŷ_t - y_t)_l V_lm ∂s_{t,m}/∂s_{r,n} ∂⁺s_{r,n}/∂W_ij, summed
    over l, m and n.
    """
    found = []
    for r in range(t + 1):
        operand = s[r] if of == "W" else x[r]
        through_output = (y_hat_t - y_t) @ weights["V"]
        through_time = through_output @ jacobian_product(weights, s, t, r)
        found.append(np.einsum("n,nij->ij", through_time, immediate(s[r + 1], operand)))
    return found


def gradients(weights: Weights, x: Array, y: Array, s: list[Array], y_hat: list[Array]) -> Weights:
    """Return ∂L/∂V, ∂L/∂W and ∂L/∂U, which are the means over t of the gradients of E_t (section 2.4)."""
    N = len(x)
    total = {name: np.zeros_like(value) for name, value in weights.items()}
    for t in range(N):
        total["V"] += gradient_of_V(y[t], y_hat[t], s[t + 1]) / N
        for name in ("W", "U"):
            for term in terms(weights, x, y[t], s, y_hat[t], t, name):
                total[name] += term / N
    return total
