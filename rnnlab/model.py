"""Cell, readout and loss as one model: forward to a tape, backward to gradients and deltas."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import DTypeLike

from rnnlab.arrays import Array, Params, Workspace
from rnnlab.cells import Cell, CellDeltas, CellTape
from rnnlab.cells.base import States
from rnnlab.initializers import Init
from rnnlab.losses import softmax_cross_entropy, step_weights
from rnnlab.readout import Readout


@dataclass(frozen=True)
class Batch:
    """Sequences to learn from.

    Attributes:
        x: Inputs, (T, B) symbols or (T, X, B) vectors.
        y: Targets, (T, B) integers.
        mask: Which steps have a target, (T, B) booleans; None: all.
        continues: Whether the sequences go on where the last batch's ended, so that its final state
            is the initial state here; else the initial state is zero.
    """

    x: Array
    y: Array
    mask: Array | None = None
    continues: bool = False


@dataclass(frozen=True)
class Tape:
    """A forward pass.

    Attributes:
        cell: The cell's tape.
        features: What the readout read, (H, T·B).
        losses: ℓ[t,b] in nats, (T, B).
        weights: w[t,b], each loss's weight in the batch's loss, (T, B).
        d_logits: ∂ℓ/∂o, not yet weighted, (Y, T·B).
        loss: L = Σ w ℓ.
    """

    cell: CellTape
    features: Array
    losses: Array
    weights: Array
    d_logits: Array
    loss: float


@dataclass(frozen=True)
class Model:
    """A recurrent network with a readout at every step, trained by cross-entropy."""

    cell: Cell
    readout: Readout
    loss_reduction: Literal["mean", "sum"]

    def init_params(self, rng: np.random.Generator, init: Init, dtype: DTypeLike) -> Params:
        """Draw all parameters: W_xh, W_hh, b_h of the cell, W_hy, b_y of the readout."""
        return self.cell.init_params(rng, init, dtype) | self.readout.init_params(rng, dtype)

    def forward(
        self,
        params: Params,
        batch: Batch,
        initial: States | None = None,
        workspace: Workspace | None = None,
    ) -> Tape:
        """Run the network over a batch.

        L = Σ_{t,b} w[t,b] ℓ[t,b], the mean over examples of the mean or sum over their targets.

        Raises:
            ValueError: Inputs, targets or mask of a wrong shape, dtype or range.
        """
        workspace = workspace or Workspace()
        _check_targets(batch)
        cell_tape = self.cell.forward(params, batch.x, initial, workspace)
        logits, features = self.readout.forward(params, cell_tape.states["h"][1:], workspace)
        losses, d_logits = softmax_cross_entropy(logits, batch.y.reshape(-1), workspace)
        losses = losses.reshape(batch.y.shape)
        weights = step_weights(batch.mask, len(batch.y), batch.y.shape[1], self.loss_reduction)
        # Where there is no target the loss is left out, not multiplied by 0: it may be infinite.
        present = weights > 0
        loss = float(np.sum(losses[present] * weights[present]))
        return Tape(cell_tape, features, losses, weights, d_logits, loss)

    def backward(
        self, params: Params, tape: Tape, workspace: Workspace | None = None
    ) -> tuple[Params, CellDeltas]:
        """Gradients of all parameters, under their names, and the cell's deltas."""
        workspace = workspace or Workspace()
        do = workspace.array("weighted_do", tape.d_logits.shape, tape.d_logits.dtype)
        np.multiply(tape.d_logits, tape.weights.reshape(-1).astype(do.dtype), out=do)
        readout_grads, e = self.readout.backward(params, tape.features, do, tape.cell.time, workspace)
        deltas = self.cell.backward(params, tape.cell, e, workspace)
        return deltas.grads | readout_grads, deltas


def _check_targets(batch: Batch) -> None:
    if batch.x.ndim < 2:
        raise ValueError(f"x: expected (time, batch) or (time, features, batch), got shape {batch.x.shape}")
    shape = (len(batch.x), batch.x.shape[-1])
    if batch.y.shape != shape or not np.issubdtype(batch.y.dtype, np.integer):
        raise ValueError(
            f"y: expected integers of shape {shape}, as x, got {batch.y.dtype} of shape {batch.y.shape}"
        )
    if batch.mask is not None and (batch.mask.shape != shape or batch.mask.dtype != bool):
        raise ValueError(
            f"mask: expected booleans of shape {shape}, as x, got {batch.mask.dtype} of shape "
            f"{batch.mask.shape}"
        )
