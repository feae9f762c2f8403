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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import DTypeLike

from rnnlab.arrays import Array, Params
from rnnlab.blas import step_product
from rnnlab.cells.base import Cell, draw_params
from rnnlab.cells.tapes import CellDeltas, CellTape, States, StepDeltas, StepTape
from rnnlab.cells.weights import cell_gradients, gather_inputs, is_symbols, joined_weights
from rnnlab.initializers import Init
from rnnlab.workspace import Workspace


@dataclass(frozen=True)
class Vanilla(Cell):
    """Vanilla recurrent cell with activation function φ and an optional bias."""

    gates: ClassVar[tuple[str, ...]] = ("h",)
    states: ClassVar[tuple[str, ...]] = ("h",)

    nonlinearity: Literal["tanh", "relu", "identity"]

    def init_params(self, rng: np.random.Generator, init: Init, dtype: DTypeLike) -> Params:
        """Draw `W_xh`, `W_hh` and, for a cell with a bias, `b_h`."""
        return draw_params(self, rng, init, dtype)

    def adjoint_step(self, params: Params, tape: StepTape, adjoint: States) -> StepDeltas:
        """Compute dz[t] = φ'(z[t]) ∘ δ[t] and λ[t-1] = W_hhᵀ dz[t] with δ = λ; see `Cell.adjoint_step`."""
        h = tape.after["h"]
        dz = self._slope(h, out=np.empty_like(h)) * adjoint["h"]
        return StepDeltas({"h": adjoint["h"]}, {"h": params["W_hh"].T @ dz}, dz)

    def state_adjoints(self, tape: CellTape, deltas: CellDeltas) -> dict[str, Array]:
        """Return λ = δ, because h is the only state."""
        return {"h": deltas.total["h"]}

    def recurrent_deltas(self, inner: Mapping[str, Array], dz: Array) -> Array:
        """Return dz, because W_hh h[t-1] is a summand of z."""
        return dz

    def _step(self, params: Params, inputs: Array, before: States) -> tuple[States, dict[str, Array]]:
        z = inputs + params["W_hh"] @ before["h"]
        h = np.empty_like(z)
        ACTIVATIONS[self.nonlinearity](z, h)
        return {"h": h}, {}

    def _forward(
        self, params: Params, x: Array, joined: Array, initial: States | None, workspace: Workspace
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Return h and no `inner` arrays, because the array that holds z is overwritten with h."""
        h = joined[:, : self.hidden_size]
        time, H, batch = h[1:].shape
        product, W = step_product(joined_weights(params, x), batch)
        symbols = is_symbols(x)
        recurrent = workspace.array("recurrent", (*W.shape[:-1], batch), h.dtype)
        from_h = recurrent.reshape(H, batch)
        if symbols:
            gather_inputs(params, x, out=h[1:])

        def sequences() -> tuple[Sequence[Array] | Array, ...]:
            # For symbols, h[1:] already contains W_xh x + b_h and the loop adds the product.
            products = [recurrent] * time if symbols else h[1:].reshape(time, *recurrent.shape)
            return joined[:-1], products, h[1:]

        steps = workspace.steps("vanilla_forward", (joined, recurrent), sequences)
        # Positional outputs and local function names: keywords and lookups cost a fifth of a small call.
        add, activate = np.add, ACTIVATIONS[self.nonlinearity]
        for joined_t, z_t, h_t in steps:
            product(W, joined_t, z_t)
            if symbols:
                add(h_t, from_h, h_t)
            activate(h_t, h_t)
        return {"h": h}, {}

    def _backward(
        self,
        params: Params,
        tape: CellTape,
        e: Array,
        first_loss: int,
        with_dx: bool,
        workspace: Workspace,
    ) -> CellDeltas:
        h = tape.states["h"]
        time, H, batch = e.shape
        product, W_hhT = step_product(np.ascontiguousarray(params["W_hh"].T), batch)
        d_h = workspace.array("d_h", (time + 1, H, batch), e.dtype)  # for h[0] … h[T]
        d_h[time] = 0
        dz = self._slope(h[1:], out=workspace.array("dz", e.shape, e.dtype))  # φ'; the loop turns it into dz

        def sequences() -> tuple[Array, ...]:
            return d_h[1:], e, dz, d_h[:-1].reshape(time, *W_hhT.shape[:-1], batch)

        steps = workspace.steps("vanilla_backward", (d_h, e, dz), sequences)
        back = zip(range(time - 1, -1, -1), reversed(steps), strict=True)
        for t, (δ, e_t, dz_t, d_h_before) in back:
            if t >= first_loss:
                np.add(δ, e_t, δ)
            np.multiply(dz_t, δ, dz_t)
            product(W_hhT, dz_t, d_h_before)
        grads, dx = cell_gradients(params, tape, dz, with_dx, workspace)
        return CellDeltas(grads, {"h": d_h[1:]}, {"h": e}, dz, dx, {"h": d_h[0]}, first_loss)

    def _slope(self, h: Array, out: Array) -> Array:
        """Return φ'(z), given h = φ(z)."""
        match self.nonlinearity:
            case "tanh":
                np.multiply(h, h, out=out)
                np.subtract(1, out, out=out)
            case "relu":
                np.greater(h, 0, out=out)
            case "identity":
                out[...] = 1
        return out


def _relu(z: Array, out: Array) -> object:
    return np.maximum(z, 0, out=out)  # NumPy deprecates a positional out here


def _identity(z: Array, out: Array) -> object:
    return np.positive(z, out)


ACTIVATIONS: dict[str, Callable[[Array, Array], object]] = {
    "tanh": np.tanh,
    "relu": _relu,
    "identity": _identity,
}
