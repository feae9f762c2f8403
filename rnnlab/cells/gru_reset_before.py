"""GRU cell whose reset gate multiplies the previous state before the matrix product.

    r, u = σ(W_x· x[t] + W_h· h[t-1] + b·)
    n = tanh(W_xn x[t] + W_hn (r ∘ h[t-1]) + b_n)          h[t] = (1 - u) ∘ n + u ∘ h[t-1]

Backward pass, with the total gradient δ[t] = ∂L/∂h[t]:

    dz_n = δ∘(1-u)∘(1-n²)    q = W_hnᵀ dz_n    dz_r = q∘h[t-1]∘r∘(1-r)    dz_u = δ∘(h[t-1]-n)∘u∘(1-u)
    δ[t-1] = e[t-1] + u∘δ[t] + r∘q + W_hrᵀ dz_r + W_huᵀ dz_u
    dW_hr = Σ_t dz_r h[t-1]ᵀ    dW_hu = Σ_t dz_u h[t-1]ᵀ    dW_hn = Σ_t dz_n (r∘h[t-1])ᵀ

The recurrent product of the candidate n needs the reset gate of the same time step, so the products of a time
step cannot be taken together, and the cell gives single time steps.

References:
    Cho et al. (2014), *Learning phrase representations using RNN encoder-decoder*.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rnnlab.arrays import Array, Params
from rnnlab.cells.base import Cell
from rnnlab.engine.activations import SATURATED, sigmoid, tanh
from rnnlab.engine.tapes import CellTape, States, StepDeltas, StepTape
from rnnlab.engine.weights import input_product


@dataclass(frozen=True)
class GRUResetBefore(Cell):
    """GRU cell with `reset_after=false` and optional biases."""

    states: ClassVar[tuple[str, ...]] = ("h",)
    row_gates: ClassVar[tuple[str, ...]] = ("r", "u", "n")

    def other_operands(self, states: States, inner: Mapping[str, Array]) -> dict[str, Array]:
        """Return r[t] ∘ h[t-1], which the rows of the candidate multiply."""
        return {"n": inner["r"] * states["h"][:-1]}

    def sigmoid_gates(self, tape: CellTape) -> dict[str, Array]:
        """Return the activations of the reset and update gates."""
        return {gate: tape.inner[gate] for gate in ("r", "u")}

    def saturated_units(self, tape: CellTape) -> dict[str, Array]:
        """Return the units whose candidate state has a magnitude above 0.9."""
        return {"gate_n": np.abs(tape.inner["n"]) > SATURATED}

    def _step(self, params: Params, x: Array, before: States) -> tuple[States, dict[str, Array]]:
        inputs = input_product(params["W_xh"], x)
        if self.bias:
            inputs = inputs + params["b_h"]
        h, both, last = before["h"], slice(2 * self.hidden_size), self.rows("n")
        r, u = np.split(sigmoid(inputs[both] + params["W_hh"][both] @ h), 2)
        n = tanh(inputs[last] + params["W_hh"][last] @ (r * h))
        return {"h": n + u * (h - n)}, {"r": r, "u": u, "n": n}

    def _adjoint_step(self, params: Params, tape: StepTape, adjoint: States) -> StepDeltas:
        δ, h = adjoint["h"], tape.before["h"]
        r, u, n = (tape.inner[gate] for gate in self.row_gates)
        both, last = slice(2 * self.hidden_size), self.rows("n")
        dz_n = δ * ((1 - u) * (1 - n * n))
        q = params["W_hh"][last].T @ dz_n
        dz_ru = np.concatenate([q * (h * (r - r * r)), δ * ((h - n) * (u - u * u))])
        before = δ * u + q * r + params["W_hh"][both].T @ dz_ru
        dz = np.concatenate([dz_ru, dz_n])
        return StepDeltas({"h": δ}, {"h": before}, dz, dz)
