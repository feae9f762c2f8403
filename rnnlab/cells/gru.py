"""GRU cell with the equations of torch.nn.GRU.

    r, u = σ(W_x· x[t] + W_h· h[t-1] + b·)         a[t] = W_hn h[t-1] + b_hn
    n = tanh(W_xn x[t] + b_xn + r ∘ a[t])          h[t] = (1 - u) ∘ n + u ∘ h[t-1]

The reset gate r multiplies the product W_hn h[t-1] rather than h[t-1], so the product has its own bias b_hn.
Backward pass, with the total gradient δ[t] = ∂L/∂h[t]:

    dz_n = δ∘(1-u)∘(1-n²)    du = δ∘(h[t-1]-n)    dr = dz_n∘a    da = r∘dz_n
    δ[t-1] = e[t-1] + u∘δ[t] + W_hhᵀ [dz_r; dz_u; da]
    dW_hh = Σ_t [dz_r; dz_u; da] h[t-1]ᵀ           db_hn = Σ_t da 1

The gradients dr and du, times the slopes of σ, are dz_r and dz_u. The rows of the weights are grouped by
gate, in the order r, u, n.

References:
    Cho et al. (2014), *Learning phrase representations using RNN encoder-decoder*; here, the reset gate is
    applied as in torch.nn.GRU. With `reset_after=False`, the cell is a `rnnlab.cells.gru_reset_before`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from rnnlab.arrays import Array
from rnnlab.cells.gated import GatedCell
from rnnlab.cells.gru_reset_before import GRUResetBefore
from rnnlab.engine.activations import SATURATED, SIGMOID, SPLIT, Activation, tanh
from rnnlab.engine.tapes import CellTape


@dataclass(frozen=True)
class GRU(GatedCell):
    """GRU cell with optional biases.

    `reset_after=False` gives a `GRUResetBefore`, whose reset gate multiplies h[t-1] instead of the product.
    """

    states: ClassVar[tuple[str, ...]] = ("h",)
    carried: ClassVar[tuple[str, ...]] = ("h",)
    saved: ClassVar[tuple[str, ...]] = ("n",)

    later_keys: ClassVar[Mapping[str, bool]] = {"reset_after": True}
    """Values of keys that configurations of earlier versions lack."""

    reset_after: bool = field(kw_only=True)

    def __new__(cls, *sizes: int, **options: Any) -> Any:
        """Return a GRU, or a GRUResetBefore."""
        if options.pop("reset_after", True):
            return super().__new__(cls)
        return GRUResetBefore(*sizes, **options)

    @property
    def gates(self) -> dict[str, Activation]:
        """Activations of the reset and update gates; the candidate n applies its own."""
        return {"r": SIGMOID, "u": SIGMOID, "n": SPLIT}

    def step_equations(self, r: Any, u: Any, x_n: Any, a: Any, h_before: Any) -> tuple[Any, ...]:
        """Return h[t] and n; this form of h[t] takes one operation less than the docstring's."""
        n = tanh(x_n + r * a)
        return n + u * (h_before - n), n

    def adjoint_equations(self, δ: Any, r: Any, u: Any, a: Any, h_before: Any, n: Any) -> tuple[Any, ...]:
        """Return the gradients with respect to r, u, x_n and a, and u ∘ δ."""
        dz_n = δ * ((1 - u) * (1 - n * n))
        return dz_n * a, δ * (h_before - n), dz_n, dz_n * r, δ * u

    def saturated_units(self, tape: CellTape) -> dict[str, Array]:
        """Return the units whose candidate state has a magnitude above 0.9."""
        return {"gate_n": np.abs(tape.inner["n"]) > SATURATED}
