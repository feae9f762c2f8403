"""Phase diagrams: heat maps of the gradient's regime or gain against two sweep axes."""

from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from rnnlab.analysis.arguments import check_arguments
from rnnlab.analysis.figures.axis_scale import select_labels
from rnnlab.analysis.figures.backend import import_seaborn
from rnnlab.analysis.figures.facets import draw_on_axes
from rnnlab.analysis.figures.intervals import find_detail_axes, format_count
from rnnlab.analysis.figures.literal_text import with_literal_text
from rnnlab.analysis.figures.scalar_plot import describe_zeros, grouping_axes
from rnnlab.analysis.figures.style import (
    PALETTE,
    check_columns,
    drawing_style,
    figure_style,
    label_missing,
    to_labels,
    to_numbers,
)
from rnnlab.analysis.figures.sweep_scalars import FACTORS, GAINS, LOGARITHMS
from rnnlab.records import LOG10_GAIN_TAIL, ZERO_FRACTION

REGIME_COLORS: dict[str, Any] = {"vanishing": PALETTE[9], "stable": PALETTE[8], "exploding": PALETTE[3]}
MIXED, NO_REGIME = "tie", "no value"
OTHER_COLORS = {MIXED: "0.6", NO_REGIME: "0.92"}
OUTCOME_MARKS = {"diverged": "×", "unstable": "~"}
LEGEND_MARKS = {"diverged": ("diverged runs", "x"), "unstable": ("unstable runs", r"$\sim$")}
ZERO_MARK = "0"
"""Mark for diagram cells that contain runs with a gain of 0; the mean excludes these runs."""
DIVERGING = "vlag"
SHARE_BESIDE_BAR = 0.8
"""Fraction of the Axes width that remains after a colour bar is added."""
MAX_FACETS = 9
"""Maximum number of columns or rows that are added to a grid because runs differ in a further sweep axis."""
MIN_FONT_SIZE = 5.0
"""Smallest legible font size in points."""


@check_arguments
@with_literal_text
def draw_phase_diagram(
    runs: pd.DataFrame,
    ax: Axes | None = None,
    x: str = "lr",
    y: str = "clip",
    color: str = "regime",
    value: str = LOG10_GAIN_TAIL,
    col: str | None = None,
    row: str | None = None,
) -> Any:
    """Draw the regime or the gain of the gradient for each combination of values of two sweep axes.

    Each cell of the diagram shows the most frequent regime, or the mean log10 gain, of the runs with the
    cell's combination of values. The mark "× 2/3" means that two of three runs diverged; "~ 1/3" means that
    one of three runs was unstable. For a diverged run, the regime and the gain come from the run's last
    recording.

    Args:
        runs: Data frame returned by `load_runs`.
        ax: Axes to draw on; None creates a new figure.
        x: Sweep axis drawn from left to right; numbers are in ascending order, and `clip=null` comes last,
            labelled "off".
        y: Sweep axis drawn from bottom to top, ordered like `x`.
        color: Quantity shown as colour: "regime" or "gain".
        value: Column with the log10 gain, used only if `color` is "gain". The mean excludes runs whose gain
            is 0; the mark "0 1/3" means that the gain is 0 in one of three runs.
        col: Sweep axis whose values form the columns of a grid of Axes; None selects an axis that is not
            shown otherwise, unless `ax` is given.
        row: Sweep axis whose values form the rows of a grid of Axes, selected like `col`.

    Returns:
        The Axes, or a seaborn FacetGrid if `col` or `row` is given.

    Raises:
        ValueError: If the data frame lacks a required column or has no rows, if `color` is invalid, if `ax`
            is combined with `col` or `row`, or if the runs differ in an axis that the figure does not show.

    >>> rl.draw_phase_diagram(rl.load_runs("multirun"), x="cell", y="seed").get_xlabel()
    'cell'
    """
    if color not in ("regime", "gain"):
        raise ValueError(f'color={color!r}: must be "regime" or "gain"')
    value = LOGARITHMS.get(value, value)
    gain = GAINS.get(value, value)
    column = "regime" if color == "regime" else value
    facets = {"col": col, "row": row}
    by_color = {"value": value} if color == "gain" else {}
    check_columns(runs, ("regime",) if color == "regime" else (), x=x, y=y, **by_color, **facets)
    runs = runs.reset_index(drop=True)
    columns, lines = to_labels(runs[x]), to_labels(runs[y])
    drawn_runs = runs[columns.notna() & lines.notna()]
    given = list(filter(None, facets.values()))
    if ax is None:
        facets = _add_facets(drawn_runs, x, y, facets)
    if rest := _detail_axes(drawn_runs, [x, y, *filter(None, facets.values())]):
        raise ValueError(
            f"runs: also differ in {' and '.join(rest)}, which the figure does not show; select runs "
            f"with one value, for example runs[runs[{rest[0]!r}] == VALUE]"
        )
    frame = pd.DataFrame({"x": columns, "y": lines})
    for facet, name in facets.items():
        labels = to_labels(runs[name]) if name else pd.Series(pd.Categorical([""] * len(runs)))
        frame[facet] = labels if name in given else label_missing(labels)
    if color == "regime":
        _check_regimes(runs[column])
    frame["value"] = runs[column].astype(object) if color == "regime" else to_numbers(runs[column], "value")
    frame["outcome"] = runs["outcome"].astype(object) if "outcome" in runs else None
    factor = FACTORS.get(value) if color == "gain" else None
    frame["zero"] = to_numbers(runs[factor]) == 0 if factor in runs else False
    frame = frame.dropna(subset=["x", "y", *facets])
    counts = frame.groupby(["x", "y", *facets], observed=True).size()
    statistic = "most frequent regime" if color == "regime" else "geometric mean"
    caption = f"runs per cell: {format_count(counts)}" if len(counts) else "no runs"
    caption += f", {statistic}" if len(counts) and counts.max() > 1 else ""
    caption += describe_zeros(runs.loc[frame.index], ZERO_FRACTION)
    title = ["Regime of the gradient" if color == "regime" else gain.capitalize(), caption]
    norm = _centered_norm(frame, color)
    entries = _legend_entries(frame, color, gain)

    def draw(part: pd.DataFrame, ax: Axes) -> None:
        if len(part):
            _draw_cells(part, ax, color, norm)
        ax.set(xlabel=x, ylabel=y)

    shown = facets if len(frame) else {"col": col, "row": row}
    drawn = draw_on_axes(frame, draw, ax, shown, title, entries, None, below=norm is not None)
    if norm is not None:
        all_axes = [drawn] if isinstance(drawn, Axes) else list(drawn.axes.flat)
        with drawing_style(figure_style() if ax is None else {}):
            all_axes[0].figure.colorbar(
                ScalarMappable(norm, DIVERGING), ax=all_axes, label=f"log₁₀ {gain} per step"
            )
    return drawn


def _check_regimes(values: pd.Series) -> None:
    if unknown := [value for value in values.dropna().unique() if value not in REGIME_COLORS]:
        allowed = ", ".join(REGIME_COLORS)
        raise ValueError(f"column {values.name!r}: has the value {unknown[0]!r}; allowed: {allowed}")


def _detail_axes(runs: pd.DataFrame, shown: list[str]) -> list[str]:
    return find_detail_axes(runs[list(dict.fromkeys([*shown, *grouping_axes(runs)]))], shown, [])


def _add_facets(runs: pd.DataFrame, x: str, y: str, facets: dict[str, str | None]) -> dict[str, str | None]:
    """Return the facets, with axes that the figure does not show otherwise as columns and rows of a grid."""
    facets = dict(facets)
    for facet in ("col", "row"):
        detail = _detail_axes(runs, [x, y, *filter(None, facets.values())])
        if facets[facet] is None and detail and runs[detail[0]].nunique(dropna=False) <= MAX_FACETS:
            facets[facet] = detail[0]
    return facets


def _draw_cells(frame: pd.DataFrame, ax: Axes, color: str, norm: Normalize | None) -> None:
    columns, lines = list(frame["x"].cat.categories), list(frame["y"].cat.categories)
    groups = dict(list(frame.groupby(["x", "y"], observed=True)))
    table = pd.DataFrame(np.nan, index=lines, columns=columns)
    colors: dict[str, Any] = {**REGIME_COLORS, **OTHER_COLORS}
    for (column, line), cell in groups.items():
        values = cell["value"].dropna()
        if color == "regime":
            table.loc[line, column] = list(colors).index(most_frequent(values))
        else:
            values = values[np.isfinite(values.astype("float64"))]
            empty = -np.inf if cell["zero"].any() else np.nan  # below the scale, so it gets the lowest colour
            table.loc[line, column] = values.mean() if len(values) else empty
    settings: dict[str, Any] = {"cmap": DIVERGING}
    if color == "regime":
        settings = {"cmap": ListedColormap(list(colors.values())), "vmin": -0.5, "vmax": len(colors) - 0.5}
    elif norm is not None:
        settings |= {"vmin": norm.vmin, "vmax": norm.vmax}
    ax.set_facecolor("white" if color == "regime" else OTHER_COLORS[NO_REGIME])
    numbered = table.set_axis(range(len(lines)))  # numbers, because seaborn fails on row names with a $
    sns = import_seaborn()
    sns.heatmap(numbered, ax=ax, xticklabels=False, cbar=False, linewidths=1, linecolor="white", **settings)
    ax.set_yticks(ax.get_yticks(), [lines[int(y)] for y in ax.get_yticks()])
    ax.invert_yaxis()
    ax.tick_params(length=0, rotation=0)
    _label_columns(ax, columns, 1.0 if norm is None else SHARE_BESIDE_BAR)
    points, with_shares = _mark_size(ax, len(columns), len(lines))
    for (column, line), cell in groups.items():
        words = [
            f"{mark} {number}/{len(cell)}" if with_shares else mark
            for outcome, mark in OUTCOME_MARKS.items()
            if (number := int((cell["outcome"] == outcome).sum()))
        ]
        if zero := int(cell["zero"].sum()):
            words.append(f"{ZERO_MARK} {zero}/{len(cell)}" if with_shares else ZERO_MARK)
        if words:
            center = columns.index(column) + 0.5, lines.index(line) + 0.5
            ax.text(*center, "\n".join(words), ha="center", va="center", fontsize=points, color="black")


def _label_columns(ax: Axes, columns: list[str], share: float) -> None:
    """Label every column in a font that fits, or only some columns if that font would be illegible."""
    assert ax.figure is not None
    inches = share * ax.bbox.width / ax.figure.dpi / len(columns)
    default_size = FontProperties(size=matplotlib.rcParams["xtick.labelsize"]).get_size_in_points()
    max_size = 72 * inches / (0.6 * max(map(len, columns)) + 0.5)
    selected = list(range(len(columns)))
    if max_size < MIN_FONT_SIZE:
        selected = select_labels(columns, (np.arange(len(columns)) + 0.5) / len(columns), ax, share)
    ax.set_xticks([i + 0.5 for i in selected], [columns[i] for i in selected])
    size = min(default_size, max_size) if max_size >= MIN_FONT_SIZE else default_size
    ax.tick_params(axis="x", labelsize=size)


def _mark_size(ax: Axes, columns: int, lines: int) -> tuple[float, bool]:
    """Return a font size in points at which two marks fit into a cell, and whether counts also fit."""
    assert ax.figure is not None
    width, height = (72 * size / ax.figure.dpi for size in (ax.bbox.width / columns, ax.bbox.height / lines))
    points = min(FontProperties(size="small").get_size_in_points(), width / 3.2, height / 2.6)
    return (
        (points, True) if points >= MIN_FONT_SIZE else (max(MIN_FONT_SIZE, min(width, height / 2.6)), False)
    )


def most_frequent(regimes: pd.Series) -> str:
    """Return the most frequent regime, `MIXED` for a tie, or `NO_REGIME` if no run has a regime."""
    counts = regimes.value_counts()
    counts = counts[counts > 0]
    if counts.empty:
        return NO_REGIME
    return str(counts.index[0]) if len(counts) == 1 or counts.iloc[0] > counts.iloc[1] else MIXED


def _centered_norm(frame: pd.DataFrame, color: str) -> Normalize | None:
    """Return a colour scale for log10 gain centred on a gain of 1, or None for regimes."""
    if color == "regime":
        return None
    finite = frame[np.isfinite(frame["value"].astype("float64"))]
    means = finite.groupby(["x", "y", "col", "row"], observed=True)["value"].mean()
    largest = float(means.abs().max()) if len(means) else 1.0
    return Normalize(-(largest or 1.0), largest or 1.0)


def _legend_entries(frame: pd.DataFrame, color: str, gain: str) -> Mapping[str, Artist]:
    """Return legend entries for the colours and marks in the figure."""
    entries: dict[str, Artist] = {}
    parts = list(frame.groupby(["x", "y", "col", "row"], observed=True))
    if color == "regime":
        regimes = {most_frequent(part["value"].dropna()) for _, part in parts}
        colors: dict[str, Any] = {**REGIME_COLORS, **OTHER_COLORS}
        entries |= {word: Patch(color=colors[word]) for word in colors if word in regimes}
    elif any(part["value"].isna().all() and not part["zero"].any() for _, part in parts):
        entries[NO_REGIME] = Patch(color=OTHER_COLORS[NO_REGIME])
    if frame["zero"].any():
        entries[f"{gain} = 0, excluded from the mean"] = Line2D(
            [], [], color="black", marker=f"${ZERO_MARK}$", linestyle=""
        )
    for outcome, (name, marker) in LEGEND_MARKS.items():
        if (frame["outcome"] == outcome).any():
            entries[name] = Line2D([], [], color="black", marker=marker, linestyle="")
    return entries
