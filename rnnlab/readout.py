"""Affine readout from the hidden state to the output; for the cross-entropy, the outputs are logits.

    o[t] = W_hy h[t] + b_y
    e[t] = W_hyᵀ do[t]    dW_hy = Σ_t do[t] h[t]ᵀ    db_y = Σ_t do[t] 1

One matrix product computes the outputs of all S time steps. o has the shape (Y, S·B); the output of example b
at the s-th of these time steps is in column s·B + b.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from rnnlab.arrays import Array, Params
from rnnlab.workspace import Workspace, by_feature, by_time


@dataclass(frozen=True)
class Readout:
    """Readout with an optional bias."""

    hidden_size: int
    output_size: int
    bias: bool

    def init_params(self, rng: np.random.Generator, dtype: DTypeLike) -> Params:
        """Draw `W_hy` (Y, H) and, with a bias, `b_y` (Y, 1) from U(-1/√H, 1/√H), as in torch.nn.Linear."""
        bound = 1 / np.sqrt(self.hidden_size)
        params = {"W_hy": rng.uniform(-bound, bound, (self.output_size, self.hidden_size)).astype(dtype)}
        if self.bias:
            params["b_y"] = rng.uniform(-bound, bound, (self.output_size, 1)).astype(dtype)
        return params

    def param_shapes(self) -> dict[str, tuple[int, int]]:
        """Return the shape of each parameter."""
        shapes = {"W_hy": (self.output_size, self.hidden_size)}
        return shapes | ({"b_y": (self.output_size, 1)} if self.bias else {})

    def forward(self, params: Params, h: Array, workspace: Workspace) -> tuple[Array, Array]:
        """Return the outputs (Y, S·B) for hidden states (S, H, B), and these states as a matrix (H, S·B)."""
        features = by_feature(h, workspace, "readout_h")
        shape = (self.output_size, features.shape[1])
        outputs = np.matmul(params["W_hy"], features, out=workspace.array("outputs", shape, h.dtype))
        if self.bias:
            outputs += params["b_y"]
        return outputs, features

    def backward(
        self, params: Params, features: Array, do: Array, time: int, workspace: Workspace
    ) -> tuple[Params, Array]:
        """Return the gradients of the parameters and e (S, H, B), given do (Y, S·B)."""
        shape = params["W_hy"].shape
        grads = {"W_hy": np.matmul(do, features.T, out=workspace.array("dW_hy", shape, do.dtype))}
        if self.bias:
            grads["b_y"] = do.sum(axis=1, keepdims=True)
        e_all = workspace.array("e_by_feature", features.shape, do.dtype)
        np.matmul(params["W_hy"].T, do, out=e_all)
        return grads, by_time(e_all, time, workspace, "e")
