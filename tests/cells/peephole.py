"""LSTM with peepholes, as a user would write it: this module and one YAML file are all it takes.

    i, f = σ(W_x· x[t] + W_h· h[t-1] + p· ∘ c[t-1] + b·)    g = tanh(W_xg x[t] + W_hg h[t-1] + b_g)
    c[t] = f ∘ c[t-1] + i ∘ g
    o = σ(W_xo x[t] + W_ho h[t-1] + p_o ∘ c[t] + b_o)       h[t] = o ∘ tanh(c[t])

Reference:
    Gers, Schraudolph & Schmidhuber (2002), Learning precise timing with LSTM recurrent networks.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from rnnlab.cells import SPLIT, TANH, GatedCell, sigmoid, tanh


@dataclass(frozen=True)
class Peephole(GatedCell):
    """LSTM whose gates see the cell state."""

    states: ClassVar = ("h", "c")
    carried: ClassVar = ("c",)
    saved: ClassVar = ("i", "f", "o", "tanh_c", "c_now")
    totals: ClassVar = ("c",)
    vectors: ClassVar = ("p_i", "p_f", "p_o")
    gates: ClassVar = {"g": TANH, "i": SPLIT, "f": SPLIT, "o": SPLIT}

    def step_equations(
        self,
        g: Any,
        x_i: Any,
        a_i: Any,
        x_f: Any,
        a_f: Any,
        x_o: Any,
        a_o: Any,
        c: Any,
        p_i: Any,
        p_f: Any,
        p_o: Any,
    ) -> tuple[Any, ...]:
        """Return h[t] and c[t], then the saved values."""
        i, f = sigmoid(x_i + a_i + p_i * c), sigmoid(x_f + a_f + p_f * c)
        new = f * c + i * g
        o, tanh_c = sigmoid(x_o + a_o + p_o * new), tanh(new)
        return o * tanh_c, new, i, f, o, tanh_c, new * 1.0

    def adjoint_equations(
        self,
        δ: Any,
        λ_c: Any,
        g: Any,
        a_i: Any,
        a_f: Any,
        a_o: Any,
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
        """Return κ, then the gradients with respect to g, x and a of each gate, c[t-1], and the peepholes."""
        dz_o = δ * (tanh_c * (o - o * o))
        κ = λ_c + (δ * (o * (1 - tanh_c * tanh_c)) + dz_o * p_o)
        dz_i, dz_f = κ * (g * (i - i * i)), κ * (c * (f - f * f))
        back = κ * f + (dz_i * p_i + dz_f * p_f)
        return κ, κ * i, dz_i, dz_i, dz_f, dz_f, dz_o, dz_o, back, dz_i * c, dz_f * c, dz_o * c_now
