"""The GRU cell, as torch.nn.GRU.

    r, u = σ(W_x· x[t] + W_h· h[t-1] + b·)         a[t] = W_hn h[t-1] + b_hn
    n = tanh(W_xn x[t] + b_xn + r ∘ a[t])          h[t] = (1 - u) ∘ n + u ∘ h[t-1]

The reset gate r stands outside the product W_hn h[t-1], so that product has a bias b_hn of its own.
Backward, with δ[t] the total ∂L/∂h[t]:

    dz_n = δ∘(1-u)∘(1-n²)    dz_u = δ∘(h[t-1]-n)∘u(1-u)    dz_r = dz_n∘a∘r(1-r)    da = r∘dz_n
    δ[t-1] = e[t-1] + u∘δ[t] + W_hhᵀ [da; dz_r; dz_u]
    dW_hh = Σ_t [da; dz_r; dz_u] h[t-1]ᵀ           db_hn = Σ_t da 1

The blocks stand in the order n, r, u, the sigmoid gates together. All four of dz_n, dz_r, dz_u and da
are δ times a factor that is known before the loop; in one array, in this order, its first three blocks
are dz and its last three what W_hhᵀ takes.

References:
    K. Cho et al., *Learning phrase representations using RNN encoder-decoder* (2014), with the reset
    gate placed as in torch.nn.GRU.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike

from rnnlab.arrays import Array, Params, Workspace, by_feature
from rnnlab.cells.base import Cell, draw_params
from rnnlab.cells.gating import halved, sigmoid
from rnnlab.cells.tapes import CellDeltas, CellTape, States, StepDeltas, StepTape
from rnnlab.cells.weights import input_gradients, project_inputs, recurrent_gradient
from rnnlab.initializers import Init


@dataclass(frozen=True)
class GRU(Cell):
    """The GRU cell: sizes and whether there are biases."""

    gates: ClassVar[tuple[str, ...]] = ("n", "r", "u")
    states: ClassVar[tuple[str, ...]] = ("h",)
    recurrent_biases: ClassVar[Mapping[str, str]] = {"b_hn": "n"}

    def init_params(self, rng: np.random.Generator, init: Init, dtype: DTypeLike) -> Params:
        """Draw `W_xh` (3H, X), `W_hh` (3H, H) and, with biases, `b_h` (3H, 1), rows n, r, u, and `b_hn`."""
        return draw_params(self, rng, init, dtype)

    def adjoint_step(self, params: Params, tape: StepTape, adjoint: States) -> StepDeltas:
        """The backward equations as they stand, with δ = λ; see `Cell.adjoint_step`."""
        n, r, u = np.split(tape.inner["gates"], 3)
        δ = adjoint["h"]
        dz_n = δ * (1 - u) * (1 - n * n)
        dz_u = δ * (tape.before["h"] - n) * u * (1 - u)
        dz_r = dz_n * tape.inner["a"] * r * (1 - r)
        dz = np.concatenate([dz_n, dz_r, dz_u])
        before = u * δ + params["W_hh"].T @ self.recurrent_deltas(tape.inner, dz)
        return StepDeltas({"h": δ}, {"h": before}, dz)

    def state_adjoints(self, tape: CellTape, deltas: CellDeltas) -> dict[str, Array]:
        """λ = δ: the state is h alone."""
        return {"h": deltas.total["h"]}

    def recurrent_deltas(self, inner: Mapping[str, Array], dz: Array) -> Array:
        """[da; dz_r; dz_u]: dz with r ∘ dz_n in its first block."""
        recurrent = dz.copy()
        recurrent[..., self.rows("n"), :] *= inner["gates"][..., self.rows("r"), :]
        return recurrent

    def _step(self, params: Params, inputs: Array, before: States) -> tuple[States, dict[str, Array]]:
        z_n, z_r, z_u = np.split(inputs, 3)
        a, a_r, a_u = np.split(params["W_hh"] @ before["h"], 3)
        if self.bias:
            a = a + params["b_hn"]
        r, u = sigmoid(z_r + a_r), sigmoid(z_u + a_u)
        n = np.tanh(z_n + r * a)
        return {"h": (1 - u) * n + u * before["h"]}, {"gates": np.concatenate([n, r, u]), "a": a}

    def _forward(
        self, params: Params, x: Array, states: Mapping[str, Array], workspace: Workspace
    ) -> dict[str, Array]:
        """The tape's `inner` holds the activated `gates` (T, 3H, B) and `a` (T, H, B)."""
        h, H = states["h"], self.hidden_size
        W_xh, W_hh, b_h = halved(params, self.rows("r", "u"), "W_xh", "W_hh", "b_h")
        gates = workspace.array("gates", (len(x), 3 * H, h.shape[2]), h.dtype)
        a = workspace.array("a", h[1:].shape, h.dtype)
        recurrent = workspace.array("recurrent", gates[0].shape, h.dtype)
        recurrent_n, recurrent_ru = recurrent[:H], recurrent[H:]
        project_inputs(W_xh, b_h, x, out=gates)
        b_hn = params.get("b_hn", np.zeros((H, 1), h.dtype))
        half = np.array(0.5, h.dtype)

        def sequences() -> tuple[Array, ...]:
            n, r, u = (gates[:, self.rows(gate)] for gate in self.gates)
            return n, gates[:, H:], r, u, a, h[:-1], h[1:]

        steps = workspace.steps("gru_forward", (gates, a, h), sequences)
        for n, sigmoids, r, u, a_t, h_before, h_t in steps:
            np.matmul(W_hh, h_before, out=recurrent)
            np.add(sigmoids, recurrent_ru, out=sigmoids)
            np.tanh(sigmoids, out=sigmoids)
            np.multiply(sigmoids, half, out=sigmoids)
            np.add(sigmoids, half, out=sigmoids)
            np.add(recurrent_n, b_hn, out=a_t)
            np.multiply(r, a_t, out=recurrent_n)
            np.add(n, recurrent_n, out=n)
            np.tanh(n, out=n)
            np.subtract(h_before, n, out=h_t)  # h = n + u ∘ (h[t-1] - n)
            np.multiply(u, h_t, out=h_t)
            np.add(n, h_t, out=h_t)
        return {"gates": gates, "a": a}

    def _backward(self, params: Params, tape: CellTape, e: Array, workspace: Workspace) -> CellDeltas:
        time, H, batch = e.shape
        n_last = np.concatenate([params["W_hh"][H:], params["W_hh"][:H]])  # as the loop's dz_r, dz_u, da
        W_hhT = np.ascontiguousarray(n_last.T)
        total = workspace.array("total_h", e.shape, e.dtype)
        blocks = self._slopes(tape, workspace)  # the factors beside δ for now, dz and da in the loop
        u = tape.inner["gates"][:, self.rows("u")]
        back, kept = np.zeros_like(e[0], order="C"), np.empty_like(e[0], order="C")

        def sequences() -> tuple[Array, ...]:
            return e, total, u, blocks.reshape(time, 4, H, batch), blocks[:, H:]

        steps = workspace.steps("gru_backward", (e, total, tape.inner["gates"], blocks), sequences)
        for e_t, δ, u_t, blocks_t, recurrent_t in reversed(steps):
            np.add(e_t, back, out=δ)
            np.multiply(blocks_t, δ, out=blocks_t)
            np.matmul(W_hhT, recurrent_t, out=back)
            np.multiply(u_t, δ, out=kept)
            np.add(back, kept, out=back)
        dz, blocks_all = blocks[:, : 3 * H], by_feature(blocks, workspace, "dz_by_feature")
        grads, dx = input_gradients(params, tape.x, dz, blocks_all[: 3 * H], workspace)
        da, ru = blocks_all[3 * H :], blocks_all[H : 3 * H]
        grads["W_hh"] = recurrent_gradient(params["W_hh"], (da, ru), tape.states["h"][:-1], workspace)
        if self.bias:
            grads["b_hn"] = da.sum(axis=1, keepdims=True)
        return CellDeltas(grads, {"h": total}, {"h": e}, dz, dx, {"h": back})

    def _slopes(self, tape: CellTape, workspace: Workspace) -> Array:
        """What stands beside δ in dz_n, dz_r, dz_u and da, for all time steps at once, (T, 4H, B)."""
        gates, a, h_before = tape.inner["gates"], tape.inner["a"], tape.states["h"][:-1]
        time, H, batch = h_before.shape
        out = workspace.array("dz_and_da", (time, 4 * H, batch), gates.dtype)
        n, r, u = (gates[:, self.rows(gate)] for gate in self.gates)
        dz_n, dz_r, dz_u, da = (out[:, i * H : (i + 1) * H] for i in range(4))
        np.multiply(gates, gates, out=out[:, : 3 * H])
        np.subtract(1, dz_n, out=dz_n)
        np.subtract(gates[:, H:], out[:, H : 3 * H], out=out[:, H : 3 * H])  # s - s² = s(1 - s)
        np.subtract(1, u, out=da)
        dz_n *= da
        dz_r *= a
        dz_r *= dz_n
        np.multiply(r, dz_n, out=da)
        np.subtract(h_before, n, out=(difference := workspace.array("h_minus_n", h_before.shape, n.dtype)))
        dz_u *= difference
        return out
