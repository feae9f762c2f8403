"""GRU cell with the equations of torch.nn.GRU.

    r, u = σ(W_x· x[t] + W_h· h[t-1] + b·)         a[t] = W_hn h[t-1] + b_hn
    n = tanh(W_xn x[t] + b_xn + r ∘ a[t])          h[t] = (1 - u) ∘ n + u ∘ h[t-1]

The reset gate r multiplies the product W_hn h[t-1] rather than h[t-1], so the product has its own bias b_hn.
Backward pass, with the total gradient δ[t] = ∂L/∂h[t]:

    dz_n = δ∘(1-u)∘(1-n²)    dz_u = δ∘(h[t-1]-n)∘u(1-u)    dz_r = dz_n∘a∘r(1-r)    da = r∘dz_n
    δ[t-1] = e[t-1] + u∘δ[t] + W_hhᵀ [da; dz_r; dz_u]
    dW_hh = Σ_t [da; dz_r; dz_u] h[t-1]ᵀ           db_hn = Σ_t da 1

The rows of the weights are grouped by gate, in the order r, u, n. In the forward pass, one matrix product
gives [a; z_r; z_u], in which the rows of the sigmoid gates are contiguous. In the backward pass, dz_r, dz_u,
dz_n and da are δ multiplied by factors that are computed before the loop over time steps. W_hhᵀ multiplies
the first three blocks of [da; dz_r; dz_u; dz_n]; the last three blocks form dz.

References:
    Cho et al. (2014), *Learning phrase representations using RNN encoder-decoder*; here, the reset gate is
    applied as in torch.nn.GRU.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike

from rnnlab.arrays import Array, Params
from rnnlab.blas import step_product
from rnnlab.cells.base import Cell, draw_params
from rnnlab.cells.gating import halve_rows, sigmoid
from rnnlab.cells.tapes import CellDeltas, CellTape, States, StepDeltas, StepTape
from rnnlab.cells.weights import (
    add_by_symbol,
    add_product,
    chunk_by_feature,
    chunks_of_time,
    gather_inputs,
    input_gradient,
    is_symbols,
    symbol_gradients,
)
from rnnlab.initializers import Init
from rnnlab.workspace import Workspace, unbuffered


@dataclass(frozen=True)
class GRU(Cell):
    """GRU cell with optional biases."""

    gates: ClassVar[tuple[str, ...]] = ("r", "u", "n")
    sigmoid_gates: ClassVar[tuple[str, ...]] = ("r", "u")
    states: ClassVar[tuple[str, ...]] = ("h",)
    recurrent_biases: ClassVar[Mapping[str, str]] = {"b_hn": "n"}

    def init_params(self, rng: np.random.Generator, init: Init, dtype: DTypeLike) -> Params:
        """Draw `W_xh`, `W_hh` and any biases `b_h` and `b_hn`; the gates are in the order r, u, n."""
        return draw_params(self, rng, init, dtype)

    def adjoint_step(self, params: Params, tape: StepTape, adjoint: States) -> StepDeltas:
        """Evaluate the backward equations with δ = λ; see `Cell.adjoint_step`."""
        r, u, n = np.split(tape.inner["gates"], 3)
        δ = adjoint["h"]
        dz_n = δ * (1 - u) * (1 - n * n)
        dz_u = δ * (tape.before["h"] - n) * u * (1 - u)
        dz_r = dz_n * tape.inner["a"] * r * (1 - r)
        dz = np.concatenate([dz_r, dz_u, dz_n])
        before = u * δ + params["W_hh"].T @ self.recurrent_deltas(tape.inner, dz)
        return StepDeltas({"h": δ}, {"h": before}, dz)

    def state_adjoints(self, tape: CellTape, deltas: CellDeltas) -> dict[str, Array]:
        """Return λ = δ, because h is the only state."""
        return {"h": deltas.total["h"]}

    def recurrent_deltas(self, inner: Mapping[str, Array], dz: Array) -> Array:
        """Return [dz_r; dz_u; da], which is dz with da = r ∘ dz_n in place of dz_n."""
        recurrent = dz.copy()
        recurrent[..., self.rows("n"), :] *= inner["gates"][..., self.rows("r"), :]
        return recurrent

    def _step(self, params: Params, inputs: Array, before: States) -> tuple[States, dict[str, Array]]:
        z_r, z_u, z_n = np.split(inputs, 3)
        a_r, a_u, a = np.split(params["W_hh"] @ before["h"], 3)
        if self.bias:
            a = a + params["b_hn"]
        r, u = sigmoid(z_r + a_r), sigmoid(z_u + a_u)
        n = np.tanh(z_n + r * a)
        return {"h": (1 - u) * n + u * before["h"]}, {"gates": np.concatenate([r, u, n]), "a": a}

    def _forward(
        self, params: Params, x: Array, joined: Array, initial: States | None, workspace: Workspace
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Return h and the `inner` arrays: `gates`, shape (T, 3H, B), and `a`, shape (T, H, B)."""
        H, h = self.hidden_size, joined[:, : self.hidden_size]
        time, batch = len(x), h.shape[2]
        weights = halve_rows(params, self.rows("r", "u"))
        product, W = step_product(self._joined_weights(params, weights, x), batch)
        symbols = is_symbols(x)

        gates = workspace.array("gates", (time, 3 * H, batch), h.dtype)
        products = workspace.array("a_and_products", (time, 3 * H, batch), h.dtype)  # a and z_r, z_u
        reset = workspace.array("reset", (H, batch), h.dtype)
        n, a = gates[:, 2 * H :], products[:, :H]
        if symbols:
            gather_inputs(weights, x, out=gates)
        else:
            np.matmul(params["W_xh"][2 * H :], x, out=n)
            if self.bias:
                n += params["b_h"][2 * H :]
        half = np.array(0.5, h.dtype)

        def sequences() -> tuple[Array, ...]:
            blocks, r_u = products.reshape(time, *W.shape[:-1], batch), gates[:, : 2 * H]
            u = gates[:, H : 2 * H]
            return joined[:-1], blocks, products[:, H:], r_u, gates[:, :H], u, n, a, h[:-1], h[1:]

        steps = workspace.steps("gru_forward", (joined, gates, products), sequences)
        # Positional outputs and local function names: keywords and lookups cost a fifth of a small call.
        add, multiply, subtract, tanh = np.add, np.multiply, np.subtract, np.tanh
        for joined_t, product_t, from_h, r_u, r, u, n_t, a_t, h_before, h_t in steps:
            product(W, joined_t, product_t)
            if symbols:
                add(from_h, r_u, from_h)
            tanh(from_h, r_u)
            multiply(r_u, half, r_u)
            add(r_u, half, r_u)
            multiply(r, a_t, reset)
            add(n_t, reset, n_t)
            tanh(n_t, n_t)
            subtract(h_before, n_t, h_t)  # h = n + u ∘ (h[t-1] - n)
            multiply(u, h_t, h_t)
            add(n_t, h_t, h_t)
        return {"h": h}, {"gates": gates, "a": a}

    def _joined_weights(self, params: Params, weights: Params, x: Array) -> Array:
        """Return the weights that map the joined array to [a; z_r; z_u], where a = W_hn h + b_hn."""
        H = self.hidden_size
        columns = [np.concatenate([params["W_hh"][2 * H :], weights["W_hh"][: 2 * H]])]
        if not is_symbols(x):
            columns.append(np.concatenate([np.zeros_like(params["W_xh"][2 * H :]), weights["W_xh"][: 2 * H]]))
        if self.bias:
            bias_r_u = (
                np.zeros_like(weights["b_h"]) if is_symbols(x) else weights["b_h"]
            )  # for symbols, gather_inputs adds b_h
            columns.append(np.concatenate([params["b_hn"], bias_r_u[: 2 * H]]))
        return np.concatenate(columns, axis=1)

    def _backward(
        self,
        params: Params,
        tape: CellTape,
        e: Array,
        first_loss: int,
        with_dx: bool,
        workspace: Workspace,
    ) -> CellDeltas:
        time, H, batch = e.shape
        W_hhT = np.concatenate([params["W_hh"][2 * H :], params["W_hh"][: 2 * H]]).T
        product, W_hhT = step_product(np.ascontiguousarray(W_hhT), batch)
        d_h = workspace.array("d_h", (time + 1, H, batch), e.dtype)  # for h[0] … h[T]
        d_h[time] = 0
        blocks = workspace.array("da_and_dz", (time, 4 * H, batch), e.dtype)
        u_δ = workspace.array("u_δ", (H, batch), e.dtype)
        gates = tape.inner["gates"]

        def sequences() -> tuple[Array, ...]:
            δ_blocks, before = blocks.reshape(time, 4, H, batch), d_h[:-1]
            products = before.reshape(time, *W_hhT.shape[:-1], batch)
            return d_h[1:], e, gates[:, self.rows("u")], δ_blocks, blocks[:, : 3 * H], products, before

        steps = workspace.steps("gru_backward", (d_h, e, gates, blocks), sequences)
        add, multiply = np.add, np.multiply
        with unbuffered():
            self._slopes(tape, blocks)  # blocks hold factors of δ, then da and dz
            back = zip(range(time - 1, -1, -1), reversed(steps), strict=True)
            for t, (δ, e_t, u_t, δ_blocks, recurrent, product_t, d_h_before) in back:
                if t >= first_loss:
                    add(δ, e_t, δ)
                multiply(δ_blocks, δ, δ_blocks)
                product(W_hhT, recurrent, product_t)
                multiply(u_t, δ, u_δ)
                add(d_h_before, u_δ, d_h_before)
        dz = blocks[:, H:]
        grads = self._gradients(params, tape, blocks, workspace)
        dx = None
        if with_dx and not is_symbols(tape.x):
            dx = input_gradient(params, tape.x, dz, workspace)
        return CellDeltas(grads, {"h": d_h[1:]}, {"h": e}, dz, dx, {"h": d_h[0]}, first_loss)

    def _gradients(self, params: Params, tape: CellTape, blocks: Array, workspace: Workspace) -> Params:
        """Return the parameter gradients, given `blocks` = [da; dz_r; dz_u; dz_n] for all time steps."""
        time, rows, batch = blocks.shape
        H, X, x = rows // 4, self.input_size, tape.x
        K = tape.joined.shape[1]
        d_joined = workspace.array("d_joined", (3 * H, K), blocks.dtype)  # for a, z_r, z_u
        d_n = workspace.array("d_joined_n", (H, K - H), blocks.dtype)  # for z_n: W_xn, b_xn
        by_symbol = np.zeros_like(params["W_xh"]) if is_symbols(x) else None
        for chunk in chunks_of_time(time, batch):
            columns = chunk_by_feature(blocks[chunk], workspace, "dz")
            joined = chunk_by_feature(tape.joined[:-1][chunk], workspace, "joined")
            add_product(columns[: 3 * H], joined, d_joined, chunk.start == 0, workspace)
            if by_symbol is not None:
                add_by_symbol(columns[H:], x[chunk].reshape(-1), by_symbol, workspace)
            else:
                add_product(columns[3 * H :], joined[H:], d_n, chunk.start == 0, workspace)
        grads = {"W_hh": np.concatenate([d_joined[H:, :H], d_joined[:H, :H]])}
        if self.bias:
            grads["b_hn"] = d_joined[:H, -1:].copy()
        if by_symbol is not None:
            return grads | symbol_gradients(params, by_symbol)
        grads["W_xh"] = np.concatenate([d_joined[H:, H : H + X], d_n[:, :X]])
        if self.bias:
            grads["b_h"] = np.concatenate([d_joined[H:, -1:], d_n[:, -1:]])
        return grads

    def _slopes(self, tape: CellTape, blocks: Array) -> None:
        """Write to `blocks` the factors by which δ is multiplied to give da, dz_r, dz_u and dz_n."""
        H, gates = self.hidden_size, tape.inner["gates"]
        r, u, n = (gates[:, self.rows(gate)] for gate in self.gates)
        da, dz_r, dz_u, dz_n = (blocks[:, i * H : (i + 1) * H] for i in range(4))
        np.multiply(gates, gates, out=blocks[:, H:])
        np.subtract(1, dz_n, out=dz_n)
        np.subtract(gates[:, : 2 * H], blocks[:, H : 3 * H], out=blocks[:, H : 3 * H])  # s - s² = s(1 - s)
        np.subtract(1, u, out=da)
        dz_n *= da
        dz_r *= tape.inner["a"]
        dz_r *= dz_n
        np.subtract(tape.states["h"][:-1], n, out=da)
        dz_u *= da
        np.multiply(r, dz_n, out=da)
