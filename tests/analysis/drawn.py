"""Readers of the artists of a figure of many runs."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

import numpy as np
import scipy.stats
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PathCollection, PolyCollection, QuadMesh
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle


def lines_of(ax: Axes, color: Any, dashed: bool | None = None) -> list[tuple[list[float], list[float]]]:
    return [
        (list(map(float, line.get_xdata())), list(map(float, line.get_ydata())))
        for line in ax.lines
        if to_rgba(line.get_color()) == to_rgba(color) and dashed in (None, line.is_dashed())
    ]


def bands_of(ax: Axes, color: Any) -> list[dict[float, tuple[float, float]]]:
    """Return the lower and upper edge of each band of a colour, by x."""
    found = []
    for band in ax.collections:
        if isinstance(band, PolyCollection) and tuple(band.get_facecolor()[0][:3]) == to_rgba(color)[:3]:
            corners = band.get_paths()[0].vertices
            edges: dict[float, list[float]] = {}
            for x, y in corners:
                edges.setdefault(float(x), []).append(float(y))
            found.append({x: (min(ys), max(ys)) for x, ys in edges.items()})
    return found


def names_of(ax: Axes) -> list[str]:
    """Return the description of each curve, the last part of its identifier."""
    return [unquote(str(line.get_gid()).split("|")[2]) for line in ax.lines]


def assert_same_lines(drawn: list[tuple[list[float], list[float]]], expected: Sequence[Any]) -> None:
    """Check that the drawn lines are the expected ones, in any order."""
    left = [y for _, y in drawn]
    for values in expected:
        (match, *_) = [y for y in left if len(y) == len(values) and np.allclose(y, values, atol=1e-12)]
        left.remove(match)
    assert left == []


def title(ax: Axes) -> str:
    return ax.get_title("left").replace("\n", " ")


def legend(ax: Axes) -> list[str]:
    found = ax.get_legend()
    return [] if found is None else [text.get_text() for text in found.get_texts()]


def notes(ax: Axes) -> str:
    return " ".join(text.get_text() for text in ax.texts).replace("\n", " ")


def interval(values: list[float]) -> tuple[float, float]:
    found = scipy.stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    return found.low, found.high


def new_figure(**how: Any) -> Figure:
    figure = Figure(**({"layout": "constrained"} | how))
    FigureCanvasAgg(figure)  # without a canvas, drawing has no effect
    return figure


def means_of(ax: Axes, color: Any) -> list[tuple[float, float]]:
    """Return the positions of the means of one colour."""
    return sorted(
        (float(x), float(y))
        for line in ax.lines
        if str(line.get_gid()).startswith("means") and to_rgba(line.get_color()) == to_rgba(color)
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    )


def intervals_of(ax: Axes, color: Any) -> list[tuple[float, float, float]]:
    """Return x and the limits of the intervals of one colour."""
    return sorted(
        (float(bar[0, 0]), float(bar[0, 1]), float(bar[1, 1]))
        for found in ax.collections
        if isinstance(found, LineCollection) and tuple(found.get_edgecolor()[0]) == to_rgba(color)
        for bar in found.get_segments()
        if len(bar)
    )


def assert_means(
    ax: Axes, color: Any, expected: Sequence[tuple[float, float, tuple[float, float]]], nearness: float = 0.5
) -> None:
    """Check the means and intervals of one colour, each at its value of x up to a shift sideways.

    Args:
        ax: Axes of the figure.
        color: Colour of the means.
        expected: x, mean and limits of each group.
        nearness: Largest relative shift of x.
    """
    means, intervals = means_of(ax, color), intervals_of(ax, color)
    assert len(means) == len(intervals) == len(expected)
    for x, mean, (low, high) in expected:
        (at,) = [at for at, y in means if np.isclose(y, mean)]
        assert abs(at - x) <= nearness * abs(x) + 1e-9
        assert any(np.allclose((at, low, high), bar) for bar in intervals), (at, low, high, intervals)


def points_of(ax: Axes, marker: str | None = None) -> list[tuple[float, float]]:
    """Return the positions of the small points of runs, for one marker or all."""
    shape = None if marker is None else len(MarkerStyle(marker).get_path().vertices)
    return [
        tuple(map(float, offset))
        for found in ax.collections
        if isinstance(found, PathCollection) and shape in (None, len(found.get_paths()[0].vertices))
        for offset in found.get_offsets()
    ]


def ticks(ax: Axes) -> dict[str, float]:
    return {
        label.get_text(): float(at) for at, label in zip(ax.get_xticks(), ax.get_xticklabels(), strict=True)
    }


def mean_markers(ax: Axes) -> dict[str, list[float]]:
    """Return the x positions of the means, by marker."""
    found: dict[str, list[float]] = {}
    for line in ax.lines:
        if str(line.get_gid()).startswith("means"):
            found.setdefault(str(line.get_marker()), []).extend(map(float, line.get_xdata()))
    return {marker: sorted(places) for marker, places in found.items()}


def cells(ax: Axes) -> np.ndarray:
    (mesh,) = (found for found in ax.collections if isinstance(found, QuadMesh))
    return np.ma.filled(np.ma.asarray(mesh.get_array(), dtype=float), np.nan).reshape(
        len(ax.get_yticks()), -1
    )


def colors_of_cells(ax: Axes) -> list[list[tuple[float, ...]]]:
    ax.figure.canvas.draw()
    (mesh,) = (found for found in ax.collections if isinstance(found, QuadMesh))
    return [
        [tuple(color[:3]) for color in line] for line in mesh.get_facecolor().reshape(*cells(ax).shape, 4)
    ]


def lost(ax: Axes) -> list[tuple[float, float]]:
    """Return the positions of runs whose gain is 0."""
    return [
        (float(x), float(y))
        for line in ax.lines
        if line.get_gid() == "zero"
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    ]
