"""Which axes of a sweep tell its runs apart, and which of them a figure shows how."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from rnnlab.analysis.figures.style import NULL_LABELS

AXIS_ORDER = ("cell", "task", "seq_len", "clip", "lr", "clip_mode", "optimizer", "init")
"""Axes that come before others."""
MAX_COLORS, MAX_COLUMNS = 10, 6
"""Values that colours, and the columns of a grid, can tell apart."""


@dataclass(frozen=True)
class Encodings:
    """What figures of a sweep show its axes as.

    Attributes:
        axes: All that differ between the runs, `seed` apart.
        hue: The one that colours stand for.
        x: The numbers that others are drawn against.
        y: Further numbers, for a table of two axes.
        col: The one that columns of a grid stand for.
    """

    axes: list[str]
    hue: str | None = None
    x: str | None = None
    y: str | None = None
    col: str | None = None


def choose_encodings(runs: pd.DataFrame, axes: Sequence[str]) -> Encodings:
    """Choose what a figure of some runs shows as what."""
    ordered = [
        *(axis for axis in AXIS_ORDER if axis in axes),
        *(axis for axis in axes if axis not in AXIS_ORDER),
    ]
    varying = [axis for axis in ordered if axis != "seed" and _count_values(runs, [axis]) > 1]
    independent: list[str] = []
    for axis in varying:
        everywhere = axis in NULL_LABELS or runs[axis].notna().all()
        if everywhere and not _follows(runs, independent, axis):
            independent.append(axis)
    numbers = [axis for axis in independent if _is_number(runs[axis])]
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
    """Whether an axis goes with an earlier one, as what `pair` names does."""
    return any(
        _count_values(runs, [other, axis]) == _count_values(runs, [other]) < len(runs) for other in others
    )


def _is_number(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
