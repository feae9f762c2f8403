"""Figures: functions that take a frame and an Axes and return the Axes."""

from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, SymLogNorm
from matplotlib.figure import Figure

from rnnlab.analysis.frames import read_gradients, read_metrics
from rnnlab.records import FIGURES_FOLDER, LOSS, VAL_LOSS

STYLE = {"axes.spines.top": False, "axes.spines.right": False, "axes.titlelocation": "left"}
SEQUENTIAL = "viridis"
CURVES_SHOWN = 12


def draw_lag_curves(gradients: pd.DataFrame, ax: Axes, quantity: str = "state") -> Axes:
    """Lag curves over training: log10 of the gradient k steps back, one line a training step."""
    curves = gradients[gradients["lag"].notna() & (gradients["quantity"] == quantity)]
    wide = curves.pivot(index="step", columns="lag", values="log10_gmean")
    steps = wide.index.to_numpy()
    shown = np.unique(np.linspace(0, len(steps) - 1, min(CURVES_SHOWN, len(steps))).astype(int))
    norm = SymLogNorm(linthresh=1, vmin=0, vmax=max(int(steps[-1]), 1))
    colors = matplotlib.colormaps[SEQUENTIAL]
    for row in shown:
        ax.plot(wide.columns, wide.iloc[row], color=colors(norm(steps[row])), linewidth=1.2)
    assert ax.figure is not None
    ax.figure.colorbar(ScalarMappable(norm, SEQUENTIAL), ax=ax, label="training step")
    ax.set(xlabel="lag k (time steps back)", ylabel=r"$\log_{10}$ gradient norm")
    ax.set_title(f"How far the gradient reaches ({quantity})")
    return ax


def draw_time_heatmap(gradients: pd.DataFrame, ax: Axes, quantity: str = "h") -> Axes:
    """Total gradient norm by training step and time step, in logarithmic colour."""
    rows = gradients[gradients["timestep"].notna() & (gradients["quantity"] == quantity)]
    wide = rows.pivot(index="step", columns="timestep", values="log10_gmean").sort_index()
    mesh = ax.pcolormesh(
        wide.columns.to_numpy(dtype=float),
        np.arange(len(wide)),
        wide.to_numpy(dtype=float),
        cmap=SEQUENTIAL,
        norm=_finite_range(wide.to_numpy(dtype=float)),
        shading="nearest",
    )
    ticks = np.unique(np.linspace(0, len(wide) - 1, min(9, len(wide))).astype(int))
    ax.set_yticks(ticks, [str(step) for step in wide.index[ticks]])
    assert ax.figure is not None
    ax.figure.colorbar(mesh, ax=ax, label=rf"$\log_{{10}}$ norm of the total gradient at {quantity}")
    ax.set(xlabel="time step t", ylabel="training step (not to scale)", title="Gradient by time step")
    return ax


def draw_losses(metrics: pd.DataFrame, ax: Axes) -> Axes:
    """Training loss, its mean over 50 steps, and the validation loss."""
    if LOSS in metrics:
        training = metrics[["step", LOSS]].dropna()
        smooth = training[LOSS].rolling(50, min_periods=1, center=True).mean()
        ax.plot(training["step"], training[LOSS], color="0.8", linewidth=0.6, label="training")
        ax.plot(training["step"], smooth, color="C0", label="training, mean of 50 steps")
    if VAL_LOSS in metrics:
        validation = metrics[["step", VAL_LOSS]].dropna()
        ax.plot(validation["step"], validation[VAL_LOSS], "o-", color="C1", markersize=4, label="validation")
    ax.set(xlabel="training step", ylabel="loss (nats)", title="Loss")
    ax.legend(frameon=False)
    return ax


def draw_run(folder: Path) -> list[Path]:
    """Draw a run's figures into its folder; those without data are left out."""
    metrics, gradients = read_metrics(folder), read_gradients(folder)
    drawings: dict[str, Callable[[Axes], Axes]] = {}
    if gradients["lag"].notna().any():
        drawings["lag_curves"] = lambda ax: draw_lag_curves(gradients, ax)
    if gradients["timestep"].notna().any():
        drawings["time_heatmap"] = lambda ax: draw_time_heatmap(gradients, ax)
    if len(metrics):
        drawings["loss"] = lambda ax: draw_losses(metrics, ax)
    (folder / FIGURES_FOLDER).mkdir(exist_ok=True)
    return [_save(draw, folder / FIGURES_FOLDER / f"{name}.png") for name, draw in drawings.items()]


def _save(draw: Callable[[Axes], Axes], path: Path) -> Path:
    style = sns.axes_style("ticks") | sns.plotting_context("notebook") | STYLE
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(7, 4.2), layout="constrained")  # no pyplot: nothing global, no window
        draw(figure.subplots())
        figure.savefig(path, dpi=120)
    return path


def _finite_range(values: np.ndarray) -> Normalize:
    finite = values[np.isfinite(values)]
    return Normalize(finite.min(), finite.max()) if finite.size else Normalize(0, 1)
