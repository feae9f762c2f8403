"""Compiled forms of sums, copies and the softmax, which depend on no cell.

Inner loops run over rows that are views of their own: LLVM turns such loops into vector instructions, but not
loops that index an array with two or three axes.
"""

from typing import Any

import numpy as np

from rnnlab.engine.compiled.elementary import exp_of_negative, inlined
from rnnlab.engine.compiled.scaling import factors_of

BLOCK = 512
"""Number of columns that the softmax processes at a time, so that they stay in the cache."""


@inlined
def add_columns(columns: Any, symbols: Any, out: Any) -> None:
    """Add column j of `columns`, shape (R, N), to column symbols[j] of `out`, shape (R, X)."""
    for r in range(columns.shape[0]):
        row, sums = columns[r], out[r]
        for j in range(row.size):
            sums[symbols[j]] += row[j]


@inlined
def scale_rows_of(source: Any, first: Any, scale: Any, target: Any, row: Any, column: Any) -> None:
    """Multiply rows of `source` from `first` on by `scale`, and write them to `target` at (row, column)."""
    for r in range(scale.size):
        values, factor = source[first + r], scale[r]
        result = target[row + r, column : column + values.size]
        for c in range(values.size):
            result[c] = values[c] * factor


@inlined
def add_column(b: Any, scale: Any, target: Any) -> None:
    """Add b[r] · scale[r] to row r of `target`."""
    for r in range(scale.size):
        row, added = target[r], b[r, 0] * scale[r]
        for c in range(row.size):
            row[c] += added


@inlined
def transpose(source: Any, first: Any, rows: Any, target: Any, row: Any, column: Any) -> None:
    """Write the transpose of `rows` rows of `source` from `first` on to `target` at (row, column)."""
    whole = rows - rows % 8
    for r in range(0, whole, 8):  # eight rows at a time take a third of the time
        i = first + r
        r0, r1, r2, r3 = source[i], source[i + 1], source[i + 2], source[i + 3]
        r4, r5, r6, r7 = source[i + 4], source[i + 5], source[i + 6], source[i + 7]
        for c in range(source.shape[1]):
            result = target[row + c, column + r : column + r + 8]
            result[0], result[1], result[2], result[3] = r0[c], r1[c], r2[c], r3[c]
            result[4], result[5], result[6], result[7] = r4[c], r5[c], r6[c], r7[c]
    for r in range(whole, rows):
        for c in range(source.shape[1]):
            target[row + c, column + r] = source[first + r, c]


@inlined
def mark_columns(e: Any, marks: Any) -> Any:
    """Set marks[t, b] to True if any element of e[t, :, b] differs from 0, as NaN does.

    The result is True if all marks are.
    """
    whole = True
    if e.shape[2] == 1:
        for t in range(e.shape[0]):
            part = e[t].reshape(-1)
            found = 0
            for i in range(part.size):
                found += part[i] != 0
            marks[t, 0] = found > 0
            whole &= marks[t, 0]
        return whole
    for t in range(e.shape[0]):
        are_all = True
        for b in range(e.shape[2]):
            marks[t, b] = e[t, 0, b] != 0
            are_all &= marks[t, b]
        if not are_all:
            for i in range(1, e.shape[1]):
                for b in range(e.shape[2]):
                    marks[t, b] |= e[t, i, b] != 0
            for b in range(e.shape[2]):
                whole &= marks[t, b]
    return whole


@inlined
def are_below(symbols: Any, limit: Any) -> Any:
    """Return True if all integers of a vector are in [0, limit)."""
    found = True
    for i in range(symbols.size):
        found &= (symbols[i] >= 0) & (symbols[i] < limit)
    return found


@inlined
def copy_by_feature(a: Any, out: Any) -> None:
    """Copy a sequence (T, F, B) to `out`, shape (F, T, B)."""
    if a.shape[2] == 1:
        transpose(a[:, :, 0], 0, a.shape[0], out[:, :, 0], 0, 0)
        return
    for t in range(a.shape[0]):
        for i in range(a.shape[1]):
            source, target = a[t, i], out[i, t]
            for b in range(source.size):
                target[b] = source[b]


@inlined
def powers_of_two(shift: Any, one: Any, two: Any) -> Any:
    """Write factors with the product 2^shift, each at most 2^550; return True if any shift is negative."""
    lowers = False
    for c in range(shift.size):
        one[c], two[c] = factors_of(shift[c])
        lowers |= shift[c] < 0
    return lowers


@inlined
def copy_scaled(a: Any, shift: Any, smallest: Any, out: Any) -> None:
    """Copy a sequence (T, F, B), multiplied by 2^shift[t, b], to `out`, shape (F, T, B).

    Results below `smallest` become 0 if any shift is negative.
    """
    one, two = np.empty(shift.size, a.dtype), np.empty(shift.size, a.dtype)
    limit = smallest if powers_of_two(shift.reshape(-1), one, two) else a.dtype.type(0)
    for t in range(a.shape[0]):
        start = t * a.shape[2]
        first, second = one[start : start + a.shape[2]], two[start : start + a.shape[2]]
        for i in range(a.shape[1]):
            source, target = a[t, i], out[i, t]
            for b in range(first.size):
                product = source[b] * first[b] * second[b]
                target[b] = a.dtype.type(0) if abs(product) < limit else product


@inlined
def gather_columns(columns: Any, symbols: Any, out: Any) -> None:
    """Write column symbols[t, b] of `columns`, shape (R, X), to out[t, :, b]."""
    for t in range(out.shape[0]):
        chosen = symbols[t]
        for r in range(out.shape[1]):
            row, target = columns[r], out[t, r]
            for b in range(target.size):
                target[b] = row[chosen[b]]


@inlined
def sum_squares(a: Any, first: Any, rows: Any, out: Any) -> None:
    """Write Σᵢ a[t, i, b]² over the given number of rows from `first` on to out[t, b], in float64."""
    if a.shape[2] == 1:
        for t in range(out.shape[0]):
            part = a[t].reshape(-1)[first : first + rows]
            total = 0.0
            for i in range(rows):
                total += _square(part[i])
            out[t, 0] = total
        return
    whole = rows - rows % 8
    for t in range(out.shape[0]):
        part, sums = a[t], out[t]
        for b in range(sums.size):
            sums[b] = 0
        for i in range(first, first + whole, 8):  # eight rows per pass over the sums
            r0, r1, r2, r3 = part[i], part[i + 1], part[i + 2], part[i + 3]
            r4, r5, r6, r7 = part[i + 4], part[i + 5], part[i + 6], part[i + 7]
            for b in range(sums.size):
                sums[b] += _square(r0[b]) + _square(r1[b]) + _square(r2[b]) + _square(r3[b])
                sums[b] += _square(r4[b]) + _square(r5[b]) + _square(r6[b]) + _square(r7[b])
        for i in range(first + whole, first + rows):
            row = part[i]
            for b in range(sums.size):
                sums[b] += _square(row[b])


@inlined
def _square(value: Any) -> Any:
    wide = np.float64(value)
    return wide * wide


@inlined
def softmax(logits: Any, targets: Any, do: Any, total: Any, at_target: Any) -> None:
    """Write the gradient of the cross-entropy to `do`, shape (Y, N), in float32.

    With the largest logit m of a column, total = Σ exp(o - m) and at_target = o[target] - m, each of shape
    (N,).
    """
    classes, columns = logits.shape
    for start in range(0, columns, BLOCK):
        stop = min(start + BLOCK, columns)
        largest, sums, first = at_target[start:stop], total[start:stop], logits[0, start:stop]
        for j in range(stop - start):
            largest[j] = first[j]
            sums[j] = 0
        for i in range(1, classes):
            row = logits[i, start:stop]
            for j in range(stop - start):
                largest[j] = largest[j] if largest[j] >= row[j] else row[j]
        for i in range(classes):
            row, result = logits[i, start:stop], do[i, start:stop]
            for j in range(stop - start):
                result[j] = exp_of_negative(row[j] - largest[j])
        for i in range(classes):
            result = do[i, start:stop]
            for j in range(stop - start):
                sums[j] += result[j]
        for i in range(classes):
            result = do[i, start:stop]
            for j in range(stop - start):
                result[j] /= sums[j]
    for j in range(columns):
        do[targets[j], j] -= np.float32(1)
        at_target[j] = logits[targets[j], j] - at_target[j]
