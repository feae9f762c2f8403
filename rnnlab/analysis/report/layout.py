"""Which axes of a sweep tell its runs apart, and which of them a figure shows how."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from rnnlab.analysis.figures.style import OFF

FIRST = ("cell", "task", "seq_len", "clip", "lr", "clip_mode", "optimizer", "init")
"""Axes that come before others."""
MOST_COLORS, MOST_COLUMNS = 10, 6
"""Values that colours, and the columns of a grid, can tell apart."""


@dataclass(frozen=True)
class Roles:
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


def roles_of(runs: pd.DataFrame, axes: Sequence[str]) -> Roles:
    """Choose what a figure of some runs shows as what."""
    ordered = [*(axis for axis in FIRST if axis in axes), *(axis for axis in axes if axis not in FIRST)]
    varying = [axis for axis in ordered if axis != "seed" and _values(runs, [axis]) > 1]
    kept: list[str] = []
    for axis in varying:
        everywhere = axis in OFF or runs[axis].notna().all()
        if everywhere and not _follows(runs, kept, axis):
            kept.append(axis)
    numbers = [axis for axis in kept if _is_number(runs[axis])]
    words = [axis for axis in kept if axis not in numbers and _values(runs, [axis]) <= MOST_COLORS]
    few = [axis for axis in numbers if _values(runs, [axis]) <= MOST_COLORS]
    hue = next(iter([*words, *few[1:]]), few[0] if few else None)
    x = next((axis for axis in numbers if axis != hue), None)
    y = next((axis for axis in numbers if axis not in (hue, x)), None)
    rest = [axis for axis in [*words, *numbers] if axis not in (hue, x)]
    col = next((axis for axis in rest if _values(runs, [axis]) <= MOST_COLUMNS), None)
    return Roles(varying, hue, x, y, col)


def _values(runs: pd.DataFrame, axes: Sequence[str]) -> int:
    return len(runs[list(axes)].drop_duplicates())


def _follows(runs: pd.DataFrame, kept: Sequence[str], axis: str) -> bool:
    """Whether an axis goes with an earlier one, as what `pair` names does."""
    return any(_values(runs, [other, axis]) == _values(runs, [other]) < len(runs) for other in kept)


def _is_number(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
