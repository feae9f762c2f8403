"""Cells with exponential gates, in log space, and with a normalised complex recurrence."""

from dataclasses import dataclass
from typing import ClassVar

from rnnlab.cells import (
    IDENTITY,
    SIGMOID,
    TANH,
    GatedCell,
    absolute,
    cos,
    exp,
    log,
    log1p,
    maximum,
    positive,
    relu,
    sigmoid,
    sin,
    softplus,
    sqrt,
)
from rnnlab.initializers import Uniform


@dataclass(frozen=True)
class ExponentialLSTM(GatedCell):
    """LSTM with exponential gates, a normaliser n and a stabiliser m (sLSTM; Beck et al., 2024).

    m = max(z_f + m[t-1], z_i)    i, f = exp(z_i - m), exp(z_f + m[t-1] - m)
    c = f c[t-1] + i g            n = f n[t-1] + i            h = o c / n
    """

    states: ClassVar = ("h", "c", "n", "m")
    carried: ClassVar = ("c", "n", "m")
    saved: ClassVar = ("i", "f")
    totals: ClassVar = ("c", "n", "m")
    gates: ClassVar = {"o": SIGMOID, "g": TANH, "z_i": IDENTITY, "z_f": IDENTITY}

    def step_equations(self, o, g, z_i, z_f, c, n, m):
        kept = z_f + m
        new_m = maximum(kept, z_i)
        i, f = exp(z_i - new_m), exp(kept - new_m)
        new_c, new_n = f * c + i * g, f * n + i
        return o * (new_c / new_n), new_c, new_n, new_m, i, f

    def adjoint_equations(self, δ, λ_c, λ_n, λ_m, o, g, z_i, z_f, c, n, m, i, f):
        new_c, new_n = f * c + i * g, f * n + i
        κ_c = λ_c + δ * (o / new_n)
        κ_n = λ_n - δ * (o * new_c / new_n**2)
        d_i, d_f = (κ_c * g + κ_n) * i, (κ_c * c + κ_n * n) * f
        μ = λ_m - d_i - d_f
        keeps = positive(z_f + m - z_i)
        d_kept = d_f + μ * keeps
        d_o = δ * (new_c / new_n)
        return κ_c, κ_n, μ, d_o, κ_c * i, d_i + μ * (1 - keeps), d_kept, κ_c * f, κ_n * f, d_kept


@dataclass(frozen=True)
class LogMinGRU(GatedCell):
    """minGRU in log space (Feng et al., 2024): y = (1 - u) y[t-1] + u g(v), with the state ln y.

    u = σ(z)    g(v) = v + ½ for v ≥ 0, otherwise σ(v)    ln y = ln(exp(ln(1-u) + ln y[t-1]) + exp(ln u + ln g))
    """

    states: ClassVar = ("ln_y",)
    output: ClassVar = "y"
    carried: ClassVar = ("ln_y",)
    saved: ClassVar = ("y", "share")
    totals: ClassVar = ("ln_y",)
    recurrent: ClassVar = {}
    recurrent_matrix: ClassVar = None
    recurrent_state: ClassVar = "ln_y"
    gates: ClassVar = {"z": IDENTITY, "v": IDENTITY}

    def step_equations(self, z, v, ln_y):
        kept = ln_y - softplus(z)
        added = log(relu(v) + sigmoid(-relu(-v))) - softplus(-z)
        new = maximum(kept, added) + log1p(exp(-absolute(kept - added)))
        return new, exp(new), exp(kept - new)

    def adjoint_equations(self, λ_ln_y, d_y, z, v, ln_y, y, share):
        total = λ_ln_y + d_y * y
        d_kept, d_added = total * share, total * (1 - share)
        u, σ = sigmoid(z), sigmoid(v)
        slope = positive(v) / (relu(v) + 0.5) + (1 - positive(v)) * (1 - σ)
        return total, d_added * (1 - u) - d_kept * u, d_added * slope, d_kept


@dataclass(frozen=True)
class LinearUnits(GatedCell):
    """Linear recurrent units (LRU; Orvieto et al., 2023), whose complex states are pairs of real ones.

    s = λ s[t-1] + √(1 - |λ|²) z        λ = exp(-exp ν + i exp θ)
    """

    states: ClassVar = ("re", "im")
    output: ClassVar = "re"
    carried: ClassVar = ("re", "im")
    recurrent: ClassVar = {}
    recurrent_matrix: ClassVar = None
    vectors: ClassVar = ("ν", "θ")
    initializers: ClassVar = {"ν": Uniform(-3.0, -1.0), "θ": Uniform(-2.0, 1.0)}
    gates: ClassVar = {"z_re": IDENTITY, "z_im": IDENTITY}

    def step_equations(self, z_re, z_im, re, im, ν, θ):
        ρ, φ = exp(-exp(ν)), exp(θ)
        γ = sqrt(1 - ρ * ρ)
        new_re = ρ * (cos(φ) * re - sin(φ) * im) + γ * z_re
        return new_re, ρ * (sin(φ) * re + cos(φ) * im) + γ * z_im

    def adjoint_equations(self, δ, λ_im, z_re, z_im, re, im, ν, θ):
        ρ, φ = exp(-exp(ν)), exp(θ)
        γ, cosine, sine = sqrt(1 - ρ * ρ), cos(φ), sin(φ)
        turned_re, turned_im = cosine * re - sine * im, sine * re + cosine * im
        d_ρ = δ * (turned_re - ρ / γ * z_re) + λ_im * (turned_im - ρ / γ * z_im)
        d_φ = λ_im * (ρ * turned_re) - δ * (ρ * turned_im)
        back_re, back_im = δ * (ρ * cosine) + λ_im * (ρ * sine), λ_im * (ρ * cosine) - δ * (ρ * sine)
        return δ * γ, λ_im * γ, back_re, back_im, d_ρ * (-exp(ν) * ρ), d_φ * φ


CELLS = (ExponentialLSTM, LogMinGRU, LinearUnits)
