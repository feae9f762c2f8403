"""All figures of one run, saved in its run folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rnnlab.analysis.figures import single_run as figures
from rnnlab.analysis.figures.layers import (
    BY_UNIT,
    draw_layer_curves,
    draw_layer_heatmap,
    draw_unit_heatmap,
)
from rnnlab.analysis.figures.literal_text import allow_odd_names
from rnnlab.analysis.figures.picture_files import png_bytes, save_bytes
from rnnlab.analysis.figures.selection import count_layers
from rnnlab.analysis.figures.style import PALETTE, figure_style, limit_ticks
from rnnlab.analysis.figures.two_formats import draw_png_and_svg
from rnnlab.analysis.frames.run_tables import read_gradients, read_metrics
from rnnlab.records import (
    CONFIG_FILE,
    FIGURES_FOLDER,
    GRAD_NORM,
    LOSS,
    THEORY_BOUND,
    THEORY_CELL_PATH,
    THEORY_LOG10_GAIN,
    TIMELINE_FOLDER,
    VAL_LOSS,
)
from rnnlab.runs.files import make_folder
from rnnlab.runs.run_json import read_config, read_run_info
from rnnlab.text import loss_unit_from_info

PNG_DPI = 120
TIMELINE_IMAGES = 5
TIMELINE_DPI = 90
RIGHT_MARGINS = {
    "lag_curves": 0.93,
    "layer_heatmap": 0.92,
    "unit_heatmap": 0.92,
    "layer_curves": 0.8,
    "time_heatmap": 0.92,
    "contributions": 0.8,
    "gates": 0.8,
    "singular_values": 0.78,
}
"""Right edge of the Axes as a fraction of the figure width; the margin holds a colour bar or legend."""


def draw_run(folder: Path) -> list[Path]:
    """Draw a run's recordings as PNG and SVG files; return the paths of the PNG files."""
    metrics, gradients = read_metrics(folder), read_gradients(folder)
    make_folder(folder / FIGURES_FOLDER, folder)
    info = read_run_info(folder) or {}
    drawings = _drawings(metrics, gradients, read_config(folder / CONFIG_FILE), info)
    drawn = [_save(draw, folder / FIGURES_FOLDER / name, folder) for name, draw in drawings.items()]
    _draw_timeline(gradients, folder)
    return drawn


def _drawings(
    metrics: pd.DataFrame, gradients: pd.DataFrame, config: dict[str, Any], info: dict[str, Any]
) -> dict[str, Callable[[Axes], Axes]]:
    """Return a drawing function, by file name, for each figure whose data were recorded in the run."""
    has = set(gradients["quantity"].dropna().unique())
    drawings: dict[str, Callable[[Axes], Axes]] = {}
    goal = info.get("goal") or {}
    if "state" in set(gradients.loc[gradients["lag"].notna(), "quantity"]):
        theory = (THEORY_LOG10_GAIN, THEORY_BOUND, THEORY_CELL_PATH)
        slopes = [_first_value(metrics, name) for name in theory]
        drawings["lag_curves"] = lambda ax: figures.draw_training_lag_curves(gradients, ax, "state", *slopes)
    if count_layers(gradients) > 1 and "h" in set(gradients.loc[gradients["lag"].notna(), "quantity"]):
        drawings["layer_heatmap"] = lambda ax: draw_layer_heatmap(gradients, ax)
        drawings["layer_curves"] = lambda ax: draw_layer_curves(gradients, ax)
    if BY_UNIT in has:
        drawings["unit_heatmap"] = lambda ax: draw_unit_heatmap(gradients, ax)
    by_time = set(gradients.loc[gradients["timestep"].notna(), "quantity"])
    if state := next((name for name in ("h", "state") if name in by_time), None):
        drawings["time_heatmap"] = lambda ax: figures.draw_time_heatmap(gradients, ax, state)
    if any(name.startswith(figures.CONTRIBUTION) for name in by_time):
        drawings["contributions"] = lambda ax: figures.draw_contributions(gradients, ax)
    if "h_saturated" in has or any(name.startswith("gate_") for name in has):
        drawings["gates"] = lambda ax: figures.draw_gates(gradients, ax)
    if "sv_max" in has:
        drawings["singular_values"] = lambda ax: figures.draw_singular_values(gradients, ax)
    if GRAD_NORM in metrics and (metrics[GRAD_NORM] > 0).any():
        by_norm = config.get("clip") if config.get("clip_mode") == "norm" else None
        drawings["clipping"] = lambda ax: figures.draw_clip_histogram(metrics, ax, by_norm)
    if LOSS in metrics or VAL_LOSS in metrics:
        drawings["loss"] = lambda ax: figures.draw_loss(metrics, ax, *loss_unit_from_info(info))
    if goal.get("metric") in metrics:
        drawings["verdict"] = lambda ax: figures.draw_verdict(metrics, ax, goal["metric"], goal["baseline"])
    return drawings


def _draw_timeline(gradients: pd.DataFrame, run: Path) -> None:
    """Draw the lag curve at each of a few training steps as an image, with the first lag curve dashed."""
    wide = figures.by_step(gradients, "lag", "state")
    values = wide.to_numpy(dtype=float)
    if not np.isfinite(values).any():
        return
    folder = run / FIGURES_FOLDER / TIMELINE_FOLDER
    make_folder(folder, run)
    selected = np.unique(np.linspace(0, len(wide) - 1, min(TIMELINE_IMAGES, len(wide))).astype(int))
    with matplotlib.rc_context(figure_style()):
        figure = Figure(figsize=(5, 3.4), dpi=TIMELINE_DPI)
        canvas: Any = FigureCanvasAgg(figure)
        figure.subplots_adjust(left=0.17, right=0.97, bottom=0.19, top=0.9)
        ax = figure.subplots()
        ax.plot(wide.columns, values[0], "--", color="0.6", linewidth=1)
        (line,) = ax.plot(wide.columns, values[0], color=PALETTE[0], animated=True)
        low, high = np.nanmin(values), np.nanmax(values)
        margin = 0.05 * (high - low) + 0.1
        ax.set(
            xlabel="lag k (time steps back)", ylabel=figures.LOG10_NORM, ylim=(low - margin, high + margin)
        )
        title = ax.set_title("", animated=True)
        limit_ticks(ax.xaxis, integer=True)
        limit_ticks(ax.yaxis)
        canvas.draw()  # draws everything except the line and the title, which differ between the images
        background = canvas.copy_from_bbox(figure.bbox)
        for row in selected:
            canvas.restore_region(background)
            line.set_ydata(values[row])
            title.set_text(f"Lag curve, training step {wide.index[row]}")
            ax.draw_artist(line)
            ax.draw_artist(title)
            image = png_bytes(canvas.buffer_rgba(), TIMELINE_DPI)
            save_bytes(image, folder / f"{wide.index[row]:08d}.png", run)


def _save(draw: Callable[[Axes], Axes], path: Path, run: Path) -> Path:
    with matplotlib.rc_context(figure_style()):
        figure = Figure(figsize=(7, 4.2))  # not pyplot, which has global state and opens windows
        limit_ticks(draw(figure.subplots()).xaxis, integer=True)  # lags, time steps and training steps
        for ax in figure.axes:  # also a colour bar
            limit_ticks(ax.xaxis)
            limit_ticks(ax.yaxis)
        # Margins are fixed because a layout engine would double the drawing time of every run in a sweep.
        figure.subplots_adjust(left=0.13, right=RIGHT_MARGINS.get(path.name, 0.97), bottom=0.15, top=0.91)
        with allow_odd_names():
            png, svg = draw_png_and_svg(figure, PNG_DPI)
    save_bytes(svg, path.with_suffix(".svg"), run)
    save_bytes(png, path.with_suffix(".png"), run)
    return path.with_suffix(".png")


def _first_value(metrics: pd.DataFrame, name: str) -> float | None:
    """Return the first value of a metric, or None if the metric has no value."""
    values = metrics[name].dropna() if name in metrics else pd.Series(dtype=float)
    return float(values.iloc[0]) if len(values) else None
