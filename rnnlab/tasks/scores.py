"""Per-target and per-sequence values that are averaged over the validation set to compute the metrics."""

import numpy as np

from rnnlab.arrays import Array
from rnnlab.model import Batch, Tape

ERROR_RATE = "val/error_rate"
ACCURACY = "val/accuracy"
MSE = "val/mse"


def wrong_targets(batch: Batch, tape: Tape) -> Array:
    """Return an array of shape (N,): True for each unmasked target that is predicted incorrectly."""
    return np.asarray(_wrong(batch, tape)[_present(batch, tape)])


def wrong_sequences(batch: Batch, tape: Tape, last: int) -> Array:
    """Return an array of shape (B,): True for each sequence with an error in its last `last` predictions."""
    return np.asarray((_wrong(batch, tape) & _present(batch, tape))[-last:].any(axis=0))


def squared_errors(batch: Batch, tape: Tape) -> Array:
    """Return the squared error (o - y)² for each component of each unmasked target, shape (Y, N)."""
    errors = tape.outputs.reshape(-1, *tape.losses.shape) - batch.y.transpose(1, 0, 2)
    return np.asarray(np.square(errors, dtype=np.float64)[:, _present(batch, tape)])


def _wrong(batch: Batch, tape: Tape) -> Array:
    predictions = tape.outputs.argmax(axis=0)
    predictions[~np.isfinite(tape.outputs).all(axis=0)] = -1  # not a class: non-finite outputs count as wrong
    return np.asarray(predictions.reshape(tape.losses.shape) != batch.y)


def _present(batch: Batch, tape: Tape) -> Array:
    return np.ones(tape.losses.shape, bool) if batch.mask is None else batch.mask
