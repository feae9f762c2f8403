"""Loss functions for a single target, and their gradients with respect to the network output o.

    cross-entropy   ℓ = -log p[y]    p = softmax(o)   ∂p_i/∂o_j = p_i (δ_ij - p_j)   ∂ℓ/∂o = p - onehot(y)
    squared error   ℓ = ½ ‖o - y‖²   ∂ℓ/∂o = o - y    with y = onehot(class) for class targets

References:
    Kumar, *RNN Derivatives and Code sample*, for the softmax Jacobian.
"""

from collections.abc import Callable
from math import log
from typing import Literal

import numpy as np

from rnnlab.arrays import Array
from rnnlab.workspace import Workspace, all_below

Loss = Literal["cross_entropy", "squared_error"]


def losses_and_gradients(
    loss: Loss, outputs: Array, targets: Array, workspace: Workspace
) -> tuple[Array, Array]:
    """Return the loss and its gradient with respect to o for each column.

    Args:
        loss: Name of the loss.
        outputs: Network outputs o, shape (Y, N).
        targets: Integer classes in [0, Y), shape (N,), or, for the squared error only, real-valued targets,
            shape (Y, N).
        workspace: Buffers for the gradients.

    Returns:
        Losses, shape (N,), and gradients, shape (Y, N). Cross-entropy losses are in nats.

    Raises:
        ValueError: If a class is outside [0, Y).
    """
    if targets.ndim == 1 and not all_below(targets, len(outputs), outputs.dtype, workspace):
        raise ValueError(
            f"y: targets must be in [0, {len(outputs)}), got values from {targets.min()} to {targets.max()}"
        )
    do = workspace.array("do", outputs.shape, outputs.dtype)
    if loss == "squared_error":
        return _squared_error(outputs, targets, do)
    if outputs.dtype == np.float32 and (compiled := workspace.reductions(outputs.dtype)):
        return _compiled_cross_entropy(compiled.softmax_of_columns, outputs, targets, do)
    return _softmax_cross_entropy(outputs, targets, do)


def uniform_guess_loss(loss: Loss, classes: int) -> float:
    """Return the chance level: the loss for uniform class probabilities."""
    return log(classes) if loss == "cross_entropy" else (1 - 1 / classes) / 2


def step_weights(mask: Array | None, time: int, batch: int, reduction: str) -> Array:
    """Return the weight of each loss in the batch loss, an array (T, B) in float64.

    The batch loss is a mean over examples. The loss of an example is the sum or the mean of the losses at all
    time steps that have a target. The weight of a loss is therefore 1/B for a sum, 1/(B·N_b) for a mean over
    N_b targets, and 0 for a time step without a target.
    """
    present = np.ones((time, batch)) if mask is None else mask.astype(np.float64)
    if reduction == "mean":
        present = present / np.maximum(present.sum(axis=0), 1)
    return present / batch


def _softmax_cross_entropy(logits: Array, targets: Array, do: Array) -> tuple[Array, Array]:
    """Compute losses and gradients; for numerical stability, first subtract each column's largest logit."""
    columns = np.arange(logits.shape[1])
    np.subtract(logits, logits.max(axis=0), out=do)
    at_target = do[targets, columns]
    np.exp(do, out=do)
    total = do.sum(axis=0)
    do /= total
    do[targets, columns] -= 1
    return np.log(total) - at_target, do


def _compiled_cross_entropy(
    softmax: Callable[..., object], logits: Array, targets: Array, do: Array
) -> tuple[Array, Array]:
    """Compute the results of `_softmax_cross_entropy` with the compiled softmax."""
    total, at_target = np.empty((2, logits.shape[1]), logits.dtype)
    softmax(logits, targets.astype(np.int64, copy=False), do, total, at_target)
    return np.log(total) - at_target, do


def _squared_error(outputs: Array, targets: Array, do: Array) -> tuple[Array, Array]:
    if targets.ndim == 1:
        np.copyto(do, outputs)
        do[targets, np.arange(len(targets))] -= 1
    else:
        np.subtract(outputs, targets, out=do)
    return (do * do).sum(axis=0) / 2, do
