"""LSTM with peepholes, as a user would write it: this module and one YAML file are all it takes.

    z_i, z_f, z_o = W_x· x[t] + W_h· h[t-1] + b·            g = tanh(W_xg x[t] + W_hg h[t-1] + b_g)
    i, f = σ(z_i + p_i ∘ c[t-1]), σ(z_f + p_f ∘ c[t-1])    c[t] = f ∘ c[t-1] + i ∘ g
    o = σ(z_o + p_o ∘ c[t])                                h[t] = o ∘ tanh(c[t])

Reference:
    Gers, Schraudolph & Schmidhuber (2002), Learning precise timing with LSTM recurrent networks.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from rnnlab.cells import IDENTITY, TANH, GatedCell, sigmoid, tanh


@dataclass(frozen=True)
class Peephole(GatedCell):
    """LSTM whose gates see the cell state; the equations activate them, after addition of the peepholes."""

    states: ClassVar = ("h", "c")
    carried: ClassVar = ("c",)
    saved: ClassVar = ("i", "f", "o", "tanh_c", "c_now")
    saved_gates: ClassVar = ("i", "f", "o")
    forget_gate: ClassVar = "f"
    totals: ClassVar = ("c",)
    vectors: ClassVar = ("p_i", "p_f", "p_o")
    gates: ClassVar = {"g": TANH, "i": IDENTITY, "f": IDENTITY, "o": IDENTITY}

    def step_equations(
        self, g: Any, z_i: Any, z_f: Any, z_o: Any, c: Any, p_i: Any, p_f: Any, p_o: Any
    ) -> tuple[Any, ...]:
        """Return h[t] and c[t], then the saved values."""
        i, f = sigmoid(z_i + p_i * c), sigmoid(z_f + p_f * c)
        new = f * c + i * g
        o, tanh_c = sigmoid(z_o + p_o * new), tanh(new)
        return o * tanh_c, new, i, f, o, tanh_c, new * 1.0

    def adjoint_equations(
        self,
        δ: Any,
        λ_c: Any,
        g: Any,
        z_i: Any,
        z_f: Any,
        z_o: Any,
        c: Any,
        p_i: Any,
        p_f: Any,
        p_o: Any,
        i: Any,
        f: Any,
        o: Any,
        tanh_c: Any,
        c_now: Any,
    ) -> tuple[Any, ...]:
        """Return κ, then the gradients with respect to g, z of each gate, c[t-1], and the peepholes."""
        dz_o = δ * (tanh_c * (o - o * o))
        κ = λ_c + (δ * (o * (1 - tanh_c * tanh_c)) + dz_o * p_o)
        dz_i, dz_f = κ * (g * (i - i * i)), κ * (c * (f - f * f))
        back = κ * f + (dz_i * p_i + dz_f * p_f)
        return κ, κ * i, dz_i, dz_f, dz_o, back, dz_i * c, dz_f * c, dz_o * c_now
