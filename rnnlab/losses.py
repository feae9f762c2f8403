"""Softmax cross-entropy.

    ℓ = -log p[y]    p = softmax(o)    ∂p_i/∂o_j = p_i (δ_ij - p_j)    ∂ℓ/∂o = p - onehot(y)

References:
    M. Kumar, *RNN Derivatives and Code sample*, for the softmax Jacobian.
"""

import numpy as np

from rnnlab.arrays import Array, Workspace


def softmax_cross_entropy(logits: Array, targets: Array, workspace: Workspace) -> tuple[Array, Array]:
    """Losses and their gradients, one a column.

    Stable for logits of any size: the largest of each column is subtracted first.

    Args:
        logits: (Y, N).
        targets: Integers in [0, Y), (N,).
        workspace: Holds the gradient.

    Returns:
        The losses -log p[y] in nats, (N,), and their gradients p - onehot(y), (Y, N).

    Raises:
        ValueError: A target is outside [0, Y).
    """
    if targets.min() < 0 or targets.max() >= len(logits):
        raise ValueError(
            f"y: targets must lie in [0, {len(logits)}), got values from {targets.min()} to {targets.max()}"
        )
    columns = np.arange(logits.shape[1])
    do = workspace.array("do", logits.shape, logits.dtype)
    np.subtract(logits, logits.max(axis=0), out=do)
    at_target = do[targets, columns]
    np.exp(do, out=do)
    total = do.sum(axis=0)
    do /= total
    do[targets, columns] -= 1
    return np.log(total) - at_target, do


def step_weights(mask: Array | None, time: int, batch: int, reduction: str) -> Array:
    """The weight of every step's loss in the batch's loss, (T, B) in float64.

    The batch's loss is the mean over examples of the sum, or the mean, over an example's steps with
    a target: weight 1/B, or 1/(B·N_b) with N_b counted per example, and 0 where there is no target.
    """
    present = np.ones((time, batch)) if mask is None else mask.astype(np.float64)
    if reduction == "mean":
        present = present / np.maximum(present.sum(axis=0), 1)
    return present / batch
