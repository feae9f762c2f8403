"""The LSTM cell.

    i, f, o = σ(W_x· x[t] + W_h· h[t-1] + b·)      g = ψ(W_xg x[t] + W_hg h[t-1] + b_g)
    c[t] = f ∘ c[t-1] + i ∘ g                      h[t] = o ∘ tanh(c[t])

ψ is tanh (as torch.nn.LSTM) or σ (as the textbook). Backward, with δ[t] the total ∂L/∂h[t] and κ[t]
the total ∂L/∂c[t]:

    δ[t] = e[t] + W_hhᵀ dz[t+1]                    κ[t] = δ[t] ∘ o ∘ (1 - tanh²c[t]) + f[t+1] ∘ κ[t+1]
    dz_i = κ∘g∘i(1-i)    dz_f = κ∘c[t-1]∘f(1-f)    dz_o = δ∘tanh(c)∘o(1-o)    dz_g = κ∘i∘ψ'

with ψ' = 1 - g² for tanh and g(1 - g) for σ. The state adjoint is λ_h = δ[t], λ_c = f[t+1] ∘ κ[t+1];
κ already holds what flows c[t] → h[t], so ‖(δ, κ)‖ would count that twice.

Two things make it fast without changing an equation. The blocks stand in the order g, i, f, o, so that
the sigmoid gates i, f, o are contiguous and so are g, i, f, the gates that κ drives. And because
σ(z) = ½ tanh(z/2) + ½, the sigmoid rows of the weights are halved before the loop and one tanh serves
all four gates.

References:
    I. Goodfellow, Y. Bengio & A. Courville, *Deep Learning* (2016), section 10.10.1; F. A. Gers,
    J. Schmidhuber & F. Cummins, *Learning to forget* (2000), for the forget gate.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import DTypeLike

from rnnlab.arrays import Array, Params, Workspace
from rnnlab.cells.base import Cell, draw_params
from rnnlab.cells.gating import halved, sigmoid
from rnnlab.cells.tapes import CellDeltas, CellTape, States, StepDeltas, StepTape
from rnnlab.cells.weights import cell_gradients, project_inputs
from rnnlab.initializers import Init


@dataclass(frozen=True)
class LSTM(Cell):
    """The LSTM cell: sizes, candidate function ψ, bias, and what is added to the forget gate's bias."""

    gates: ClassVar[tuple[str, ...]] = ("g", "i", "f", "o")
    states: ClassVar[tuple[str, ...]] = ("h", "c")

    candidate: Literal["tanh", "sigmoid"]
    forget_bias: float

    def __post_init__(self) -> None:
        if self.forget_bias and not self.bias:
            raise ValueError(f"forget_bias: got {self.forget_bias}, but a cell without bias has none to set")

    def init_params(self, rng: np.random.Generator, init: Init, dtype: DTypeLike) -> Params:
        """Draw `W_xh` (4H, X), `W_hh` (4H, H) and, with a bias, `b_h` (4H, 1); rows g, i, f, o."""
        params = draw_params(self, rng, init, dtype)
        if self.bias:
            params["b_h"][self.rows("f")] += self.forget_bias
        return params

    def adjoint_step(self, params: Params, tape: StepTape, adjoint: States) -> StepDeltas:
        """The backward equations as they stand, with δ = λ_h; see `Cell.adjoint_step`."""
        g, i, f, o = np.split(tape.inner["gates"], 4)
        tanh_c = tape.inner["tanh_c"]
        δ = adjoint["h"]
        κ = adjoint["c"] + δ * o * (1 - tanh_c * tanh_c)
        slope_g = 1 - g * g if self.candidate == "tanh" else g * (1 - g)
        dz_g, dz_i = κ * i * slope_g, κ * g * i * (1 - i)
        dz_f, dz_o = κ * tape.before["c"] * f * (1 - f), δ * tanh_c * o * (1 - o)
        dz = np.concatenate([dz_g, dz_i, dz_f, dz_o])
        return StepDeltas({"h": δ, "c": κ}, {"h": params["W_hh"].T @ dz, "c": f * κ}, dz)

    def state_adjoints(self, tape: CellTape, deltas: CellDeltas) -> dict[str, Array]:
        """λ_h[t] = δ[t], λ_c[t] = f[t+1] ∘ κ[t+1], which is 0 at the last step."""
        λ_c = np.zeros_like(deltas.total["c"])
        np.multiply(tape.inner["gates"][1:, self.rows("f")], deltas.total["c"][1:], out=λ_c[:-1])
        return {"h": deltas.total["h"], "c": λ_c}

    def recurrent_deltas(self, inner: Mapping[str, Array], dz: Array) -> Array:
        """dz: z is linear in W_hh h[t-1]."""
        return dz

    def _step(self, params: Params, inputs: Array, before: States) -> tuple[States, dict[str, Array]]:
        z_g, z_i, z_f, z_o = np.split(inputs + params["W_hh"] @ before["h"], 4)
        g = np.tanh(z_g) if self.candidate == "tanh" else sigmoid(z_g)
        i, f, o = sigmoid(z_i), sigmoid(z_f), sigmoid(z_o)
        c = f * before["c"] + i * g
        tanh_c = np.tanh(c)
        return {"h": o * tanh_c, "c": c}, {"gates": np.concatenate([g, i, f, o]), "tanh_c": tanh_c}

    def _forward(
        self, params: Params, x: Array, states: Mapping[str, Array], workspace: Workspace
    ) -> dict[str, Array]:
        """The tape's `inner` holds the activated `gates` (T, 4H, B) and `tanh_c` (T, H, B)."""
        h, c = states["h"], states["c"]
        H = self.hidden_size
        squash = self.rows("g", "o") if self.candidate == "sigmoid" else self.rows("i", "o")
        W_xh, W_hh, b_h = halved(params, squash, "W_xh", "W_hh", "b_h")

        gates = workspace.array("gates", (len(x), 4 * H, h.shape[2]), h.dtype)
        tanh_c = workspace.array("tanh_c", h[1:].shape, h.dtype)
        recurrent = workspace.array("recurrent", gates[0].shape, h.dtype)
        written = workspace.array("written", h[0].shape, h.dtype)
        project_inputs(W_xh, b_h, x, out=gates)
        half = np.array(0.5, h.dtype)

        def sequences() -> tuple[Array, ...]:
            by_gate = (gates[:, self.rows(gate)] for gate in self.gates)
            return gates, gates[:, squash], *by_gate, h[:-1], h[1:], c[:-1], c[1:], tanh_c

        steps = workspace.steps(f"lstm_{self.candidate}_forward", (gates, h, c, tanh_c), sequences)
        for z, sigmoids, g, i, f, o, h_before, h_t, c_before, c_t, tanh_c_t in steps:
            np.matmul(W_hh, h_before, out=recurrent)
            np.add(z, recurrent, out=z)
            np.tanh(z, out=z)
            np.multiply(sigmoids, half, out=sigmoids)
            np.add(sigmoids, half, out=sigmoids)
            np.multiply(f, c_before, out=c_t)
            np.multiply(i, g, out=written)
            np.add(c_t, written, out=c_t)
            np.tanh(c_t, out=tanh_c_t)
            np.multiply(o, tanh_c_t, out=h_t)
        return {"gates": gates, "tanh_c": tanh_c}

    def _backward(self, params: Params, tape: CellTape, e: Array, workspace: Workspace) -> CellDeltas:
        time, H, batch = e.shape
        W_hhT = np.ascontiguousarray(params["W_hh"].T)
        f = tape.inner["gates"][:, self.rows("f")]
        dz = self._slopes(tape, workspace)  # the factors beside κ and δ for now, dz in the loop
        c_from_h = self._c_from_h(tape, workspace)
        total_h = workspace.array("total_h", e.shape, e.dtype)
        total_c = workspace.array("total_c", e.shape, e.dtype)
        back_h, back_c = np.zeros_like(e[0], order="C"), np.zeros_like(e[0], order="C")

        def sequences() -> tuple[Array, ...]:
            dz_gif = dz[:, : 3 * H].reshape(time, 3, H, batch)
            return e, total_h, total_c, c_from_h, f, dz, dz_gif, dz[:, 3 * H :]

        owners = (e, total_h, total_c, c_from_h, tape.inner["gates"], dz)
        steps = workspace.steps("lstm_backward", owners, sequences)
        for e_t, δ, κ, c_from_h_t, f_t, dz_t, dz_gif_t, dz_o_t in reversed(steps):
            np.add(e_t, back_h, out=δ)
            np.multiply(δ, c_from_h_t, out=κ)
            np.add(κ, back_c, out=κ)
            np.multiply(dz_gif_t, κ, out=dz_gif_t)
            np.multiply(dz_o_t, δ, out=dz_o_t)
            np.matmul(W_hhT, dz_t, out=back_h)
            np.multiply(f_t, κ, out=back_c)
        grads, dx = cell_gradients(params, tape, dz, workspace)
        immediate = {"h": e, "c": np.multiply(e, c_from_h, out=c_from_h)}
        initial = {"h": back_h, "c": back_c}
        return CellDeltas(grads, {"h": total_h, "c": total_c}, immediate, dz, dx, initial)

    def _c_from_h(self, tape: CellTape, workspace: Workspace) -> Array:
        """o ∘ (1 - tanh²c), how much of δ reaches κ at the same step, (T, H, B)."""
        tanh_c = tape.inner["tanh_c"]
        out = workspace.array("c_from_h", tanh_c.shape, tanh_c.dtype)
        np.multiply(tanh_c, tanh_c, out=out)
        np.subtract(1, out, out=out)
        out *= tape.inner["gates"][:, self.rows("o")]
        return out

    def _slopes(self, tape: CellTape, workspace: Workspace) -> Array:
        """What stands beside κ (g, i, f) and δ (o) in dz, for all time steps at once, (T, 4H, B)."""
        gates, tanh_c, c = tape.inner["gates"], tape.inner["tanh_c"], tape.states["c"]
        out = workspace.array("dz", gates.shape, gates.dtype)
        np.multiply(gates, gates, out=out)
        g, i = gates[:, self.rows("g")], gates[:, self.rows("i")]
        if self.candidate == "tanh":
            np.subtract(1, out[:, self.rows("g")], out=out[:, self.rows("g")])
            sigmoids = self.rows("i", "o")
        else:
            sigmoids = self.rows("g", "o")
        np.subtract(gates[:, sigmoids], out[:, sigmoids], out=out[:, sigmoids])  # s - s² = s(1 - s)
        out[:, self.rows("g")] *= i
        out[:, self.rows("i")] *= g
        out[:, self.rows("f")] *= c[:-1]
        out[:, self.rows("o")] *= tanh_c
        return out
