"""The vanilla recurrent cell.

    z[t] = W_xh x[t] + W_hh h[t-1] + b_h          h[t] = φ(z[t])

Backward pass, given the immediate gradient e[t] = ∂ℓ[t]/∂h[t] of the loss at time step t:

    δ[t]  = e[t] + W_hhᵀ dz[t+1]      total gradient ∂L/∂h[t], with dz[T+1] = 0
    dz[t] = φ'(z[t]) ∘ δ[t]
    dW_hh = Σ_t dz[t] h[t-1]ᵀ

In terms of h, the derivative φ' is 1 - h² for tanh and 1 for the identity. For relu, φ' is 1 if h > 0 and 0
otherwise.

References:
    Goodfellow, Bengio & Courville (2016), *Deep Learning*, section 10.2.2.
    Shah, *RNN backpropagation*, and Brown, *Gradients for an RNN*, for the cell without biases.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from rnnlab.arrays import Array
from rnnlab.cells.gated import GatedCell
from rnnlab.engine.activations import ACTIVATIONS, Activation
from rnnlab.engine.tapes import CellTape


@dataclass(frozen=True)
class Vanilla(GatedCell):
    """Vanilla recurrent cell with activation function φ and an optional bias."""

    states: ClassVar[tuple[str, ...]] = ("h",)

    nonlinearity: Literal["tanh", "relu", "identity"]

    @property
    def gates(self) -> dict[str, Activation]:
        """Activation φ of the only gate, h."""
        return {"h": ACTIVATIONS[self.nonlinearity]}

    @property
    def activation(self) -> Activation:
        """Activation φ."""
        return ACTIVATIONS[self.nonlinearity]

    def step_equations(self, y: Any) -> tuple[Any]:
        """Return h[t] = y, where y = φ(z[t])."""
        return (y,)

    def adjoint_equations(self, δ: Any, y: Any) -> tuple[Any]:
        """Return the gradient δ with respect to y = h[t]."""
        return (δ,)

    def saturated_units(self, tape: CellTape) -> dict[str, Array]:
        """Return the units with |h| > 0.9 for tanh, or with h = 0 for relu."""
        saturated = ACTIVATIONS[self.nonlinearity].saturated
        return {} if saturated is None else {"h": saturated(tape.states["h"][1:])}
