"""Affine readout from the hidden state to the output; with the cross-entropy loss, the outputs are logits.

    o[t] = W_hy h[t] + b_y
    e[t] = W_hyᵀ do[t]    dW_hy = Σ_t do[t] h[t]ᵀ    db_y = Σ_t do[t] 1

One matrix product computes the outputs o of all S time steps, shape (Y, S·B). Column s·B + b contains the
output for example b at output step s, where b and s are counted from 0.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from rnnlab.arrays import Array, Params
from rnnlab.workspace import Workspace, by_feature, by_time


@dataclass(frozen=True)
class Readout:
    """Affine readout with an optional bias."""

    hidden_size: int
    output_size: int
    bias: bool

    def init_params(self, rng: np.random.Generator, dtype: DTypeLike) -> Params:
        """Draw all parameters from U(-1/√H, 1/√H), as in torch.nn.Linear."""
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
        """Return the outputs, shape (Y, S·B), and the hidden states as a matrix, shape (H, S·B).

        The hidden states `h` have the shape (S, H, B).
        """
        features = by_feature(h, workspace, "readout_h", is_read_only=True)
        shape = (self.output_size, features.shape[1])
        outputs = np.matmul(params["W_hy"], features, out=workspace.array("outputs", shape, h.dtype))
        if self.bias:
            outputs += params["b_y"]
        return outputs, features

    def outputs_of_step(self, params: Params, h: Array) -> Array:
        """Return the outputs of one time step in float64, shape (Y, B), given h[t] of shape (H, B)."""
        outputs = np.asarray(params["W_hy"].astype(np.float64) @ h)
        return outputs + params["b_y"] if self.bias else outputs

    def backward(
        self, params: Params, features: Array, do: Array, time: int, workspace: Workspace
    ) -> tuple[Params, Array]:
        """Return the parameter gradients by name, and e = ∂L/∂h through the readout, shape (S, H, B).

        The gradients `do` = ∂L/∂o have the shape (Y, S·B).
        """
        shape = params["W_hy"].shape
        grads = {"W_hy": np.matmul(do, features.T, out=workspace.array("dW_hy", shape, do.dtype))}
        if self.bias:
            grads["b_y"] = np.add.reduce(do, axis=1, keepdims=True)
        if do.shape[1] == time and workspace.loops is not None:  # a batch of one
            e = workspace.array("e", (time, shape[1], 1), do.dtype)
            np.matmul(do.T, params["W_hy"], out=e[:, :, 0])
            return grads, e
        e_all = workspace.array("e_by_feature", features.shape, do.dtype)
        np.matmul(params["W_hy"].T, do, out=e_all)
        return grads, by_time(e_all, time, workspace, "e")
