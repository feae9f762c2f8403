"""The vanilla recurrent cell.

    z[t] = W_xh x[t] + W_hh h[t-1] + b_h          h[t] = φ(z[t])

Backward, given the immediate gradient e[t] that the loss at t itself sends into h[t]:

    δ[t]  = e[t] + W_hhᵀ dz[t+1]      total ∂L/∂h[t], with dz[T+1] = 0
    dz[t] = φ'(z[t]) ∘ δ[t]
    dW_hh = Σ_t dz[t] h[t-1]ᵀ

φ' is written in h: 1 - h² for tanh, [h > 0] for relu, 1 for the identity.

References:
    I. Goodfellow, Y. Bengio & A. Courville, *Deep Learning* (2016), section 10.2.2. Without biases
    it is the network of F. Shah, *RNN backpropagation*, and C. N. Brown, *Gradients for an RNN*.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import DTypeLike

from rnnlab.arrays import Array, Params, Workspace
from rnnlab.cells.base import Cell, draw_params
from rnnlab.cells.tapes import CellDeltas, CellTape, States, StepDeltas, StepTape
from rnnlab.cells.weights import cell_gradients, project_inputs
from rnnlab.initializers import Init


@dataclass(frozen=True)
class Vanilla(Cell):
    """The vanilla cell: sizes, nonlinearity φ, and whether there is a bias."""

    gates: ClassVar[tuple[str, ...]] = ("h",)
    states: ClassVar[tuple[str, ...]] = ("h",)

    nonlinearity: Literal["tanh", "relu", "identity"]

    def init_params(self, rng: np.random.Generator, init: Init, dtype: DTypeLike) -> Params:
        """Draw `W_xh` (H, X), `W_hh` (H, H) and, with a bias, `b_h` (H, 1)."""
        return draw_params(self, rng, init, dtype)

    def adjoint_step(self, params: Params, tape: StepTape, adjoint: States) -> StepDeltas:
        """dz[t] = φ'(z[t]) ∘ δ[t], λ[t-1] = W_hhᵀ dz[t], where δ[t] = λ[t]; see `Cell.adjoint_step`."""
        h = tape.after["h"]
        dz = self._slope(h, out=np.empty_like(h)) * adjoint["h"]
        return StepDeltas({"h": adjoint["h"]}, {"h": params["W_hh"].T @ dz}, dz)

    def state_adjoints(self, tape: CellTape, deltas: CellDeltas) -> dict[str, Array]:
        """λ = δ: the state is h alone."""
        return {"h": deltas.total["h"]}

    def recurrent_deltas(self, inner: Mapping[str, Array], dz: Array) -> Array:
        """dz: z is linear in W_hh h[t-1]."""
        return dz

    def _step(self, params: Params, inputs: Array, before: States) -> tuple[States, dict[str, Array]]:
        z = inputs + params["W_hh"] @ before["h"]
        h = np.empty_like(z)
        self._activate(z, out=h)
        return {"h": h}, {"z": z}

    def _forward(
        self, params: Params, x: Array, states: Mapping[str, Array], workspace: Workspace
    ) -> dict[str, Array]:
        """The tape's `inner` holds `z` (T, H, B)."""
        h, W_hh = states["h"], params["W_hh"]
        z = workspace.array("z", h[1:].shape, h.dtype)
        recurrent = workspace.array("recurrent", h[0].shape, h.dtype)
        project_inputs(params["W_xh"], params.get("b_h"), x, out=z)
        steps = workspace.steps("vanilla_forward", (z, h), lambda: (z, h[:-1], h[1:]))
        for z_t, h_before, h_t in steps:
            np.matmul(W_hh, h_before, out=recurrent)
            np.add(z_t, recurrent, out=z_t)
            self._activate(z_t, out=h_t)
        return {"z": z}

    def _backward(self, params: Params, tape: CellTape, e: Array, workspace: Workspace) -> CellDeltas:
        h = tape.states["h"]
        W_hhT = np.ascontiguousarray(params["W_hh"].T)
        total = workspace.array("total_h", e.shape, e.dtype)
        dz = self._slope(h[1:], out=workspace.array("dz", e.shape, e.dtype))  # φ' for now, dz in the loop
        back = np.zeros_like(e[0], order="C")
        steps = workspace.steps("vanilla_backward", (e, total, dz), lambda: (e, total, dz))
        for e_t, δ, dz_t in reversed(steps):
            np.add(e_t, back, out=δ)
            np.multiply(dz_t, δ, out=dz_t)
            np.matmul(W_hhT, dz_t, out=back)
        grads, dx = cell_gradients(params, tape, dz, workspace)
        return CellDeltas(grads, {"h": total}, {"h": e}, dz, dx, {"h": back})

    def _activate(self, z: Array, out: Array) -> None:
        match self.nonlinearity:
            case "tanh":
                np.tanh(z, out=out)
            case "relu":
                np.maximum(z, 0, out=out)
            case "identity":
                np.copyto(out, z)

    def _slope(self, h: Array, out: Array) -> Array:
        """φ'(z), from h = φ(z)."""
        match self.nonlinearity:
            case "tanh":
                np.multiply(h, h, out=out)
                np.subtract(1, out, out=out)
            case "relu":
                np.greater(h, 0, out=out)
            case "identity":
                out[...] = 1
        return out
