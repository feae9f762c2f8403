"""Values whose mean over a validation set is a metric."""

import numpy as np

from rnnlab.arrays import Array
from rnnlab.model import Batch, Tape

ERROR_RATE = "val/error_rate"
ACCURACY = "val/accuracy"
MSE = "val/mse"


def wrong_targets(batch: Batch, tape: Tape) -> Array:
    """Of every target that counts, whether another class has the largest output, (N,)."""
    return np.asarray(_wrong(batch, tape)[_present(batch, tape)])


def wrong_sequences(batch: Batch, tape: Tape, last: int) -> Array:
    """Of every example, whether any of its last targets is wrong, (B,)."""
    return np.asarray((_wrong(batch, tape) & _present(batch, tape))[-last:].any(axis=0))


def squared_errors(batch: Batch, tape: Tape) -> Array:
    """(o - y)² of every value that counts, (Y, N)."""
    errors = tape.outputs.reshape(-1, *tape.losses.shape) - batch.y.transpose(1, 0, 2)
    return np.asarray(np.square(errors, dtype=np.float64)[:, _present(batch, tape)])


def _wrong(batch: Batch, tape: Tape) -> Array:
    predictions = tape.outputs.argmax(axis=0)
    predictions[~np.isfinite(tape.outputs).all(axis=0)] = -1  # no class: what is not a number is wrong
    return np.asarray(predictions.reshape(tape.losses.shape) != batch.y)


def _present(batch: Batch, tape: Tape) -> Array:
    return np.ones(tape.losses.shape, bool) if batch.mask is None else batch.mask
