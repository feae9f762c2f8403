"""LSTM cell.

    i, f, o = σ(W_x· x[t] + W_h· h[t-1] + b·)      g = ψ(W_xg x[t] + W_hg h[t-1] + b_g)
    c[t] = f ∘ c[t-1] + i ∘ g                      h[t] = o ∘ tanh(c[t])

The candidate activation ψ is tanh (as in torch.nn.LSTM) or σ (as in the textbook by Goodfellow et al.).
Backward pass, with the total gradients δ[t] = ∂L/∂h[t] and κ[t] = ∂L/∂c[t]:

    δ[t] = e[t] + W_hhᵀ dz[t+1]                    κ[t] = δ[t] ∘ o ∘ (1 - tanh²c[t]) + f[t+1] ∘ κ[t+1]
    dz_i = κ∘g∘i(1-i)    dz_f = κ∘c[t-1]∘f(1-f)    dz_o = δ∘tanh(c)∘o(1-o)    dz_g = κ∘i∘ψ'

The derivative ψ' is 1 - g² for tanh and g(1 - g) for σ. The components of the state adjoint λ[t] are
λ_h = δ[t] and λ_c = f[t+1] ∘ κ[t+1]. The gradient κ already includes the path c[t] → h[t], so the norm
‖(δ, κ)‖ would count that path twice.

The forward pass is fast for two reasons. First, [o; i; f; g; c[t-1]] is stored as one array per time step,
which allows a single multiplication, [i; f] ∘ [g; c[t-1]], to give both terms of c[t]. Second, σ(z) = ½
tanh(z/2) + ½, so the weights of the sigmoid gates are halved before the loop over time steps, and one tanh
call activates all four gates. In the backward pass, the blocks o, i, f and g of dz are δ or κ multiplied by
factors that are computed before the loop over time steps. A fifth block contains f ∘ κ, the gradient that
flows to c[t-1].

References:
    Goodfellow, Bengio & Courville (2016), *Deep Learning*, section 10.10.1.
    Gers, Schmidhuber & Cummins (2000), *Learning to forget*, for the forget gate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import DTypeLike

from rnnlab.arrays import Array, Params
from rnnlab.blas import step_product
from rnnlab.cells.base import Cell, draw_params
from rnnlab.cells.gating import halve_rows, sigmoid
from rnnlab.cells.tapes import CellDeltas, CellTape, States, StepDeltas, StepTape
from rnnlab.cells.weights import cell_gradients, gather_inputs, is_symbols, joined_weights
from rnnlab.initializers import Init
from rnnlab.workspace import Workspace, unbuffered


@dataclass(frozen=True)
class LSTM(Cell):
    """LSTM cell with candidate activation ψ, optional biases and an initial forget-gate bias."""

    gates: ClassVar[tuple[str, ...]] = ("o", "i", "f", "g")
    sigmoid_gates: ClassVar[tuple[str, ...]] = ("o", "i", "f")
    states: ClassVar[tuple[str, ...]] = ("h", "c")

    candidate: Literal["tanh", "sigmoid"]
    forget_bias: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.forget_bias and not self.bias:
            raise ValueError(f"forget_bias={self.forget_bias}: must be 0 for a cell without biases")

    def init_params(self, rng: np.random.Generator, init: Init, dtype: DTypeLike) -> Params:
        """Draw `W_xh`, `W_hh` and, for a cell with biases, `b_h`; the gates are in the order o, i, f, g."""
        params = draw_params(self, rng, init, dtype)
        if self.bias:
            params["b_h"][self.rows("f")] += self.forget_bias
        return params

    def adjoint_step(self, params: Params, tape: StepTape, adjoint: States) -> StepDeltas:
        """Evaluate the backward equations with δ = λ_h; see `Cell.adjoint_step`."""
        o, i, f, g = np.split(tape.inner["gates"], 4)
        tanh_c = tape.inner["tanh_c"]
        δ = adjoint["h"]
        κ = adjoint["c"] + δ * o * (1 - tanh_c * tanh_c)
        slope_g = 1 - g * g if self.candidate == "tanh" else g * (1 - g)
        dz_g, dz_i = κ * i * slope_g, κ * g * i * (1 - i)
        dz_f, dz_o = κ * tape.before["c"] * f * (1 - f), δ * tanh_c * o * (1 - o)
        dz = np.concatenate([dz_o, dz_i, dz_f, dz_g])
        return StepDeltas({"h": δ, "c": κ}, {"h": params["W_hh"].T @ dz, "c": f * κ}, dz)

    def state_adjoints(self, tape: CellTape, deltas: CellDeltas) -> dict[str, Array]:
        """Return λ_h[t] = δ[t] and λ_c[t] = f[t+1] ∘ κ[t+1]; λ_c is 0 at the last time step."""
        λ_c = np.zeros_like(deltas.total["c"])
        np.multiply(tape.inner["gates"][1:, self.rows("f")], deltas.total["c"][1:], out=λ_c[:-1])
        return {"h": deltas.total["h"], "c": λ_c}

    def recurrent_deltas(self, inner: Mapping[str, Array], dz: Array) -> Array:
        """Return dz, because W_hh h[t-1] is a summand of z."""
        return dz

    def _step(self, params: Params, inputs: Array, before: States) -> tuple[States, dict[str, Array]]:
        z_o, z_i, z_f, z_g = np.split(inputs + params["W_hh"] @ before["h"], 4)
        g = np.tanh(z_g) if self.candidate == "tanh" else sigmoid(z_g)
        i, f, o = sigmoid(z_i), sigmoid(z_f), sigmoid(z_o)
        c = f * before["c"] + i * g
        tanh_c = np.tanh(c)
        return {"h": o * tanh_c, "c": c}, {"gates": np.concatenate([o, i, f, g]), "tanh_c": tanh_c}

    def _forward(
        self, params: Params, x: Array, joined: Array, initial: States | None, workspace: Workspace
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Return h and c, and the `inner` arrays: the gate activations `gates` and `tanh_c` = tanh(c)."""
        H, h = self.hidden_size, joined[:, : self.hidden_size]
        time, batch = len(x), h.shape[2]
        sigmoids = slice(0, 4 * H if self.candidate == "sigmoid" else 3 * H)
        weights = halve_rows(params, sigmoids)
        product, W = step_product(joined_weights(weights, x), batch)
        symbols = is_symbols(x)

        blocks = workspace.array("gates_and_c", (time + 1, 5 * H, batch), h.dtype)  # o, i, f, g, c[t-1]
        gates, c = blocks[:-1, : 4 * H], blocks[:, 4 * H :]
        tanh_c = workspace.array("tanh_c", (time, H, batch), h.dtype)
        recurrent = workspace.array("recurrent", (*W.shape[:-1], batch), h.dtype)
        summands = workspace.array("i_g_and_f_c", (2 * H, batch), h.dtype)
        i_g, f_c = summands[:H], summands[H:]
        c[0] = 0 if initial is None else initial["c"]
        if symbols:
            gather_inputs(weights, x, out=gates)
        half = np.array(0.5, h.dtype)

        def sequences() -> tuple[Sequence[Array] | Array, ...]:
            # For symbols, `gates` already contains W_xh x + b_h and the loop adds the product.
            products = [recurrent] * time if symbols else gates.reshape(time, *recurrent.shape)
            i_f, g_c, o = blocks[:-1, H : 3 * H], blocks[:-1, 3 * H :], blocks[:-1, :H]
            return joined[:-1], products, gates, gates[:, sigmoids], i_f, g_c, o, c[1:], tanh_c, h[1:]

        owners = (joined, blocks, recurrent, tanh_c)
        steps = workspace.steps(f"lstm_{self.candidate}_forward", owners, sequences)
        from_h = recurrent.reshape(4 * H, batch)
        # Positional outputs and local function names: keywords and lookups cost a fifth of a small call.
        add, multiply, tanh = np.add, np.multiply, np.tanh
        for joined_t, product_t, z, sigmoids_t, i_f, g_c, o, c_t, tanh_c_t, h_t in steps:
            product(W, joined_t, product_t)
            if symbols:
                add(z, from_h, z)
            tanh(z, z)
            multiply(sigmoids_t, half, sigmoids_t)
            add(sigmoids_t, half, sigmoids_t)
            multiply(i_f, g_c, summands)
            add(i_g, f_c, c_t)
            tanh(c_t, tanh_c_t)
            multiply(o, tanh_c_t, h_t)
        return {"h": h, "c": c}, {"gates": gates, "tanh_c": tanh_c}

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
        product, W_hhT = step_product(np.ascontiguousarray(params["W_hh"].T), batch)
        blocks = workspace.array("dz_and_f_κ", (time, 5 * H, batch), e.dtype)
        dz = blocks[:, : 4 * H]
        c_from_h = workspace.array("c_from_h", e.shape, e.dtype)
        d_h = workspace.array("d_h", (time + 1, H, batch), e.dtype)  # for h[0] … h[T]
        total_c = workspace.array("total_c", e.shape, e.dtype)
        d_h[time] = 0
        back_c = np.zeros((H, batch), e.dtype)

        def sequences() -> tuple[Array, ...]:
            κ_blocks = blocks[:, H:].reshape(time, 4, H, batch)
            before = d_h[:-1].reshape(time, *W_hhT.shape[:-1], batch)
            return d_h[1:], e, total_c, c_from_h, dz[:, :H], κ_blocks, dz, blocks[:, 4 * H :], before

        owners = (d_h, e, total_c, c_from_h, blocks)
        steps = workspace.steps("lstm_backward", owners, sequences)
        add, multiply = np.add, np.multiply
        with unbuffered():
            self._slopes(tape, blocks, c_from_h)  # blocks hold factors of δ and κ, then dz and f ∘ κ
            back = zip(range(time - 1, -1, -1), reversed(steps), strict=True)
            for t, (δ, e_t, κ, c_from_h_t, dz_o, κ_blocks, dz_t, f_κ, d_h_before) in back:
                if t >= first_loss:
                    add(δ, e_t, δ)
                multiply(δ, c_from_h_t, κ)
                add(κ, back_c, κ)
                multiply(dz_o, δ, dz_o)
                multiply(κ_blocks, κ, κ_blocks)
                product(W_hhT, dz_t, d_h_before)
                back_c = f_κ
        grads, dx = cell_gradients(params, tape, dz, with_dx, workspace)
        immediate = {"h": e, "c": np.multiply(e, c_from_h, out=c_from_h)}
        total, initial = {"h": d_h[1:], "c": total_c}, {"h": d_h[0], "c": back_c}
        return CellDeltas(grads, total, immediate, dz, dx, initial, first_loss)

    def _slopes(self, tape: CellTape, blocks: Array, c_from_h: Array) -> None:
        """Compute, for all time steps, the factors by which δ and κ are multiplied in the backward equations.

        Args:
            tape: Tape of the forward pass.
            blocks: Output array, shape (T, 5H, B), for the factors of δ (block o) and κ (blocks i, f, g and
                f ∘ κ).
            c_from_h: Output array, shape (T, H, B), for ∂h[t]/∂c[t] = o ∘ (1 - tanh²c).
        """
        H, gates, tanh_c = self.hidden_size, tape.inner["gates"], tape.inner["tanh_c"]
        o, i, f, g = (gates[:, self.rows(gate)] for gate in self.gates)
        factor_o, factor_i, factor_f, factor_g = (blocks[:, self.rows(gate)] for gate in self.gates)
        np.multiply(gates, gates, out=blocks[:, : 4 * H])
        squash = slice(0, 4 * H if self.candidate == "sigmoid" else 3 * H)
        np.subtract(gates[:, squash], blocks[:, squash], out=blocks[:, squash])  # s - s² = s(1 - s)
        if self.candidate == "tanh":
            np.subtract(1, factor_g, out=factor_g)
        factor_o *= tanh_c
        factor_i *= g
        factor_f *= tape.states["c"][:-1]
        factor_g *= i
        blocks[:, 4 * H :] = f
        np.multiply(tanh_c, tanh_c, out=c_from_h)
        np.subtract(1, c_from_h, out=c_from_h)
        c_from_h *= o
