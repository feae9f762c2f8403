"""LSTM cell.

    i, f, o = σ(W_x· x[t] + W_h· h[t-1] + b·)      g = ψ(W_xg x[t] + W_hg h[t-1] + b_g)
    c[t] = f ∘ c[t-1] + i ∘ g                      h[t] = o ∘ tanh(c[t])

The candidate activation ψ is tanh (as in torch.nn.LSTM) or σ (as in the textbook by Goodfellow et al.).
Backward pass, with the total gradients δ[t] = ∂L/∂h[t] and κ[t] = ∂L/∂c[t]:

    δ[t] = e[t] + W_hhᵀ dz[t+1]                    κ[t] = λ_c[t] + δ[t] ∘ o ∘ (1 - tanh²c[t])
    di = κ∘g    df = κ∘c[t-1]    do = δ∘tanh(c)    dg = κ∘i    λ_c[t-1] = f∘κ

Each gradient with respect to a gate, times the slope of the gate's activation, is the gradient dz with
respect to its pre-activation. The components of the state adjoint λ[t] are λ_h = δ[t] and λ_c. The gradient
κ already includes the path c[t] → h[t], so the norm ‖(δ, κ)‖ would count that path twice.

References:
    Goodfellow, Bengio & Courville (2016), *Deep Learning*, section 10.10.1.
    Gers, Schmidhuber & Cummins (2000), *Learning to forget*, for the forget gate.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import DTypeLike

from rnnlab.arrays import Array, Params
from rnnlab.cells.gated import GatedCell
from rnnlab.engine.activations import ACTIVATIONS, SATURATED, SIGMOID, Activation, tanh
from rnnlab.engine.tapes import CellTape
from rnnlab.initializers import Init


@dataclass(frozen=True)
class LSTM(GatedCell):
    """LSTM cell with candidate activation ψ, optional biases and an initial forget-gate bias."""

    states: ClassVar[tuple[str, ...]] = ("h", "c")
    carried: ClassVar[tuple[str, ...]] = ("c",)
    saved: ClassVar[tuple[str, ...]] = ("tanh_c",)
    totals: ClassVar[tuple[str, ...]] = ("c",)
    forget_gate: ClassVar[str | None] = "f"

    candidate: Literal["tanh", "sigmoid"]
    forget_bias: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.forget_bias and not self.bias:
            raise ValueError(f"forget_bias={self.forget_bias}: must be 0 for a cell without biases")

    @property
    def gates(self) -> dict[str, Activation]:
        """Activations of the output, input and forget gates, and of the candidate."""
        return {"o": SIGMOID, "i": SIGMOID, "f": SIGMOID, "g": ACTIVATIONS[self.candidate]}

    def step_equations(self, o: Any, i: Any, f: Any, g: Any, c_before: Any) -> tuple[Any, ...]:
        """Return h[t], c[t] and tanh(c[t])."""
        c = f * c_before + i * g
        tanh_c = tanh(c)
        return o * tanh_c, c, tanh_c

    def adjoint_equations(
        self, δ: Any, λ_c: Any, o: Any, i: Any, f: Any, g: Any, c_before: Any, tanh_c: Any
    ) -> tuple[Any, ...]:
        """Return κ, the gradients with respect to o, i, f and g, and λ_c[t-1]."""
        κ = λ_c + δ * (o * (1 - tanh_c * tanh_c))
        return κ, δ * tanh_c, κ * g, κ * c_before, κ * i, κ * f

    def init_params(self, rng: np.random.Generator, init: Init, dtype: DTypeLike) -> Params:
        """Draw the parameters, and add `forget_bias` to the bias of the forget gate."""
        params = super().init_params(rng, init, dtype)
        if self.bias:
            params["b_h"][self.rows("f")] += self.forget_bias
        return params

    def saturated_units(self, tape: CellTape) -> dict[str, Array]:
        """Return the units with |tanh c| > 0.9."""
        return {"tanh_c": np.abs(tape.inner["tanh_c"]) > SATURATED}
