"""Assignment of the axes of a sweep to the colours, x axis and grid columns of figures."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from rnnlab.analysis.figures.style import NULL_LABELS

AXIS_ORDER = ("cell", "task", "seq_len", "clip", "lr", "clip_mode", "optimizer", "init", "layers")
"""Sweep axes that are assigned before all other axes, in this order."""
MAX_COLORS, MAX_COLUMNS = 10, 6
"""Maximum number of colours in a figure, and maximum number of columns in a grid of plots."""


@dataclass(frozen=True)
class Encodings:
    """Assignment of sweep axes to the visual properties of figures.

    Attributes:
        axes: Sweep axes whose values differ between the runs, excluding `seed`.
        hue: Sweep axis shown as colour.
        x: Numeric sweep axis shown on the x axis.
        y: Second numeric sweep axis, shown on the y axis of phase diagrams.
        col: Sweep axis shown as the columns of a grid of plots.
    """

    axes: list[str]
    hue: str | None = None
    x: str | None = None
    y: str | None = None
    col: str | None = None


def choose_encodings(runs: pd.DataFrame, axes: Sequence[str]) -> Encodings:
    """Choose how the figures represent each sweep axis."""
    ordered = [
        *(axis for axis in AXIS_ORDER if axis in axes),
        *(axis for axis in axes if axis not in AXIS_ORDER),
    ]
    varying = [axis for axis in ordered if axis != "seed" and _count_values(runs, [axis]) > 1]
    independent: list[str] = []
    for axis in varying:
        is_complete = axis in NULL_LABELS or runs[axis].notna().all()
        if is_complete and not _follows(runs, independent, axis):
            independent.append(axis)
    numbers = [axis for axis in independent if is_number(runs[axis])]
    words = [
        axis for axis in independent if axis not in numbers and _count_values(runs, [axis]) <= MAX_COLORS
    ]
    few = [axis for axis in numbers if _count_values(runs, [axis]) <= MAX_COLORS]
    hue = next(iter([*words, *few[1:]]), few[0] if few else None)
    x = next((axis for axis in numbers if axis != hue), None)
    y = next((axis for axis in numbers if axis not in (hue, x)), None)
    rest = [axis for axis in [*words, *numbers] if axis not in (hue, x)]
    col = next((axis for axis in rest if _count_values(runs, [axis]) <= MAX_COLUMNS), None)
    return Encodings(varying, hue, x, y, col)


def _count_values(runs: pd.DataFrame, axes: Sequence[str]) -> int:
    return len(runs[list(axes)].drop_duplicates())


def _follows(runs: pd.DataFrame, others: Sequence[str], axis: str) -> bool:
    """Return True if another axis determines the value of the given axis, as with axes linked by `pair`."""
    return any(
        _count_values(runs, [other, axis]) == _count_values(runs, [other]) < len(runs) for other in others
    )


def is_number(values: pd.Series) -> bool:
    """Return True if a sweep axis is numeric, so that its colours form a sequence."""
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
