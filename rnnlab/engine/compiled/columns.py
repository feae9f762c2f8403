"""Compiled forms of calculations outside the loops over time."""

from typing import Any

import numpy as np

from rnnlab.engine.compiled.elementary import exp_of_negative, inlined

BLOCK = 256
"""Number of columns processed together, so that they stay in the cache."""


@inlined
def write_softmax(logits: Any, targets: Any, do: Any, total: Any, at_target: Any) -> None:
    """Write the gradient of the cross-entropy loss with respect to the logits, and the terms of the loss.

    The loss of column j is log total[j] - at_target[j]; see `rnnlab.losses`.

    Args:
        logits: Logits in float32, shape (Y, N).
        targets: Classes in [0, Y), shape (N,).
        do: Gradient, shape (Y, N).
        total: Sum of exp(logit - largest logit), shape (N,).
        at_target: Difference between the target's and the largest logit, shape (N,).
    """
    classes, count = logits.shape
    for start in range(0, count, BLOCK):
        stop = min(start + BLOCK, count)
        largest = logits[0, start:stop].copy()
        for i in range(1, classes):
            for j in range(stop - start):
                a = logits[i, start + j]
                largest[j] = a if a > largest[j] else largest[j]
        for j in range(start, stop):
            at_target[j] = logits[targets[j], j] - largest[j - start]
            total[j] = 0
        for i in range(classes):
            for j in range(start, stop):
                y = logits[i, j] - largest[j - start]
                e = exp_of_negative(y)
                e = e if y <= 0 else np.float32(np.nan)
                do[i, j] = e
                total[j] += e
        for i in range(classes):
            for j in range(start, stop):
                do[i, j] /= total[j]
        for j in range(start, stop):
            do[targets[j], j] -= 1


@inlined
def add_columns(columns: Any, symbols: Any, out: Any) -> None:
    """Add column j of `columns`, shape (R, N), to column symbols[j] of `out`, shape (R, X)."""
    for r in range(columns.shape[0]):
        for j in range(columns.shape[1]):
            out[r, symbols[j]] += columns[r, j]


@inlined
def write_squares(flat: Any, first: Any, stride: Any, rows: Any, out: Any) -> None:
    """Write the sum of squares over the features of a sequence in float32 to `out`, shape (T, B), in float64.

    Element (t, h, b) of the sequence has the index first + t·stride + h·B + b in the array `flat`.
    """
    for t in range(out.shape[0]):
        for b in range(out.shape[1]):
            out[t, b] = 0
        for h in range(rows):
            start = first + t * stride + h * out.shape[1]
            for b in range(out.shape[1]):
                a = np.float64(flat[start + b])
                out[t, b] += a * a
