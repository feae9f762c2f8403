"""Statistics over examples for a `Curve`, and the standard error of a time average."""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from rnnlab.arrays import Array
from rnnlab.cells import split_layer
from rnnlab.records import Curve

BLOCKS = 10
"""Number of blocks; with more blocks, the relative uncertainty would be smaller, but each block shorter."""


def curves(
    axis: Literal["timestep", "lag"],
    index: Array,
    logs: Mapping[str, Array],
    target: int | None = None,
    layer: int = 1,
) -> list[Curve]:
    """Compute statistics over examples and return one curve per quantity.

    Args:
        axis: Meaning of `index`.
        index: Time steps or lags, (N,).
        logs: Natural logarithms of the values, shape (N, B), keyed by the name of the quantity. A value of 0
            is represented by -inf, and a missing value by NaN or inf.
        target: Time step whose loss is backpropagated, for lag curves only.
        layer: Layer of the quantities whose names do not start with a layer, such as `l2.`.

    Returns:
        Curves, with NaN where no example has a value. Magnitudes that underflow in float64 count as 0 in the
        mean, median and maximum, but are included exactly in log10_gmean.
    """
    if not logs:
        return []
    values = np.stack(list(logs.values()))
    counted = ~np.isnan(values) & (values < np.inf)
    positive = counted & (values > -np.inf)
    count, count_positive = counted.sum(axis=-1), positive.sum(axis=-1)
    with np.errstate(over="ignore"):
        plain = np.exp(np.where(counted, values, np.nan))
        mean, median = _ratio(np.where(counted, plain, 0.0).sum(axis=-1), count), _median(plain, count)
    largest = np.where(count > 0, np.where(counted, plain, -np.inf).max(axis=-1), np.nan)
    log10_gmean = _ratio(np.where(positive, values, 0.0).sum(axis=-1), count_positive) / np.log(10)
    zero_fraction = _ratio(count - count_positive, count)
    statistics = zip(mean, median, largest, log10_gmean, zero_fraction, strict=True)
    found = []
    for name, columns in zip(logs, statistics, strict=True):
        own, quantity = split_layer(name)
        found.append(Curve(quantity, axis, index, *columns, target, own or layer))
    return found


def standard_error(series: Array, blocks: int = BLOCKS) -> Array:
    """Estimate the standard error of the time average of a correlated series by non-overlapping batch means.

        s² = Σ_j (m_j - m̄)² / (b (b - 1))      m_j: mean of the j-th of b blocks of successive values

    Args:
        series: Values in order of time, shape (N, …), with N ≥ `blocks`. The lengths of the blocks differ by
            at most one.
        blocks: Number of blocks b.

    Returns:
        Standard error, with the shape of `series[0]`; NaN if any value is not finite.
    """
    means = np.stack([block.mean(axis=0) for block in np.array_split(series, blocks)])
    with np.errstate(invalid="ignore"):
        return np.asarray(means.std(axis=0, ddof=1) / np.sqrt(blocks))


def _ratio(total: Array, count: Array) -> Array:
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _median(values: Array, count: Array) -> Array:
    ordered = np.sort(values, axis=-1)  # NaN last
    middle = np.stack([np.maximum(count - 1, 0) // 2, np.minimum(count // 2, values.shape[-1] - 1)], axis=-1)
    low, high = np.moveaxis(np.take_along_axis(ordered, middle, axis=-1), -1, 0)
    return np.where(count > 0, (low + high) / 2, np.nan)
