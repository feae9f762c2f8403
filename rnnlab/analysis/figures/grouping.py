"""Groups of replicates: which sweep axes a figure shows, by what, and which axes only separate its groups."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from rnnlab.analysis.figures.intervals import find_detail_axes
from rnnlab.analysis.figures.style import label_missing, to_labels

CHANNELS = ("hue", "style", "col", "row")
LINE_STYLES: list[tuple[Any, str]] = [
    ("-", "o"),
    ((0, (4, 1.5)), "s"),
    ((0, (1, 1)), "D"),
    ((0, (3, 1, 1, 1)), "P"),
    ((0, (5, 1, 1, 1, 1, 1)), "X"),
]
"""Dash pattern and marker of each value of the style axis."""
END = "end"
"""Name of the axis that distinguishes the first recording of a run from the last."""
INTERVAL = "interval"
"""Identifier of the artists that show an interval."""
CURVE = "curve"
"""First part of the identifier of a line; see `curve_id`."""


@dataclass(frozen=True)
class Grouping:
    """Assignment of the sweep axes to visual properties, such that each group contains only replicates.

    Attributes:
        shown: Column shown by each of the channels `hue`, `style`, `col` and `row`, or None.
        given: Columns among these that the caller named; rows without a value of one of them are not drawn.
        detail: Sweep axes that separate groups but are not shown.
    """

    shown: dict[str, str | None]
    given: list[str]
    detail: list[str]

    @classmethod
    def of(
        cls,
        rows: pd.DataFrame,
        usable: pd.Series,
        encodings: Mapping[str, str | None],
        frame_columns: Collection[str],
    ) -> "Grouping":
        """Show a further axis with few values by `style` if it is free, and separate the groups by the rest.

        Args:
            rows: Data frame with one row per run or per recording.
            usable: Mask that selects the rows with a value.
            encodings: Column of each channel, or None; additional keys, such as `x`, name columns that the
                figure shows by other means.
            frame_columns: Columns that are not sweep axes.
        """
        axes = [name for name in encodings.values() if name is not None and name not in frame_columns]
        drawn = rows.loc[usable]
        detail = find_detail_axes(drawn, list(dict.fromkeys(axes)), frame_columns)
        shown = {channel: encodings[channel] for channel in CHANNELS}
        given = list(dict.fromkeys(name for name in shown.values() if name is not None))
        few = (axis for axis in detail if len(_categories(drawn[axis])) <= len(LINE_STYLES))
        if shown["style"] is None and (style := next(few, None)) is not None:
            shown["style"] = style
            detail = find_detail_axes(drawn, [*axes, style], frame_columns)
        return cls(shown, given, detail)

    @property
    def columns(self) -> list[str]:
        """Return the columns of `labels` that identify a group of replicates."""
        return [*CHANNELS, *(f"detail {axis}" for axis in self.detail)]

    def labels(self, rows: pd.DataFrame) -> dict[str, pd.Series]:
        """Return the label of each row on each channel and each detail axis."""
        empty = pd.Series(pd.Categorical([""] * len(rows)), index=rows.index)
        labels = {channel: to_labels(rows[name]) if name else empty for channel, name in self.shown.items()}
        if self.shown["style"] not in (None, *self.given):
            labels["style"] = label_missing(labels["style"])
        return labels | {f"detail {axis}": label_missing(to_labels(rows[axis])) for axis in self.detail}

    def describe(self, row: pd.Series) -> str:
        """Describe the group of a row of labels, for example `cell lstm, lr 0.1`."""
        names = {channel: name for channel, name in self.shown.items() if name not in (None, END)}
        names |= {f"detail {axis}": axis for axis in self.detail}
        words = [f"{name} {row[column]}" for column, name in names.items()]
        return ", ".join(dict.fromkeys([*words, *self.describe_end(row)]))

    def describe_end(self, row: pd.Series) -> list[str]:
        """Return the end of a row of labels, such as `step 0, untrained`; nothing if no channel shows it."""
        return [str(row[channel]) for channel, name in self.shown.items() if name == END][:1]


def curve_id(part: pd.DataFrame, text: str) -> str:
    """Return the identifier of a line: its kind, its colour label and its description, separated by `|`.

    In the label and the description, `%` and `|` are encoded as in a URL.
    """
    hue = str(part["hue"].iloc[0])
    return "|".join(word.replace("%", "%25").replace("|", "%7C") for word in (CURVE, hue, text))


def _categories(column: pd.Series) -> pd.Index:
    return label_missing(to_labels(column)).cat.categories
