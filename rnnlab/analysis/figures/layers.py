"""Figures of the parts of a network: the gradient by layer and lag, and by unit and time step."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator

from rnnlab.analysis.arguments import check_arguments
from rnnlab.analysis.figures.grouping import LINE_STYLES
from rnnlab.analysis.figures.literal_text import with_literal_text
from rnnlab.analysis.figures.selection import WHOLE, select_run, select_step
from rnnlab.analysis.figures.single_run import add_color_bar
from rnnlab.analysis.figures.style import SEQUENTIAL, check_columns, drawing_style, figure_style, new_axes

BY_UNIT = "h_by_unit"
"""Quantity recorded by the measurement `units`."""
STEPS = '"first", "last" or a training step'


@check_arguments
@with_literal_text
def draw_layer_heatmap(
    gradients: pd.DataFrame,
    ax: Axes | None = None,
    quantity: str = "h",
    step: str | int = "last",
    run: str | None = None,
    limits: Sequence[float] | None = None,
) -> Axes:
    """Draw a heat map of the gradient norm by layer and lag, on a logarithmic scale.

    The colour of layer ℓ and lag k is log10 of the geometric mean, over examples, of ‖∂ℓ_τ/∂hˡ[τ-k]‖.

    Args:
        gradients: Data frame with the columns of `records.GRADIENT_COLUMNS`.
        ax: Axes to draw on; None creates a new figure.
        quantity: Quantity whose lag curves are drawn: `h`, `c` or `state`.
        step: Training step to draw: a number, "first" or "last".
        run: Run identifier, or "mean" for the mean log10 gradient norm over all runs, which must differ only
            in their seed; required if the data frame contains several runs.
        limits: Smallest and largest value of the colour scale in decades, to compare several heat maps; None
            uses the smallest and largest plotted values.

    Returns:
        The Axes.

    Raises:
        ValueError: If the data frame lacks a column, the quantity, the step or the run.

    >>> net = rl.network("gru", inputs=3, hidden=8, layers=2)
    >>> gradients = net.lag_curve(np.random.default_rng(1).standard_normal((20, 3, 4))).frame
    >>> rl.draw_layer_heatmap(gradients).get_ylabel()
    'layer (1 reads the inputs)'
    """
    if ax is None:
        with drawing_style(figure_style()):
            return draw_layer_heatmap(gradients, new_axes(), quantity, step, run, limits)
    wide, when = by_layer(gradients, quantity, step, run)
    add_color_bar(draw_map(wide, ax, limits), ax, f"log₁₀ gradient norm w.r.t. {quantity}")
    ax.set(xlabel="lag k (time steps back)", ylabel="layer (1 reads the inputs)")
    ax.set_title(f"Gradient w.r.t. {quantity} by layer and lag, {when}")
    return ax


@check_arguments
@with_literal_text
def draw_layer_curves(
    gradients: pd.DataFrame,
    ax: Axes | None = None,
    quantity: str = "h",
    step: str | int = "last",
    run: str | None = None,
) -> Axes:
    """Draw the lag curve of each layer of one run, with a dashed line for the first recording.

    The arguments and errors are those of `draw_layer_heatmap`; there are no `limits`.

    >>> net = rl.network("gru", inputs=3, hidden=8, layers=2)
    >>> gradients = net.lag_curve(np.random.default_rng(1).standard_normal((20, 3, 4))).frame
    >>> len(rl.draw_layer_curves(gradients).lines)
    2
    """
    if ax is None:
        with drawing_style(figure_style()):
            return draw_layer_curves(gradients, new_axes(), quantity, step, run)
    wide, when = by_layer(gradients, quantity, step, run)
    first, _ = by_layer(gradients, quantity, "first", run)
    is_dashed = step == "last" and not wide.equals(first)
    colors = matplotlib.colormaps[SEQUENTIAL](np.linspace(0.05, 0.75, len(wide)))
    every = max(1, len(wide.columns) // 8)
    for color, layer, (_, marker) in zip(colors, wide.index, cycle(LINE_STYLES), strict=False):
        marked: dict[str, Any] = {"marker": marker, "markevery": every, "markersize": 5}
        ax.plot(wide.columns, wide.loc[layer], color=color, linewidth=1.6, label=f"layer {layer}", **marked)
        if is_dashed:
            ax.plot(first.columns, first.loc[layer], "--", color=color, linewidth=1)
    ax.legend(
        frameon=False,
        loc="upper left",
        bbox_to_anchor=(1, 1),
        title="dashed:\nfirst step" if is_dashed else None,
    )
    ax.set(xlabel="lag k (time steps back)", ylabel=f"log₁₀ gradient norm w.r.t. {quantity}")
    ax.set_title(f"Lag curve of each layer, {when}")
    return ax


@check_arguments
@with_literal_text
def draw_unit_heatmap(
    gradients: pd.DataFrame,
    ax: Axes | None = None,
    layer: int | None = None,
    step: str | int = "last",
    run: str | None = None,
) -> Axes:
    """Draw a heat map of the gradient with respect to each unit at each time step, on a logarithmic scale.

    The colour is log10 of the geometric mean, over examples, of the absolute value of ∂ℓ_b/∂h[t]
    for one unit.

    Args:
        gradients: Data frame with the quantity `h_by_unit`, which the measurement `units` records.
        ax: Axes to draw on; None creates a new figure.
        layer: Layer of the network; None selects the top layer.
        step: Training step to draw: a number, "first" or "last".
        run: Run identifier, or "mean" for the mean log10 gradient norm over all runs, which must differ only
            in their seed; required if the data frame contains several runs.

    Returns:
        The Axes.

    Raises:
        ValueError: If the data frame lacks a column, the quantity, the layer, the step or the run.

    >>> places = {"layer": 1, "unit": [1, 1, 2, 2], "timestep": [1, 2, 1, 2]}
    >>> values = {"step": 0, "quantity": "h_by_unit", "log10_gmean": [-2.0, -1.0, -3.0, -1.5]}
    >>> gradients = pd.DataFrame(places | values)
    >>> rl.draw_unit_heatmap(gradients).get_ylabel()
    'unit'
    """
    if ax is None:
        with drawing_style(figure_style()):
            return draw_unit_heatmap(gradients, new_axes(), layer, step, run)
    check_columns(gradients, ("step", "quantity", "layer", "unit", "timestep", "log10_gmean"))
    rows, whose = select_run(gradients, run)
    rows = rows[rows["quantity"] == BY_UNIT]
    if rows.empty:
        raise ValueError(f"gradients: no {BY_UNIT} in the frame; record it with the measurement units")
    layers = sorted(map(int, rows["layer"].unique()))
    if layer is not None and layer not in layers:
        raise ValueError(f"layer={layer!r}: must be one of {', '.join(map(str, layers))}")
    shown = layers[-1] if layer is None else layer
    rows, when = select_step(rows[rows["layer"] == shown], step, STEPS)
    wide = _table(rows, "unit", "timestep", run)
    add_color_bar(draw_map(wide, ax), ax, "log₁₀ gradient w.r.t. h of a unit")
    which = f", layer {shown}" if len(layers) > 1 else ""
    ax.set(xlabel="time step t", ylabel="unit", title=f"Gradient by unit and time step{which}, {when}{whose}")
    return ax


def by_layer(
    gradients: pd.DataFrame, quantity: str, step: str | int, run: str | None
) -> tuple[pd.DataFrame, str]:
    """Return log10 of the gradient norm by layer and lag at one training step, and describe the step."""
    check_columns(gradients, ("step", "quantity", "layer", "lag", "log10_gmean"))
    rows, whose = select_run(gradients, run)
    curves: Any = rows[rows["lag"].notna() & (rows["layer"] != WHOLE)]
    rows = curves[curves["quantity"] == quantity]
    if rows.empty:
        names = ", ".join(map(str, curves["quantity"].dropna().unique())) or "none"
        raise ValueError(f"quantity={quantity!r}: no lag curve in the frame; available: {names}")
    if "target" in rows:
        rows = rows[rows["target"].isna()]
    rows, when = select_step(rows, step, STEPS)
    return _table(rows, "layer", "lag", run), when + whose


def draw_map(wide: pd.DataFrame, ax: Axes, limits: Sequence[float] | None = None) -> QuadMesh:
    """Draw a table of whole-numbered rows and columns as a heat map, without a colour bar."""
    x, y = (np.append(axis, axis[-1] + 1) - 0.5 for axis in (wide.columns.to_numpy(), wide.index.to_numpy()))
    norm = None if limits is None else Normalize(min(limits), max(limits))
    mesh = ax.pcolormesh(x, y, wide.to_numpy(dtype=float), cmap=SEQUENTIAL, norm=norm, rasterized=True)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    return mesh


def _table(rows: pd.DataFrame, index: str, columns: str, run: str | None) -> pd.DataFrame:
    """Return log10_gmean as a table, averaged over the runs if `run` is "mean"."""
    if run == "mean":
        rows = rows.groupby([index, columns], observed=True)["log10_gmean"].mean().reset_index()
    wide = rows.pivot(index=index, columns=columns, values="log10_gmean").sort_index()
    return wide.set_axis(wide.index.astype(int)).set_axis(wide.columns.astype(int), axis="columns")
