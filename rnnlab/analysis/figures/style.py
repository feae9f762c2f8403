"""Style shared by all figures: colours, order and labels of values, titles and legends."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_rgb
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from matplotlib.transforms import offset_copy

from rnnlab.analysis.figures.intervals import is_hashable
from rnnlab.analysis.figures.literal_text import MAX_LINE_LENGTH
from rnnlab.records import UNLIMITED
from rnnlab.text import NO_VALUE

SEQUENTIAL = "viridis"
PALETTE = [
    to_rgb(code)
    for code in (
        *("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc"),
        *("#ca9161", "#fbafe4", "#949494", "#ece133", "#56b4e9"),
    )
]
"""Seaborn's palette "colorblind"; importing seaborn takes longer than drawing the figures of a run."""
CELL_COLORS = dict(zip(("rnn", "lstm", "gru"), PALETTE[:3], strict=True))
"""Colour of each built-in cell, the same in all figures; other cells get the remaining colours."""
NEUTRAL_COLOR = "0.25"
"""Colour of figure elements that are not associated with a cell."""
NULL_LABELS = dict.fromkeys(UNLIMITED, "off")
"""Label of null, which is infinity in a data frame, for each sweep axis whose null means no limit."""

SIZES: dict[str, Any] = {
    "font.size": 12,
    "axes.labelsize": 12,
    "axes.titlesize": 12,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "legend.fontsize": 11,
    "legend.title_fontsize": 12,
    "axes.linewidth": 1.25,
    "grid.linewidth": 1,
    "lines.linewidth": 1.5,
    "lines.markersize": 6,
    "patch.linewidth": 1,
    **{f"{axis}tick.major.width": 1.25 for axis in "xy"},
    **{f"{axis}tick.minor.width": 1 for axis in "xy"},
    **{f"{axis}tick.major.size": 6 for axis in "xy"},
    **{f"{axis}tick.minor.size": 4 for axis in "xy"},
}
"""Font sizes and line widths, as in seaborn's context "notebook"."""
STYLE = {
    # Seaborn's style "ticks"
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.axisbelow": True,
    "axes.grid": False,
    "grid.linestyle": "-",
    "grid.color": ".8",
    **dict.fromkeys(("axes.edgecolor", "axes.labelcolor", "text.color", "xtick.color", "ytick.color"), ".15"),
    **dict.fromkeys(("xtick.direction", "ytick.direction"), "out"),
    **dict.fromkeys(("xtick.bottom", "ytick.left", "axes.spines.left", "axes.spines.bottom"), True),
    **dict.fromkeys(("xtick.top", "ytick.right"), False),
    "font.family": ["sans-serif"],
    "font.sans-serif": ["Arial", "DejaVu Sans", "Liberation Sans", "Bitstream Vera Sans", "sans-serif"],
    "lines.solid_capstyle": "round",
    "patch.edgecolor": "w",
    "patch.force_edgecolor": True,
    # Differences from seaborn's style
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # automatic placement takes a seventh of the drawing time
    "svg.hashsalt": "rnnlab",  # the same figure gives the same file
    "svg.fonttype": "none",  # text is stored as text, not as outlines
}
SIZE = (4.9, 3.6)
"""Figure size in inches; in a figure shown at a width of 3.5 inches, the smallest font size is 7 points."""
MAX_TICKS = 6
"""Maximum number of intervals between the ticks of a linear axis in a figure of one run."""
MIN_WIDE_INCHES = 4.3
"""Minimum width in inches of an Axes whose legend is to its right instead of below it."""


def figure_style() -> Any:
    """Return the matplotlib settings for all rnnlab figures."""
    return SIZES | STYLE


@contextmanager
def drawing_style(settings: Any) -> Iterator[None]:
    """Use matplotlib settings in a `with` block, as `rc_context` does, but keep the interactive mode.

    The first figure of a notebook loads the notebook's backend, which turns the interactive mode on. If the
    block turned it off again, the notebook would not show the figures that follow.
    """
    with matplotlib.rc_context(settings):
        try:
            yield
        finally:
            is_interactive = matplotlib.is_interactive()
    matplotlib.interactive(is_interactive)


def check_columns(frame: pd.DataFrame, needed: Iterable[str] = (), **columns: str | None) -> None:
    """Check that a data frame has all columns that a figure requires or that the arguments name.

    Raises:
        ValueError: If a column does not exist, or if it contains unhashable values such as lists.
    """
    names = ", ".join(map(str, frame.columns))
    for column in needed:
        if column not in frame:
            raise ValueError(
                f"column {column!r}: required by the figure, but not in the frame; available: {names}"
            )
    for argument, name in columns.items():
        if name is None:
            continue
        if name not in frame:
            raise ValueError(f"{argument}={name!r}: no such column; available: {names}")
        if frame[name].dtype == object and not is_hashable(frame[name]):
            kinds = ", ".join(sorted({type(value).__name__ for value in frame[name].dropna()}))
            raise ValueError(
                f"{argument}={name!r}: has values of type {kinds}; must contain numbers or strings"
            )


def to_numbers(values: pd.Series, argument: str | None = None) -> pd.Series:
    """Return a column as float64, with null as NaN.

    Args:
        values: Column to convert.
        argument: Name of the argument that selects the column; None if no argument selects it.

    Raises:
        ValueError: If the column is not numeric.
    """
    try:
        if pd.api.types.is_datetime64_any_dtype(values):
            raise TypeError
        return values.astype("float64")
    except (TypeError, ValueError):
        label = f"column {values.name!r}" if argument is None else f"{argument}={values.name!r}"
        raise ValueError(f"{label}: has type {values.dtype}; must contain numbers") from None


def to_labels(values: pd.Series, name: str | None = None) -> pd.Series:
    """Return the values of a sweep axis as an ordered categorical of strings; missing values remain null.

    Numbers are in ascending order; strings are in category order, or in order of first appearance if the
    column is not categorical. The null value of `clip` is labelled "off" and comes last.
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


def label_missing(labels: pd.Series) -> pd.Series:
    """Return categorical labels with missing values labelled as such, in a last category."""
    if not labels.isna().any():
        return labels
    return labels.cat.add_categories([NO_VALUE]).fillna(NO_VALUE)


def choose_colors(values: pd.Series) -> dict[str, Any]:
    """Return a colour for each value of a sweep axis, by label.

    Cells have fixed colours. The colours of numbers are evenly spaced on the viridis colour map, and "off" is
    grey. Each remaining label gets the palette colour at the label's position among all categories, so that
    the colours stay the same in figures of a subset of the rows.
    """
    words = list(to_labels(values).cat.categories)
    if values.name == "cell":
        cells = values.cat.categories if isinstance(values.dtype, pd.CategoricalDtype) else words
        others = sorted(str(cell) for cell in cells if cell not in CELL_COLORS)
        free = PALETTE[len(CELL_COLORS) :]
        colors = CELL_COLORS | {cell: free[index % len(free)] for index, cell in enumerate(others)}
        return {word: colors[word] for word in words}
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        sizes = [word for word in words if word != NULL_LABELS.get(str(values.name))]
        viridis = matplotlib.colormaps[SEQUENTIAL](np.linspace(0, 0.8, len(sizes)))
        return dict(zip(sizes, map(tuple, viridis), strict=True)) | dict.fromkeys(words[len(sizes) :], "0.5")
    order = list(map(str, values.cat.categories if isinstance(values.dtype, pd.CategoricalDtype) else words))
    return {word: PALETTE[order.index(word) % len(PALETTE)] if word in order else "0.5" for word in words}


def line_entries(colors: Mapping[str, Any], **settings: Any) -> dict[str, Artist]:
    """Return one legend entry per label, drawn as a line in the label's colour."""
    return {word: Line2D([], [], color=color, **settings) for word, color in colors.items()}


def is_wide(values: Iterable[float]) -> bool:
    """Return True if the values suit a logarithmic axis: all are positive and span a factor of 10 or more."""
    numbers = np.asarray(list(values), dtype=float)
    numbers = numbers[np.isfinite(numbers)]
    return bool(numbers.size and numbers.min() > 0 and numbers.max() / 10 >= numbers.min())


def set_log_scale(ax: Axes, which: Literal["x", "y"] = "y") -> None:
    """Use a logarithmic x or y axis with plain numbers at 1, 2 and 5 times the powers of ten."""
    ax.set(**{f"{which}scale": "log"})
    axis = ax.xaxis if which == "x" else ax.yaxis
    bottom, top = axis.get_view_interval()
    subs = (1.0, 2.0, 5.0) if np.log10(top) - np.log10(bottom) < 3 else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def limit_ticks(axis: Axis, **settings: bool) -> None:
    """Set fewer ticks on a linear axis than matplotlib, whose ticks take a third of the drawing time.

    Args:
        axis: Axis whose ticks are set; unchanged if its ticks are fixed or logarithmic.
        **settings: Further settings of `MaxNLocator`, such as `integer=True`.
    """
    if isinstance(locator := axis.get_major_locator(), MaxNLocator):
        locator.set_params(nbins=MAX_TICKS, **settings)


def new_axes(rows: int = 1) -> Any:
    """Return one Axes, or several vertically stacked Axes, in a new pyplot figure."""
    import matplotlib.pyplot as plt

    with drawing_style(figure_style()):
        _, axes = plt.subplots(
            rows, sharex=True, figsize=(SIZE[0], SIZE[1] + 2.2 * (rows - 1)), layout="constrained"
        )
    return axes


def add_title(ax: Axes, *lines: str) -> None:
    """Add a title whose lines are wrapped to the width of the Axes."""
    ax.set_title("\n".join(wrap_lines(lines, _width(ax))), fontsize="small", loc="left")


def add_note(ax: Axes, text: str) -> None:
    """Add a note in the middle of an empty Axes."""
    note = "\n".join(wrap_lines([text], 0.8 * _width(ax)))
    ax.text(0.5, 0.5, note, transform=ax.transAxes, ha="center", va="center", fontsize="small", color="0.4")


def add_legend(ax: Axes, entries: Mapping[str, Artist], title: str | None, below: bool = False) -> None:
    """Add a legend to the right of a wide Axes, or below the Axes if it is narrow or `below` is True.

    The figure's layout must reserve space for the legend, as `layout="constrained"` does.
    """
    if not entries:
        return
    settings: dict[str, Any] = {"frameon": False, "fontsize": "small", "title_fontsize": "small"}
    if (width := _width(ax)) >= MIN_WIDE_INCHES and not below:
        settings |= {"loc": "upper left", "bbox_to_anchor": (1.01, 1), "borderaxespad": 0}
    else:
        assert ax.figure is not None
        ticks = _points(matplotlib.rcParams["xtick.labelsize"])
        label = float(ax.xaxis.label.get_fontsize())
        points_below = 14 + 1.2 * (ticks + label)  # height of the ticks, their labels and the axis label
        below_axis = offset_copy(ax.transAxes, ax.figure, y=-points_below, units="points")  # type: ignore[arg-type]
        settings |= {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "bbox_transform": below_axis}
        settings |= {"borderaxespad": 0, "ncol": legend_columns(entries, width), "columnspacing": 1.2}
    ax.legend(list(entries.values()), list(entries), title=title, **settings)


def _width(ax: Axes) -> float:
    """Return the width of an Axes in inches."""
    assert ax.figure is not None
    return float(ax.bbox.width / ax.figure.dpi)


def _points(size: Any) -> float:
    """Return a font size in points, given a number or a word such as "small"."""
    return float(FontProperties(size=size).get_size_in_points())


def wrap_lines(lines: Iterable[str], inches: float) -> list[str]:
    """Wrap lines of small text to a width in inches, assuming that letters are twice as high as wide."""
    fitting = int(inches * 72 / (0.52 * _points("small")))
    letters = max(16, min(fitting, MAX_LINE_LENGTH))  # longer lines would be shortened in the middle
    return [part for line in lines for part in textwrap.wrap(line, letters) or [""]]


def legend_columns(entries: Iterable[str], inches: float) -> int:
    """Return the number of legend columns: one per entry if all fit in one row, else as many as fit."""
    widths = [0.55 * len(word) + 4.2 for word in entries]  # in letters, including the line sample
    total = inches * 72 / _points("small")
    return len(widths) if sum(widths) <= total else max(1, int(total / max(widths)))
