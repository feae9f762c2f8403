"""What figures share: colours, the order and names of an axis's values, titles, legends."""

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.transforms import offset_copy

from rnnlab.analysis.figures.intervals import is_hashable

SEQUENTIAL = "viridis"
PALETTE = sns.color_palette("colorblind")
CELL_COLORS = dict(zip(("rnn", "lstm", "gru"), PALETTE[:3], strict=True))
"""Of a cell the same in every figure; another cell gets one of the remaining colours."""
NEUTRAL_COLOR = "0.25"
"""The colour of what stands for no cell."""
NULL_LABELS = {"clip": "off"}
"""Axes on which null is a value of its own."""

STYLE = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # else it is looked for, a seventh of the drawing
    "svg.hashsalt": "rnnlab",  # the same file for the same figure
    "svg.fonttype": "none",  # text stays text
}
SIZE = (4.9, 3.6)
"""Inches; shown 3.5 inches wide, the smallest text has 7 points."""
WIDE_INCHES = 4.3
"""Inches from which on an Axes has its legend beside it, not below."""


def figure_style() -> Any:
    """Matplotlib's settings for every figure of the project."""
    return sns.axes_style("ticks") | sns.plotting_context("notebook") | STYLE


def check_columns(frame: pd.DataFrame, needed: Iterable[str] = (), **columns: str | None) -> None:
    """Whether there are the columns that a figure needs, and those that its arguments name.

    Raises:
        ValueError: The frame has no such column, or what one holds cannot be the values of an axis.
    """
    names = ", ".join(map(str, frame.columns))
    for column in needed:
        if column not in frame:
            raise ValueError(f"the frame has no column {column!r}, which is needed; there are: {names}")
    for argument, name in columns.items():
        if name is None:
            continue
        if name not in frame:
            raise ValueError(f"{argument}={name!r} is no column of the frame; there are: {names}")
        if frame[name].dtype == object and not is_hashable(frame[name]):
            kinds = ", ".join(sorted({type(value).__name__ for value in frame[name].dropna()}))
            raise ValueError(
                f"{argument}={name!r} holds values of type {kinds}; an axis has numbers or words"
            )


def to_numbers(values: pd.Series, argument: str | None = None) -> pd.Series:
    """A column as float64, null as NaN.

    Args:
        values: The column.
        argument: Which argument names it; None if the figure itself chose it.

    Raises:
        ValueError: It holds something else.
    """
    try:
        if pd.api.types.is_datetime64_any_dtype(values):
            raise TypeError
        return values.astype("float64")
    except (TypeError, ValueError):
        named = f"column {values.name!r}" if argument is None else f"{argument}={values.name!r}"
        raise ValueError(f"{named} holds no numbers but {values.dtype}") from None


def to_labels(values: pd.Series, name: str | None = None) -> pd.Series:
    """An axis's values as words, categories in their order; null where there is none.

    Numbers are ordered by size, words as their categories are, else as they come; the null of `clip` is
    "off", the last.
    """
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        sizes = values.astype("float64")
        sizes = sizes.where(np.isfinite(sizes))
        sorted_sizes = sorted(sizes.dropna().unique())
        words = [f"{number:g}" for number in sorted_sizes]
        if len(set(words)) < len(words):
            words = [repr(float(number)) for number in sorted_sizes]
        labels = sizes.map(dict(zip(sorted_sizes, words, strict=True))).astype(object)
    else:
        present = set(values.dropna().unique())
        order = values.cat.categories if isinstance(values.dtype, pd.CategoricalDtype) else values.unique()
        words = [str(value) for value in order if value in present]
        labels = values.astype(object).map(str, na_action="ignore")
    off = NULL_LABELS.get(str(name or values.name))
    if off is not None and labels.isna().any():
        labels, words = labels.where(labels.notna(), off), [*words, off]
    return pd.Series(pd.Categorical(labels, categories=list(dict.fromkeys(words))), index=values.index)


def choose_colors(values: pd.Series) -> dict[str, Any]:
    """The colour of each of an axis's values, by its word.

    Cells have theirs; numbers are evenly spaced on viridis, "off" grey; other words have the colours of the
    palette, by their place among all categories, so that a part of a frame has those of the whole.
    """
    words = list(to_labels(values).cat.categories)
    if values.name == "cell":
        named = values.cat.categories if isinstance(values.dtype, pd.CategoricalDtype) else words
        others = sorted(str(cell) for cell in named if cell not in CELL_COLORS)
        free = PALETTE[len(CELL_COLORS) :]
        colors = CELL_COLORS | {cell: free[place % len(free)] for place, cell in enumerate(others)}
        return {word: colors[word] for word in words}
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        sizes = [word for word in words if word != NULL_LABELS.get(str(values.name))]
        viridis = matplotlib.colormaps[SEQUENTIAL](np.linspace(0, 0.9, len(sizes)))
        return dict(zip(sizes, map(tuple, viridis), strict=True)) | dict.fromkeys(words[len(sizes) :], "0.5")
    named = list(map(str, values.cat.categories if isinstance(values.dtype, pd.CategoricalDtype) else words))
    return {word: PALETTE[named.index(word) % len(PALETTE)] if word in named else "0.5" for word in words}


def line_entries(colors: Mapping[str, Any], **settings: Any) -> dict[str, Artist]:
    """A legend's entries, a line of its colour for each word."""
    return {word: Line2D([], [], color=color, **settings) for word, color in colors.items()}


def is_wide(values: Iterable[float]) -> bool:
    """Whether values call for a logarithmic axis: all over 0, and spanning a factor of 10."""
    found = np.asarray(list(values), dtype=float)
    found = found[np.isfinite(found)]
    return bool(found.size and found.min() > 0 and found.max() / 10 >= found.min())


def new_axes(rows: int = 1) -> Any:
    """Axes, one below the other, of a new figure that a notebook shows."""
    import matplotlib.pyplot as plt

    with matplotlib.rc_context(figure_style()):
        _, axes = plt.subplots(
            rows, sharex=True, figsize=(SIZE[0], SIZE[1] + 2.2 * (rows - 1)), layout="constrained"
        )
    return axes


def add_title(ax: Axes, *lines: str) -> None:
    """A title of several lines, each broken where the Axes ends."""
    ax.set_title("\n".join(wrap_lines(lines, _width(ax))), fontsize="small", loc="left")


def add_note(ax: Axes, text: str) -> None:
    """Words in the middle of an Axes that has nothing to show."""
    note = "\n".join(wrap_lines([text], 0.8 * _width(ax)))
    ax.text(0.5, 0.5, note, transform=ax.transAxes, ha="center", va="center", fontsize="small", color="0.4")


def add_legend(ax: Axes, entries: Mapping[str, Artist], title: str | None, below: bool = False) -> None:
    """A legend outside of the Axes: beside a wide one, below a narrow one or where `below` says so.

    The figure's layout has to make room for it, as `layout="constrained"` does.
    """
    if not entries:
        return
    settings: dict[str, Any] = {"frameon": False, "fontsize": "small", "title_fontsize": "small"}
    if (width := _width(ax)) >= WIDE_INCHES and not below:
        settings |= {"loc": "upper left", "bbox_to_anchor": (1.01, 1), "borderaxespad": 0}
    else:
        assert ax.figure is not None
        ticks = _points(matplotlib.rcParams["xtick.labelsize"])
        label = float(ax.xaxis.label.get_fontsize())
        points_below = 14 + 1.2 * (ticks + label)  # by ticks, their labels and the axis's
        below_axis = offset_copy(ax.transAxes, ax.figure, y=-points_below, units="points")  # type: ignore[arg-type]
        settings |= {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "bbox_transform": below_axis}
        settings |= {"borderaxespad": 0, "ncol": legend_columns(entries, width), "columnspacing": 1.2}
    ax.legend(list(entries.values()), list(entries), title=title, **settings)


def _width(ax: Axes) -> float:
    """Inches."""
    assert ax.figure is not None
    return float(ax.bbox.width / ax.figure.dpi)


def _points(size: Any) -> float:
    """Of a font, from a number or a word such as "small"."""
    return float(FontProperties(size=size).get_size_in_points())


def wrap_lines(lines: Iterable[str], inches: float) -> list[str]:
    """Lines of small letters, about half as wide as high, broken where the room ends."""
    room = max(16, int(inches * 72 / (0.52 * _points("small"))))
    return [part for line in lines for part in textwrap.wrap(line, room) or [""]]


def legend_columns(entries: Iterable[str], inches: float) -> int:
    """Of a legend below an Axes: all in one row where they fit, else columns as wide as the longest."""
    letters = [0.55 * len(word) + 4.2 for word in entries]  # its line included
    room = inches * 72 / _points("small")
    return len(letters) if sum(letters) <= room else max(1, int(room / max(letters)))
