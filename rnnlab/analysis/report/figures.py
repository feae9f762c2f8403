"""Figures for a report, chosen according to the axes of the sweep."""

import base64
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from rnnlab.analysis.figures.literal_text import allow_odd_names
from rnnlab.analysis.figures.phase_diagram import draw_phase_diagram
from rnnlab.analysis.figures.picture_files import picture_bytes
from rnnlab.analysis.figures.single_run import draw_time_heatmap
from rnnlab.analysis.figures.style import figure_style
from rnnlab.analysis.figures.sweep_curves import draw_lag_curves, draw_losses
from rnnlab.analysis.figures.sweep_scalars import draw_clipping, draw_gain, draw_horizon, draw_solved
from rnnlab.analysis.frames.run_collection import RunCollection
from rnnlab.analysis.report.encodings import Encodings
from rnnlab.records import GAIN_TAIL, HORIZON, LOG10_GAIN_TAIL, VAL_LOSS, VAL_SOLVED
from rnnlab.text import explain

MAX_HEATMAPS = 4
MAX_LOSS_CURVES = 60
"""Maximum number of runs whose loss curves are read and drawn."""


@dataclass(frozen=True)
class Picture:
    """A figure in the report.

    Attributes:
        title: Title.
        text: Caption.
        address: `data:` URL that contains the image.
        wide: True for a grid of plots, which requires the full page width.
    """

    title: str
    text: str
    address: str
    wide: bool


def draw_pictures(collection: RunCollection, encodings: Encodings) -> list[Picture]:
    """Draw all figures for which a sweep has the required axes and data.

    Raises:
        ConnectionError: If MLflow does not respond.
    """
    drawings = [
        *_lag_curves(collection, encodings),
        *_scalar_plots(collection.frame, encodings),
        *_losses(collection, encodings),
        *_heatmaps(collection, encodings),
    ]
    rendered = []
    for title, text, draw in drawings:
        with suppress(ValueError):  # no data to draw
            rendered.append(Picture(title, text, *_render(draw)))
    return rendered


Drawing = tuple[str, str, Callable[[], Any]]


def _lag_curves(collection: RunCollection, encodings: Encodings) -> Iterator[Drawing]:
    text = (
        "Norm of the gradient of the loss at a single time step with respect to the state k time steps "
        "earlier, relative to the norm at lag 1. On the logarithmic axis, a constant gain yields a straight "
        "line."
    )
    try:
        curves = collection.gradients("state", "lag", "ends")
    except ValueError:  # the probe made no recordings
        return
    for when, step in (("trained", "last"), ("untrained", "first")):
        draw = partial(draw_lag_curves, curves, hue=encodings.hue, col=encodings.col, step=step)
        yield f"Lag curves, {when}", text, draw


def _scalar_plots(runs: pd.DataFrame, encodings: Encodings) -> Iterator[Drawing]:
    x, hue = encodings.x, encodings.hue
    if x is not None and (_has(runs, LOG10_GAIN_TAIL) or _has(runs, GAIN_TAIL)):
        text = (
            "Factor by which the norm of the backpropagated gradient changes per time step, computed only "
            "from lags of at least half the maximum lag; a gain of 1 preserves the norm. The gain in the "
            "tables covers all lags."
        )
        yield f"Tail gain against {x}", text, partial(draw_gain, runs, x=x, hue=hue, col=encodings.col)
    if x is not None and _has(runs, HORIZON):
        text = (
            "Largest lag at which at least 1 % of the gradient norm remains, even if less remains at a "
            "smaller lag."
        )
        yield f"Horizon against {x}", text, partial(draw_horizon, runs, x=x, hue=hue, col=encodings.col)
    if x is not None and _has(runs, VAL_SOLVED):
        text = "Fraction of runs that met the success criterion of their task."
        yield f"Solved against {x}", text, partial(draw_solved, runs, x=x, hue=hue, col=encodings.col)
    y = encodings.y or hue
    if x is not None and y is not None and "regime" in runs and runs["regime"].notna().any():
        text = "Most frequent gradient regime among the runs with each combination of axis values."
        yield f"Regimes by {x} and {y}", text, partial(draw_phase_diagram, runs, x=x, y=y)
    loss = _loss_metric(runs)
    if "clip" in encodings.axes and runs["clip"].notna().any() and _has(runs, loss):
        text = f"Clip rate and final {loss} at each clip threshold ({explain([loss])})."
        yield "Clipping", text, partial(draw_clipping, runs, hue=hue if hue != "clip" else None, loss=loss)


def _loss_metric(runs: pd.DataFrame) -> str:
    """Return the metric that shows the validation losses in the unit of the tables."""
    metrics = set(runs["metric"].dropna()) if "metric" in runs else set()
    return str(metrics.pop()) if len(metrics) == 1 and metrics <= {"val/bpc", "val/mse"} else VAL_LOSS


def _has(runs: pd.DataFrame, column: str) -> bool:
    return column in runs and bool(runs[column].notna().any())


def _losses(collection: RunCollection, encodings: Encodings) -> Iterator[Drawing]:
    selected = np.unique(
        np.linspace(0, len(collection.runs) - 1, min(len(collection.runs), MAX_LOSS_CURVES)).astype(int)
    )
    loss = _loss_metric(collection.frame)
    try:
        losses = collection.select(selected).metrics(loss)
    except ValueError:  # no run reached a validation
        return
    text = f"Validation during training ({explain([loss])})."
    if len(selected) < len(collection.runs):
        text += (
            f" The figure shows {len(selected)} of {len(collection.runs)} runs, chosen at regular intervals."
        )
    yield "Losses", text, partial(draw_losses, losses, metric=loss, hue=encodings.hue, col=encodings.col)


def _heatmaps(collection: RunCollection, encodings: Encodings) -> Iterator[Drawing]:
    """Yield a heat map for the first run at each value of the colour axis."""
    firsts = collection.frame.drop_duplicates([encodings.hue]) if encodings.hue else collection.frame[:1]
    for index in firsts.index[:MAX_HEATMAPS]:
        try:
            norms = collection.select([index]).gradients("h", "timestep")
        except ValueError:  # the probe made no recordings
            continue
        if norms.empty:
            continue
        text = "Norm of the total gradient by time step and training step, for a single run."
        title = f"Gradient by time step: {collection.runs[index].row['name']}"
        yield title, text, partial(draw_time_heatmap, norms)


def _render(draw: Callable[[], Any]) -> tuple[str, bool]:
    """Return a figure as the `data:` URL of an SVG with text as paths, and True if the figure is a grid."""
    import matplotlib.pyplot as plt

    with matplotlib.rc_context({**figure_style(), "svg.fonttype": "path"}), allow_odd_names():
        result = draw()
        first = result.flat[0] if isinstance(result, np.ndarray) else result
        figure: Figure = first.figure
        picture = picture_bytes(figure, "svg", bbox_inches="tight")
        plt.close(figure)
    address = f"data:image/svg+xml;base64,{base64.b64encode(picture).decode()}"
    return address, isinstance(result, sns.FacetGrid) and len(result.axes.flat) > 1
