"""Functions that draw on one Axes, or on a grid with one Axes per subset of a data frame."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from rnnlab.analysis.figures.backend import import_seaborn
from rnnlab.analysis.figures.grouping import END
from rnnlab.analysis.figures.literal_text import make_text_literal
from rnnlab.analysis.figures.style import (
    SIZE,
    add_legend,
    add_note,
    add_title,
    drawing_style,
    figure_style,
    legend_columns,
    new_axes,
    wrap_lines,
)

Draw = Callable[[pd.DataFrame, Axes], None]
NOTHING_TO_SHOW = "nothing to show: no run has a value"


def draw_on_axes(
    frame: pd.DataFrame,
    draw: Draw,
    ax: Axes | None,
    columns: Mapping[str, str | None],
    title: Iterable[str],
    entries: Mapping[str, Artist],
    legend_title: str | None,
    below: bool = False,
) -> Any:
    """Draw a data frame on one Axes, or on a grid of Axes if `columns` specifies `col` or `row`.

    Args:
        frame: Data frame to draw; its columns `col` and `row` contain strings.
        draw: Function that draws the data frame, or a subset of its rows, on an Axes.
        ax: Axes to draw on; None creates a new figure.
        columns: Names of the columns whose values form the columns (`col`) and rows (`row`) of the grid, or
            None.
        title: Lines of the title above the figure.
        entries: Legend entries.
        legend_title: Legend title.
        below: If True, place the legend below the Axes even if the Axes is wide, for example to leave space
            for a colour bar.

    Returns:
        The Axes, or a seaborn FacetGrid for a grid.

    Raises:
        ValueError: If `ax` is combined with `col` or `row`, or if a grid has no data.
    """
    if columns["col"] is None and columns["row"] is None:
        ax, style = (new_axes(), figure_style()) if ax is None else (ax, {})
        with drawing_style(style):
            _draw_or_note(frame, draw, ax)
            add_title(ax, *title)
            add_legend(ax, entries, legend_title, below)
        return ax
    if ax is not None:
        raise ValueError("ax: cannot be combined with col or row, which create a grid of Axes")
    if frame.empty:
        facets = ", ".join(
            f"{role}={columns[role]!r}" for role in ("col", "row") if columns[role] is not None
        )
        raise ValueError(f"{facets}: no run has a value, so there is no grid to draw")
    return _draw_facets(frame, draw, columns, title, entries, legend_title)


def _draw_facets(
    frame: pd.DataFrame,
    draw: Draw,
    columns: Mapping[str, str | None],
    title: Iterable[str],
    entries: Mapping[str, Artist],
    legend_title: str | None,
) -> Any:
    sns = import_seaborn()

    roles = {role: role for role in ("col", "row") if columns[role] is not None}
    across = len(frame["col"].cat.categories) if "col" in roles else 1
    wrap = 3 if "row" not in roles and across > 3 else None
    across = min(across, wrap or across)
    width = max(SIZE[0] if across == 1 else 7.0, 1.9 * across) / across
    with drawing_style(figure_style() | sns.plotting_context("paper", font_scale=1.1)):
        height = max(2.1, 0.72 * width)
        # Facets are numbered because seaborn draws their names as titles, which fails for names with a $.
        words = {role: list(frame[role].cat.categories) for role in roles}
        numbered = frame.assign(
            **{role: frame[role].cat.rename_categories(range(len(words[role]))) for role in roles}
        )
        grid = sns.FacetGrid(numbered, **roles, col_wrap=wrap, height=height, aspect=width / height)
        grid.figure.set_layout_engine("constrained")
        grid.figure.set_figheight(grid.figure.get_figheight() + 0.9)  # space for title and legend
        for (i, j, _), part in grid.facet_data():
            ax = grid.facet_axis(i, j, modify_state=False)
            _draw_or_note(frame.loc[part.index], draw, ax)
            names = {"col": words["col"][grid.col_names[j]] if "col" in roles else None}
            names["row"] = words["row"][grid.row_names[i]] if "row" in roles else None
            titles = [
                word if columns[role] == END else f"{columns[role]} {word}"
                for role, word in names.items()
                if word is not None
            ]
            ax.set_title(", ".join(titles), fontsize="medium", loc="left")
            make_text_literal(ax)  # a heat map on the next Axes draws the entire figure
        axes = list(grid.axes.flat)
        for index, ax in enumerate(axes):
            _label_outer(ax, index % across == 0, index + across >= len(axes))
        lines = wrap_lines(title, grid.figure.get_figwidth())
        grid.figure.suptitle("\n".join(lines), fontsize="small", x=0.01, ha="left")
        if entries:
            legend_column_count = legend_columns(entries, grid.figure.get_figwidth())
            grid._legend = grid.figure.legend(  # FacetGrid.legend returns this attribute
                list(entries.values()),
                list(entries),
                title=legend_title,
                loc="outside lower center",
                ncol=legend_column_count,
                frameon=False,
                fontsize="small",
                title_fontsize="small",
            )
    return grid


def _label_outer(ax: Axes, left: bool, bottom: bool) -> None:
    ax.tick_params(labelleft=left, labelbottom=bottom)
    if not left:
        ax.set_ylabel("")
    if not bottom:
        ax.set_xlabel("")


def _draw_or_note(frame: pd.DataFrame, draw: Draw, ax: Axes) -> None:
    draw(frame, ax)
    if frame.empty:
        add_note(ax, NOTHING_TO_SHOW)
