"""The figures of a report: those that a sweep's axes call for."""

import base64
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rnnlab.analysis.figures import draw_time_heatmap
from rnnlab.analysis.frames import load_gradients, load_metrics
from rnnlab.analysis.phase_diagram import draw_phase_diagram
from rnnlab.analysis.sources import Source
from rnnlab.analysis.style import figure_style
from rnnlab.analysis.sweep_curves import draw_lag_curves, draw_losses
from rnnlab.analysis.sweep_figures import draw_clipping, draw_gain, draw_horizon, draw_solved
from rnnlab.analysis.swept import Roles
from rnnlab.records import HORIZON, LOG10_GAIN, VAL_LOSS, VAL_SOLVED

MOST_HEATMAPS = 4
MOST_LOSSES = 60
"""Runs whose losses are read: the whole training of each."""
TAIL = f"{LOG10_GAIN}_tail"


@dataclass(frozen=True)
class Picture:
    """A figure in a page.

    Attributes:
        title: What it is called.
        text: What one sees.
        address: A `data:` address that holds it.
    """

    title: str
    text: str
    address: str


def pictures(source: Source, runs: pd.DataFrame, roles: Roles) -> list[Picture]:
    """Draw what there is to draw of a sweep.

    Raises:
        ConnectionError: MLflow does not answer.
    """
    drawings = [
        *_lag_curves(source, roles),
        *_against_axes(runs, roles),
        *_losses(source, runs, roles),
        *_heatmaps(source, runs, roles),
    ]
    return [Picture(title, text, _address(draw)) for title, text, draw in drawings]


Drawing = tuple[str, str, Callable[[], Any]]


def _lag_curves(source: Source, roles: Roles) -> Iterator[Drawing]:
    text = (
        "The loss at one time step is sent back alone; its gradient k steps earlier, relative to one step. "
        "On this logarithmic axis a straight line is a constant gain."
    )
    try:
        curves = load_gradients(source, "state", axis="lag", steps="ends")
    except ValueError:  # the probe recorded none
        return
    for when, step in (("trained", "last"), ("untrained", "first")):
        draw = partial(draw_lag_curves, curves, hue=roles.hue, col=roles.col, step=step)
        yield f"Lag curves, {when}", text, draw


def _against_axes(runs: pd.DataFrame, roles: Roles) -> Iterator[Drawing]:
    x, hue = roles.x, roles.hue
    if x is not None and _has(runs, TAIL):
        text = "The factor of the gradient a time step back, over the longer half of the lags; 1 keeps it."
        yield f"Gain against {x}", text, partial(draw_gain, runs, x=x, hue=hue, col=roles.col)
    if x is not None and _has(runs, HORIZON):
        text = "How many time steps back a hundredth of the gradient is left."
        yield f"Horizon against {x}", text, partial(draw_horizon, runs, x=x, hue=hue, col=roles.col)
    if x is not None and _has(runs, VAL_SOLVED):
        text = "The share of runs that met their task's criterion."
        yield f"Solved against {x}", text, partial(draw_solved, runs, x=x, hue=hue, col=roles.col)
    y = roles.y or hue
    if x is not None and y is not None and "regime" in runs and runs["regime"].notna().any():
        text = "What becomes of the gradient at each combination: the most frequent regime of its runs."
        yield f"Regimes by {x} and {y}", text, partial(draw_phase_diagram, runs, x=x, y=y)
    if "clip" in roles.axes and runs["clip"].notna().any() and _has(runs, VAL_LOSS):
        text = "How often the gradient was clipped, and the validation loss that came of it."
        yield "Clipping", text, partial(draw_clipping, runs, hue=hue if hue != "clip" else None)


def _has(runs: pd.DataFrame, column: str) -> bool:
    return column in runs and bool(runs[column].notna().any())


def _losses(source: Source, runs: pd.DataFrame, roles: Roles) -> Iterator[Drawing]:
    shown = np.unique(np.linspace(0, len(runs) - 1, min(len(runs), MOST_LOSSES)).astype(int))
    chosen = runs["run"].iloc[shown].tolist()
    try:
        losses = load_metrics(source, VAL_LOSS, where=f"run in {chosen}")
    except ValueError:  # none came to a validation
        return
    text = "The validation loss over training."
    if len(chosen) < len(runs):
        text += f" Of {len(chosen)} runs, evenly chosen from {len(runs)}."
    yield "Losses", text, partial(draw_losses, losses, hue=roles.hue, col=roles.col)


def _heatmaps(source: Source, runs: pd.DataFrame, roles: Roles) -> Iterator[Drawing]:
    """One run of each colour, the first."""
    firsts = runs.drop_duplicates([roles.hue]) if roles.hue else runs[:1]
    for run, name in firsts[["run", "name"]].head(MOST_HEATMAPS).itertuples(index=False):
        try:
            norms = load_gradients(source, "h", axis="timestep", where=f"run == {run!r}")
        except ValueError:  # the probe recorded none
            continue
        if norms.empty:
            continue
        text = "The total gradient at each time step over training, of one run."
        yield f"Gradient by time step: {name}", text, partial(draw_time_heatmap, norms)


def _address(draw: Callable[[], Any]) -> str:
    """A figure as an SVG picture, whose text is drawn: the reader may have other fonts."""
    import matplotlib.pyplot as plt

    with matplotlib.rc_context({**figure_style(), "svg.fonttype": "path"}), matplotlib.rc_context():
        matplotlib.use("Agg")  # no window
        drawn = draw()
        first = drawn.flat[0] if isinstance(drawn, np.ndarray) else drawn
        figure: Figure = first.figure
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
        plt.close(figure)
    return f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode()}"
