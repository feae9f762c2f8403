"""Cells of users: fast cells that only declare their equations, and slow cells with one step each way."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rnnlab.cells import SIGMOID, SPLIT, TANH, Cell, GatedCell, Parameter, StepDeltas, input_product, tanh
from rnnlab.initializers import Init, Initializer, Uniform
from tests.cells.log_space import CELLS as LOG_SPACE
from tests.cells.peephole import Peephole

H, X, B, T = 4, 3, 2, 7


@dataclass(frozen=True)
class Diagonal(GatedCell):
    """Diagonal linear recurrence, h = w ∘ h + W_x x + b, without a recurrent matrix."""

    states: ClassVar = ("h",)
    carried: ClassVar = ("h",)
    recurrent: ClassVar[Mapping[str, str]] = {}
    recurrent_matrix: ClassVar = None
    vectors: ClassVar = ("w",)
    initializers: ClassVar = {"w": Uniform(0.8, 0.95)}
    gates: ClassVar = {"x": SPLIT}

    def step_equations(self, x, a, h, w):
        return h * w + x

    def adjoint_equations(self, δ, a, h, w):
        return δ, 0.0 * δ, δ * w, δ * h


@dataclass(frozen=True)
class Coupled(GatedCell):
    """Oscillators with two states and two recurrent matrices (coRNN, Rusch & Mishra, 2021)."""

    states: ClassVar = ("y", "z")
    output: ClassVar = "y"
    recurrent_state: ClassVar = "y"
    recurrent_matrix: ClassVar = "W_yh"
    recurrent: ClassVar = {"W_yh": "y", "W_zh": "z"}
    carried: ClassVar = ("y", "z")
    totals: ClassVar = ("z",)
    gates: ClassVar = {"a": TANH}

    def step_equations(self, a, y, z):
        new = z + 0.1 * (a - 0.7 * y - 0.5 * z)
        return y + 0.1 * new, new

    def adjoint_equations(self, δ, λ_z, a, y, z):
        ζ = λ_z + 0.1 * δ
        return ζ, 0.1 * ζ, δ + -0.07 * ζ, 0.95 * ζ


@dataclass(frozen=True)
class Bottleneck(GatedCell):
    """A cell whose output is not a state."""

    states: ClassVar = ("h",)
    output: ClassVar = "y"
    saved: ClassVar = ("y",)
    totals: ClassVar = ("h",)
    gates: ClassVar = {"h": TANH, "s": SIGMOID}

    def step_equations(self, h, s):
        return h, h * s

    def adjoint_equations(self, λ_h, d_y, h, s, y):
        total = λ_h + d_y * s
        return total, total, d_y * h


@dataclass(frozen=True)
class Skipping(GatedCell):
    """A cell whose saved value and state both use the input of a split gate."""

    states: ClassVar = ("h",)
    saved: ClassVar = ("n",)
    gates: ClassVar = {"n": SPLIT}
    split_biases: ClassVar = ()

    def step_equations(self, x, a):
        n = tanh(x + a)
        return n + 0.3 * x, n

    def adjoint_equations(self, δ, a, n):
        dz = δ * (1 - n**2)
        return dz + 0.3 * δ, dz


@dataclass(frozen=True)
class Scaled(GatedCell):
    """A cell whose output is a state that does not act on the next time step."""

    states: ClassVar = ("h", "c")
    totals: ClassVar = ("c",)
    recurrent: ClassVar = {"R": "c"}
    recurrent_matrix: ClassVar = "R"
    recurrent_state: ClassVar = "c"
    gates: ClassVar = {"a": TANH}

    def step_equations(self, a):
        return 0.01 * a, a

    def adjoint_equations(self, δ, λ_c, a):
        κ = λ_c + 0.01 * δ
        return κ, κ


@dataclass(frozen=True)
class Normalised(Cell):
    """Vanilla cell with layer normalisation (Ba, Kiros & Hinton, 2016), which is no function of single units."""

    states: ClassVar = ("h",)

    def _step(self, params, x, before):
        z = input_product(params["W_xh"], x) + params["W_hh"] @ before["h"]
        s = np.sqrt(((z - z.mean(axis=0)) ** 2).mean(axis=0) + 1e-3)
        n = (z - z.mean(axis=0)) / s
        h = np.tanh(n + params["b_h"])
        return {"h": h}, {"n": n, "s": s[None]}

    def _adjoint_step(self, params, tape, adjoint):
        n, s, h = tape.inner["n"], tape.inner["s"], tape.after["h"]
        q = (1 - h * h) * adjoint["h"]
        dz = (q - q.mean(axis=0) - n * (q * n).mean(axis=0)) / s
        return StepDeltas(adjoint, {"h": params["W_hh"].T @ dz}, dz, dz, grads={"b_h": q})


@dataclass(frozen=True)
class Projected(Cell):
    """Two states of different sizes: h[t] = P tanh(W_hh h[t-1] + W_xh x[t] + 0.3 m[t-1]), and m[t] with P m = h."""

    states: ClassVar = ("h", "m")
    SMALL: ClassVar = 2

    @property
    def state_sizes(self):
        return {"h": self.SMALL, "m": self.hidden_size}

    def parameters(self):
        return {
            "W_xh": Parameter(H, X, "W_xh"),
            "W_hh": Parameter(H, self.SMALL, "W_hh"),
            "P": Parameter(self.SMALL, H, "W_hh"),
        }

    def _step(self, params, x, before):
        m = np.tanh(input_product(params["W_xh"], x) + params["W_hh"] @ before["h"] + before["m"] * 0.3)
        return {"h": params["P"] @ m, "m": m}, {}

    def _adjoint_step(self, params, tape, adjoint):
        total = adjoint["m"] + params["P"].T @ adjoint["h"]
        dz = (1 - tape.after["m"] ** 2) * total
        before = {"h": params["W_hh"].T @ dz, "m": 0.3 * dz}
        totals = {"h": adjoint["h"], "m": total}
        return StepDeltas(totals, before, dz, dz, grads={"P": adjoint["h"] @ tape.after["m"].T})


@dataclass(frozen=True)
class Doubled(Cell):
    """A cell whose inputs act twice, h[t] = tanh(W_xh x[t] + V x[t] + W_hh h[t-1]), so it gives its own dx."""

    states: ClassVar = ("h",)

    def parameters(self):
        return super().parameters() | {"V": Parameter(self.hidden_size, self.input_size, "W_xh")}

    def _step(self, params, x, before):
        inputs = input_product(params["W_xh"] + params["V"], x)
        z = inputs + params["W_hh"] @ before["h"] + (params["b_h"] if self.bias else 0)
        return {"h": np.tanh(z)}, {}

    def _adjoint_step(self, params, tape, adjoint):
        dz = (1 - tape.after["h"] ** 2) * adjoint["h"]
        x = np.eye(self.input_size, dtype=dz.dtype)[tape.x].T if tape.x.ndim == 1 else tape.x
        dx = (params["W_xh"] + params["V"]).T @ dz
        return StepDeltas(adjoint, {"h": params["W_hh"].T @ dz}, dz, dz, dx, {"V": dz @ x.T})


CELLS = (
    *LOG_SPACE,
    Peephole,
    Diagonal,
    Coupled,
    Bottleneck,
    Skipping,
    Scaled,
    Normalised,
    Projected,
    Doubled,
)


def params_of(cell: Cell) -> dict[str, np.ndarray]:
    init = Init(*(Initializer("normal", 0.8) for _ in range(3)))
    return cell.init_params(np.random.default_rng(0), init, np.float64)
