"""Figures of one run: each function takes a data frame and an Axes, and returns the Axes."""

import re
from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import QuadMesh
from matplotlib.colors import Normalize, SymLogNorm, to_rgba

from rnnlab.analysis.arguments import check_arguments
from rnnlab.analysis.figures.literal_text import make_text_literal, with_literal_text
from rnnlab.analysis.figures.selection import describe_layer, select_layer, select_run
from rnnlab.analysis.figures.style import (
    PALETTE,
    SEQUENTIAL,
    check_columns,
    drawing_style,
    figure_style,
    limit_ticks,
    new_axes,
    set_log_scale,
)
from rnnlab.records import GRAD_NORM, LOSS, STEPS_TO_SOLVE, VAL_LOSS
from rnnlab.text import format_number, format_zero_share

GATE_COLORS = dict(zip("figorun", PALETTE[:7], strict=True))
"""Colour of each gate, the same in all figures."""
CONTRIBUTION = "dW_"
"""Start of the names of the contributions to the gradient of a matrix."""
HISTOGRAM_BINS = 40
MAX_CURVES = 12
LOG10_NORM = "log₁₀ gradient norm"


@with_literal_text
def draw_training_lag_curves(
    gradients: pd.DataFrame,
    ax: Axes,
    quantity: str = "state",
    theory: float | None = None,
    bound: float | None = None,
    cell_path: float | None = None,
) -> Axes:
    """Draw log10 of the gradient norm against the lag, with one lag curve per training step.

    A single recording has no colour bar. The slopes `theory`, `bound` and `cell_path` are drawn as straight
    lines that start at g(1) of the first recording.

    Args:
        gradients: Data frame with the columns of `records.GRADIENT_COLUMNS`.
        ax: Axes to draw on.
        quantity: Quantity whose lag curves are drawn.
        theory: Slope that mean-field theory predicts for the untrained network's lag curve, in decades per
            time step.
        bound: Upper bound on the slope of the untrained network's lag curve, in decades per time step.
        cell_path: Slope of the lag curve along the cell path, computed only from the forget gates of the
            untrained LSTM, in decades per time step.
    """
    wide = by_step(gradients, "lag", quantity)
    steps = wide.index.to_numpy()
    selected = np.unique(np.linspace(0, len(steps) - 1, min(MAX_CURVES, len(steps))).astype(int))
    norm = SymLogNorm(linthresh=1, vmin=0, vmax=max(int(steps[-1]), 1))
    colors = matplotlib.colormaps[SEQUENTIAL]
    for row in selected:
        color = colors(norm(steps[row])) if len(steps) > 1 else PALETTE[0]
        ax.plot(wide.columns, wide.iloc[row], color=color, linewidth=1.2)
    lines = {
        "theory, untrained": (theory, "--"),
        "cell path only, untrained": (cell_path, "-."),
        "upper bound, untrained": (bound, ":"),
    }
    limits = ax.get_ylim()
    for label, (slope, style) in lines.items():
        if slope is not None and 1 in wide and np.isfinite(start := float(wide[1].iloc[0])):
            lags = np.array([1, wide.columns[-1]], dtype=float)
            ax.plot(lags, start + slope * (lags - 1), style, color="black", linewidth=1.2, label=label)
            ax.legend(frameon=False, loc="upper right")
    ax.set_ylim(limits)  # clip the straight lines but never the curves
    if len(steps) > 1:
        assert ax.figure is not None
        ax.figure.colorbar(ScalarMappable(norm, SEQUENTIAL), ax=ax, label="training step", format="%d")
    ax.set(xlabel="lag k (time steps back)", ylabel=LOG10_NORM)
    layer = describe_layer(gradients[gradients["lag"].notna()], quantity)
    zeros = _describe_zeros_at_end(gradients, quantity)
    ax.set_title(f"How far the gradient reaches ({quantity}{layer}{zeros})")
    return ax


@check_arguments
@with_literal_text
def draw_time_heatmap(
    gradients: pd.DataFrame,
    ax: Axes | None = None,
    quantity: str = "h",
    run: str | None = None,
    limits: Sequence[float] | None = None,
) -> Axes:
    """Draw a heat map of the total gradient norm by training step and time step, on a logarithmic scale.

    Args:
        gradients: Data frame with the columns of `records.GRADIENT_COLUMNS`, and a column `run` if the data
            frame contains several runs.
        ax: Axes to draw on; None creates a new figure.
        quantity: Quantity with respect to which the plotted gradient is taken.
        run: Run identifier, or "mean" for the mean log10 gradient norm over all runs, which must differ only
            in their seed; required if the data frame contains several runs.
        limits: Smallest and largest value of the colour scale in decades, to compare several heat maps; None
            uses the smallest and largest plotted values.

    Returns:
        The Axes.

    Raises:
        ValueError: If the data frame has no rows, if the quantity was not recorded per time step, if the run
            does not exist, if the data frame has several runs and `run` is None, or if `run` is "mean" and
            the runs differ in an axis other than the seed.

    >>> gradients = rl.load_gradients("multirun", "h", where="cell == 'lstm'")
    >>> rl.draw_time_heatmap(gradients).get_xlabel()
    'time step t'
    """
    check_columns(gradients, ("step", "quantity", "timestep", "log10_gmean"))
    if ax is None:
        with drawing_style(figure_style()):
            return draw_time_heatmap(gradients, new_axes(), quantity, run, limits)
    rows, which = select_run(gradients[gradients["timestep"].notna()], run)
    if quantity not in set(rows["quantity"].dropna().unique()):
        available = ", ".join(map(str, rows["quantity"].dropna().unique())) or "none"
        raise ValueError(f"quantity={quantity!r}: not recorded per time step; available: {available}")
    layer = describe_layer(rows, quantity)
    if run == "mean":
        rows = select_layer(rows, quantity)
        rows = rows.groupby(["step", "timestep"], observed=True)["log10_gmean"].mean().reset_index()
        rows = rows.assign(quantity=quantity)
    wide = by_step(rows, "timestep", quantity)
    times = wide.columns.to_numpy(dtype=float)
    mesh = ax.pcolormesh(
        np.append(times, times[-1] + 1) - 0.5,
        np.arange(len(wide) + 1) - 0.5,
        wide.to_numpy(dtype=float),
        cmap=SEQUENTIAL,
        norm=Normalize(min(limits), max(limits)) if limits else _finite_norm(wide.to_numpy(dtype=float)),
        rasterized=True,
    )
    ticks = np.unique(np.linspace(0, len(wide) - 1, min(9, len(wide))).astype(int))
    ax.set_yticks(ticks, [str(step) for step in wide.index[ticks]])
    add_color_bar(mesh, ax, f"log₁₀ total gradient norm w.r.t. {quantity}")
    ax.set(
        xlabel="time step t",
        ylabel="training step (not to scale)",
        title=f"Gradient w.r.t. {quantity} by time step{layer}{which}",
    )
    return ax


@with_literal_text
def draw_contributions(gradients: pd.DataFrame, ax: Axes) -> Axes:
    """Draw the contribution of each time step to the gradient of the recurrent matrix, for each gate.

    A solid line shows the last recording, and a dashed line shows the first recording.
    """
    rows = gradients[gradients["timestep"].notna()]
    names = sorted(name for name in rows["quantity"].unique() if name.startswith(CONTRIBUTION))
    matrix, layer = "dW_hh", describe_layer(rows, names[0])
    for name in names:
        matrix, _, gate = name.partition(".")
        color = GATE_COLORS.get(gate, "black")
        _draw_first_and_last(by_step(rows, "timestep", name), ax, color, gate or "all")
    _add_step_legend(ax, rows, names)
    ax.set(
        xlabel="time step t",
        ylabel="log₁₀ ‖C[t]‖",
        title=f"Contribution of each time step to {matrix}{layer}",
    )
    return ax


@with_literal_text
def draw_gates(gradients: pd.DataFrame, ax: Axes) -> Axes:
    """Plot mean gate activations over time, or the fraction of saturated units if the cell has no gates.

    A solid line shows the last recording, and a dashed line shows the first recording.
    """
    rows = gradients[gradients["timestep"].notna()]
    names = sorted(name for name in rows["quantity"].unique() if re.fullmatch("gate_[a-z]", name))
    label_y, title = "mean gate activation", "Gates over time"
    if not names:
        names, label_y, title = ["h_saturated"], "fraction of saturated units", "Saturation over time"
    for name in names:
        label = name.removeprefix("gate_").removesuffix("_saturated")
        color = GATE_COLORS.get(label, PALETTE[0])
        _draw_first_and_last(by_step(rows, "timestep", name, "mean"), ax, color, label)
    _add_step_legend(ax, rows, names)
    title += describe_layer(rows, names[0])
    ax.set(xlabel="time step t", ylabel=label_y, title=title, ylim=(0, 1))
    return ax


@with_literal_text
def draw_singular_values(gradients: pd.DataFrame, ax: Axes) -> Axes:
    """Draw the largest and smallest singular values of the k-step state Jacobian, in decades per time step.

    A solid line shows the last recording, and a dashed line shows the first recording.
    """
    for name, color, label in (("sv_max", PALETTE[0], "largest"), ("sv_min", PALETTE[1], "smallest")):
        wide = by_step(gradients, "lag", name)
        if wide.notna().to_numpy().any():
            _draw_first_and_last(
                wide.div(wide.columns.to_numpy(dtype=float), axis="columns"), ax, color, label
            )
    _add_step_legend(ax, gradients, ["sv_max"])
    ax.axhline(0, color="0.7", linewidth=0.8, zorder=0)
    ax.set(xlabel="lag k (time steps back)", ylabel="log₁₀ singular value per time step")
    set_log_scale(ax, "x")
    ax.set_title("Jacobian of the state over k time steps")
    return ax


@with_literal_text
def draw_clip_histogram(metrics: pd.DataFrame, ax: Axes, threshold: float | None = None) -> Axes:
    """Draw a histogram of the global gradient norms before clipping, from all training steps.

    A vertical line marks the clip threshold.
    """
    norms = metrics[GRAD_NORM].dropna()
    norms = norms[norms > 0]
    counts, edges = np.histogram(np.log10(norms), HISTOGRAM_BINS)
    edges = 10**edges
    color = to_rgba(PALETTE[0], 0.75)
    ax.bar(edges[:-1], counts, np.diff(edges), align="edge", color=color, edgecolor="white", linewidth=0.4)
    title = "Gradient norm before clipping"
    if threshold is not None:
        ax.axvline(threshold, color=PALETTE[3], linewidth=1.5)
        share = format_number(float(np.mean(norms > threshold)), ".1%")
        title += f": {share} of steps above the threshold {threshold:g}"
    set_log_scale(ax, "x")
    limit_ticks(ax.yaxis, integer=True)
    ax.set(xlabel="global gradient norm", ylabel="training steps", title=title)
    return ax


@with_literal_text
def draw_loss(metrics: pd.DataFrame, ax: Axes, unit: str = "", factor: float = 1.0) -> Axes:
    """Draw the training loss, its moving average over 50 steps, and the validation loss.

    Args:
        metrics: Data frame with the metrics of one run.
        ax: Axes to draw on.
        unit: Name of the unit of the y axis.
        factor: Factor by which the losses are multiplied to obtain values in this unit.
    """
    metrics = metrics.assign(**{name: factor * metrics[name] for name in (LOSS, VAL_LOSS) if name in metrics})
    if LOSS in metrics:
        training = metrics[["step", LOSS]].dropna()
        smooth = training[LOSS].rolling(50, min_periods=1, center=True).mean()
        ax.plot(training["step"], training[LOSS], color="0.8", linewidth=0.6, label="training")
        ax.plot(training["step"], smooth, color="C0", label="training, moving average over 50 steps")
    if VAL_LOSS in metrics:
        validation = metrics[["step", VAL_LOSS]].dropna()
        ax.plot(validation["step"], validation[VAL_LOSS], "o-", color="C1", markersize=4, label="validation")
    ax.set(xlabel="training step", ylabel=f"loss ({unit})" if unit else "loss", title="Loss")
    ax.legend(frameon=False, loc="upper right")
    return ax


@with_literal_text
def draw_verdict(metrics: pd.DataFrame, ax: Axes, metric: str, baseline: float) -> Axes:
    """Draw the task's validation metric with its baseline and the step at which the task was solved."""
    values = metrics[["step", metric]].dropna()
    ax.plot(values["step"], values[metric], "o-", color=PALETTE[0], markersize=4, label=metric)
    ax.axhline(baseline, color="black", linestyle="--", linewidth=1, label="baseline")
    title = "Validation"
    if STEPS_TO_SOLVE in metrics and len(solved := metrics[STEPS_TO_SOLVE].dropna()):
        ax.axvline(solved.iloc[0], color=PALETTE[2], linewidth=1.5, label="solved")
        title += f": solved at step {format_number(solved.iloc[0], '.0f')}"
    ax.set(xlabel="training step", ylabel=metric, title=title)
    ax.legend(frameon=False)
    return ax


def add_color_bar(mesh: QuadMesh, ax: Axes, label: str) -> None:
    """Add the colour bar of a heat map, unless the map has no finite value and thus no colour scale."""
    if np.ma.masked_invalid(np.ma.asarray(mesh.get_array())).count() and ax.figure is not None:
        make_text_literal(ax.figure.colorbar(mesh, ax=ax, label=label).ax)


def by_step(gradients: pd.DataFrame, axis: str, quantity: str, value: str = "log10_gmean") -> pd.DataFrame:
    """Return a table with one row per training step and one column per lag or time step.

    For lag curves, the table contains only the curves that start at the last target. In a stack of layers,
    it contains the values of all layers together if they were recorded, and otherwise those of the top layer.
    """
    rows = select_layer(gradients[gradients[axis].notna()], quantity)
    if "target" in rows:
        rows = rows[rows["target"].isna()]
    return rows.pivot(index="step", columns=axis, values=value).sort_index()


def _describe_zeros_at_end(gradients: pd.DataFrame, quantity: str) -> str:
    """Return a note on the fraction of examples with zero gradient at the last step and the longest lag."""
    if "zero_fraction" not in gradients:
        return ""
    shares = by_step(gradients, "lag", quantity, "zero_fraction").iloc[-1].dropna()
    text = format_zero_share(float(shares.iloc[-1])) if len(shares) else ""
    return f"; {text} at lag {shares.index[-1]}, omitted" if text else ""


def _draw_first_and_last(wide: pd.DataFrame, ax: Axes, color: object, label: str) -> None:
    ax.plot(wide.columns, wide.iloc[-1], color=color, linewidth=1.6, label=label)
    if len(wide) > 1:
        ax.plot(wide.columns, wide.iloc[0], color=color, linewidth=1, linestyle="--")


def _add_step_legend(ax: Axes, gradients: pd.DataFrame, names: list[str]) -> None:
    """Add a legend next to the Axes."""
    steps = gradients.loc[gradients["quantity"].isin(names), "step"]
    title = f"step {steps.max()}" + (f"\n(dashed: {steps.min()})" if steps.min() < steps.max() else "")
    ax.legend(frameon=False, title=title, loc="upper left", bbox_to_anchor=(1, 1))


def _finite_norm(values: np.ndarray) -> Normalize:
    finite = values[np.isfinite(values)]
    return Normalize(finite.min(), finite.max()) if finite.size else Normalize(0, 1)
