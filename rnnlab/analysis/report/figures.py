"""The figures of a report: those that a sweep's axes call for."""

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
from rnnlab.analysis.frames.load import RunCollection
from rnnlab.analysis.report.layout import Encodings
from rnnlab.records import GAIN_TAIL, HORIZON, LOG10_GAIN_TAIL, VAL_LOSS, VAL_SOLVED

MAX_HEATMAPS = 4
MAX_LOSS_CURVES = 60
"""Runs whose losses are read: the whole training of each."""


@dataclass(frozen=True)
class Picture:
    """A figure in a page.

    Attributes:
        title: What it is called.
        text: What one sees.
        address: A `data:` address that holds it.
        wide: Whether it is a grid, which needs the width of two.
    """

    title: str
    text: str
    address: str
    wide: bool


def draw_pictures(found: RunCollection, encodings: Encodings) -> list[Picture]:
    """Draw what there is to draw of a sweep.

    Raises:
        ConnectionError: MLflow does not answer.
    """
    drawings = [
        *_lag_curves(found, encodings),
        *_scalar_plots(found.frame, encodings),
        *_losses(found, encodings),
        *_heatmaps(found, encodings),
    ]
    rendered = []
    for title, text, draw in drawings:
        with suppress(ValueError):  # nothing to show in it
            rendered.append(Picture(title, text, *_render(draw)))
    return rendered


Drawing = tuple[str, str, Callable[[], Any]]


def _lag_curves(found: RunCollection, encodings: Encodings) -> Iterator[Drawing]:
    text = (
        "The loss at one time step is sent back alone; its gradient k steps earlier, relative to one step. "
        "On this logarithmic axis a straight line is a constant gain."
    )
    try:
        curves = found.gradients("state", "lag", "ends")
    except ValueError:  # the probe recorded none
        return
    for when, step in (("trained", "last"), ("untrained", "first")):
        draw = partial(draw_lag_curves, curves, hue=encodings.hue, col=encodings.col, step=step)
        yield f"Lag curves, {when}", text, draw


def _scalar_plots(runs: pd.DataFrame, encodings: Encodings) -> Iterator[Drawing]:
    x, hue = encodings.x, encodings.hue
    if x is not None and (_has(runs, LOG10_GAIN_TAIL) or _has(runs, GAIN_TAIL)):
        text = (
            "The factor of the gradient a time step back, over the longer half of the lags; 1 keeps it. "
            "The gain in the tables is over all lags."
        )
        yield f"Tail gain against {x}", text, partial(draw_gain, runs, x=x, hue=hue, col=encodings.col)
    if x is not None and _has(runs, HORIZON):
        text = "The last time step back at which a hundredth of the gradient is left, even after a dip."
        yield f"Horizon against {x}", text, partial(draw_horizon, runs, x=x, hue=hue, col=encodings.col)
    if x is not None and _has(runs, VAL_SOLVED):
        text = "The share of runs that met their task's criterion."
        yield f"Solved against {x}", text, partial(draw_solved, runs, x=x, hue=hue, col=encodings.col)
    y = encodings.y or hue
    if x is not None and y is not None and "regime" in runs and runs["regime"].notna().any():
        text = "What becomes of the gradient at each combination: the most frequent regime of its runs."
        yield f"Regimes by {x} and {y}", text, partial(draw_phase_diagram, runs, x=x, y=y)
    if "clip" in encodings.axes and runs["clip"].notna().any() and _has(runs, VAL_LOSS):
        text = "How often the gradient was clipped, and the validation loss that came of it."
        yield "Clipping", text, partial(draw_clipping, runs, hue=hue if hue != "clip" else None)


def _has(runs: pd.DataFrame, column: str) -> bool:
    return column in runs and bool(runs[column].notna().any())


def _losses(found: RunCollection, encodings: Encodings) -> Iterator[Drawing]:
    selected = np.unique(
        np.linspace(0, len(found.runs) - 1, min(len(found.runs), MAX_LOSS_CURVES)).astype(int)
    )
    try:
        losses = found.select(selected).metrics(VAL_LOSS)
    except ValueError:  # none came to a validation
        return
    text = "The validation loss over training."
    if len(selected) < len(found.runs):
        text += f" Of {len(selected)} runs, evenly chosen from {len(found.runs)}."
    yield "Losses", text, partial(draw_losses, losses, hue=encodings.hue, col=encodings.col)


def _heatmaps(found: RunCollection, encodings: Encodings) -> Iterator[Drawing]:
    """One run of each colour, the first."""
    firsts = found.frame.drop_duplicates([encodings.hue]) if encodings.hue else found.frame[:1]
    for index in firsts.index[:MAX_HEATMAPS]:
        try:
            norms = found.select([index]).gradients("h", "timestep")
        except ValueError:  # the probe recorded none
            continue
        if norms.empty:
            continue
        text = "The total gradient at each time step over training, of one run."
        title = f"Gradient by time step: {found.runs[index].row['name']}"
        yield title, text, partial(draw_time_heatmap, norms)


def _render(draw: Callable[[], Any]) -> tuple[str, bool]:
    """A figure as an SVG picture, whose text is result as the reader may have other fonts; is it wide?"""
    import matplotlib.pyplot as plt

    with matplotlib.rc_context({**figure_style(), "svg.fonttype": "path"}), allow_odd_names():
        result = draw()
        first = result.flat[0] if isinstance(result, np.ndarray) else result
        figure: Figure = first.figure
        picture = picture_bytes(figure, "svg", bbox_inches="tight")
        plt.close(figure)
    address = f"data:image/svg+xml;base64,{base64.b64encode(picture).decode()}"
    return address, isinstance(result, sns.FacetGrid) and len(result.axes.flat) > 1
