"""Figures of one run: functions that take its frames and an Axes and return the Axes."""

import re

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, SymLogNorm

from rnnlab.analysis.arguments import check_arguments
from rnnlab.analysis.figures.literal_text import make_text_literal, with_literal_text
from rnnlab.analysis.figures.style import PALETTE, SEQUENTIAL, check_columns, figure_style, new_axes
from rnnlab.records import GRAD_NORM, LOSS, STEPS_TO_SOLVE, VAL_LOSS
from rnnlab.text import format_zero_share

GATE_COLORS = dict(zip("figorun", PALETTE[:7], strict=True))
"""Of a gate the same in every figure."""
MAX_CURVES = 12
MAX_NAMED_RUNS = 10
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
    """Lag curves over training: log10 of the gradient k steps back, one line a training step.

    Args:
        gradients: With the columns of `records.GRADIENT_COLUMNS`.
        ax: Where to draw.
        quantity: Which curve.
        theory: Decades a step that theory expects of the untrained network; a line through its g(1).
        bound: Decades a step that no gradient of the untrained network can gain more than; likewise.
        cell_path: Decades a step that an untrained LSTM's forget gates alone leave; likewise.
    """
    wide = by_step(gradients, "lag", quantity)
    steps = wide.index.to_numpy()
    selected = np.unique(np.linspace(0, len(steps) - 1, min(MAX_CURVES, len(steps))).astype(int))
    norm = SymLogNorm(linthresh=1, vmin=0, vmax=max(int(steps[-1]), 1))
    colors = matplotlib.colormaps[SEQUENTIAL]
    for row in selected:
        ax.plot(wide.columns, wide.iloc[row], color=colors(norm(steps[row])), linewidth=1.2)
    lines = {
        "theory, untrained": (theory, "--"),
        "cell path alone, untrained": (cell_path, "-."),
        "bound, untrained": (bound, ":"),
    }
    limits = ax.get_ylim()
    for label, (slope, style) in lines.items():
        if slope is not None and 1 in wide and np.isfinite(start := float(wide[1].iloc[0])):
            lags = np.array([1, wide.columns[-1]], dtype=float)
            ax.plot(lags, start + slope * (lags - 1), style, color="black", linewidth=1.2, label=label)
            ax.legend(frameon=False, loc="upper right")
    ax.set_ylim(limits)  # a line may leave the page, the curves may not
    assert ax.figure is not None
    ax.figure.colorbar(ScalarMappable(norm, SEQUENTIAL), ax=ax, label="training step", format="%d")
    ax.set(xlabel="lag k (time steps back)", ylabel=LOG10_NORM)
    ax.set_title(f"How far the gradient reaches ({quantity}{_describe_zeros_at_end(gradients, quantity)})")
    return ax


@check_arguments
@with_literal_text
def draw_time_heatmap(
    gradients: pd.DataFrame, ax: Axes | None = None, quantity: str = "h", run: str | None = None
) -> Axes:
    """Total gradient norm by training step and time step, in logarithmic colour.

    Args:
        gradients: With the columns of `records.GRADIENT_COLUMNS`, and `run` if they are of several runs.
        ax: Where to draw; None makes a figure.
        quantity: Of which gradient.
        run: Which run, or "mean" for the mean of log10 over all; needed where there are several.

    Returns:
        The Axes.

    Raises:
        ValueError: No rows, or none of the quantity by time step; several runs and no choice, or another run.
    """
    check_columns(gradients, ("step", "quantity", "timestep", "log10_gmean"))
    if ax is None:
        with matplotlib.rc_context(figure_style()):
            return draw_time_heatmap(gradients, new_axes(), quantity, run)
    rows, which = _select_run(gradients[gradients["timestep"].notna()], run)
    if quantity not in set(rows["quantity"].dropna().unique()):
        there = ", ".join(map(str, rows["quantity"].dropna().unique())) or "none"
        raise ValueError(f"quantity={quantity!r} is not there by time step; there are: {there}")
    if run == "mean":
        rows = rows[rows["quantity"] == quantity]
        rows = rows.groupby(["step", "timestep"], observed=True)["log10_gmean"].mean().reset_index()
        rows = rows.assign(quantity=quantity)
    wide = by_step(rows, "timestep", quantity)
    mesh = ax.pcolormesh(
        wide.columns.to_numpy(dtype=float),
        np.arange(len(wide)),
        wide.to_numpy(dtype=float),
        cmap=SEQUENTIAL,
        norm=_finite_norm(wide.to_numpy(dtype=float)),
        shading="nearest",
        rasterized=True,
    )
    ticks = np.unique(np.linspace(0, len(wide) - 1, min(9, len(wide))).astype(int))
    ax.set_yticks(ticks, [str(step) for step in wide.index[ticks]])
    assert ax.figure is not None
    bar = ax.figure.colorbar(mesh, ax=ax, label=f"log₁₀ norm of the total gradient at {quantity}")
    make_text_literal(bar.ax)
    ax.set(
        xlabel="time step t",
        ylabel="training step (not to scale)",
        title=f"Gradient at {quantity} by time step{which}",
    )
    return ax


@with_literal_text
def draw_contributions(gradients: pd.DataFrame, ax: Axes) -> Axes:
    """What each time step contributes to dW_hh, and of each gate, at the last recording; first dashed."""
    rows = gradients[gradients["timestep"].notna()]
    names = sorted(name for name in rows["quantity"].unique() if name.startswith("dW_hh"))
    for name in names:
        gate = name.removeprefix("dW_hh").removeprefix(".")
        color = GATE_COLORS.get(gate, "black")
        _draw_first_and_last(by_step(rows, "timestep", name), ax, color, gate or "all")
    _add_step_legend(ax, rows, names)
    ax.set(xlabel="time step t", ylabel="log₁₀ ‖C[t]‖", title="What each time step adds to dW_hh")
    return ax


@with_literal_text
def draw_gates(gradients: pd.DataFrame, ax: Axes) -> Axes:
    """Mean activation of the gates over time at the last recording, dashed at the first; else saturation."""
    rows = gradients[gradients["timestep"].notna()]
    names = sorted(name for name in rows["quantity"].unique() if re.fullmatch("gate_[a-z]", name))
    what, title = "mean gate activation", "Gates over time"
    if not names:
        names, what, title = ["h_saturated"], "share of saturated units", "Saturation over time"
    for name in names:
        label = name.removeprefix("gate_").removesuffix("_saturated")
        color = GATE_COLORS.get(label, PALETTE[0])
        _draw_first_and_last(by_step(rows, "timestep", name, "mean"), ax, color, label)
    _add_step_legend(ax, rows, names)
    ax.set(xlabel="time step t", ylabel=what, title=title, ylim=(0, 1))
    return ax


@with_literal_text
def draw_singular_values(gradients: pd.DataFrame, ax: Axes) -> Axes:
    """Extreme singular values of the state's Jacobian over k steps, in decades a step; first dashed."""
    for name, color, label in (("sv_max", PALETTE[0], "largest"), ("sv_min", PALETTE[1], "smallest")):
        wide = by_step(gradients, "lag", name)
        if wide.notna().to_numpy().any():
            _draw_first_and_last(
                wide.div(wide.columns.to_numpy(dtype=float), axis="columns"), ax, color, label
            )
    _add_step_legend(ax, gradients, ["sv_max"])
    ax.axhline(0, color="0.7", linewidth=0.8, zorder=0)
    ax.set(xlabel="lag k (time steps back)", ylabel="log₁₀ singular value, per step", xscale="log")
    ax.set_title("Jacobian of the state over k steps")
    return ax


@with_literal_text
def draw_clip_histogram(metrics: pd.DataFrame, ax: Axes, threshold: float | None = None) -> Axes:
    """The gradient's norm before clipping over all steps, and the threshold on it."""
    norms = metrics[GRAD_NORM].dropna()
    norms = norms[norms > 0]
    sns.histplot(x=norms, ax=ax, bins=40, log_scale=True, color=PALETTE[0], edgecolor="white", linewidth=0.4)
    title = "Gradient norm before clipping"
    if threshold is not None:
        ax.axvline(threshold, color=PALETTE[3], linewidth=1.5)
        title += f": {np.mean(norms > threshold):.1%} over the threshold {threshold:g}"
    ax.set(xlabel="global gradient norm", ylabel="training steps", title=title)
    return ax


@with_literal_text
def draw_loss(metrics: pd.DataFrame, ax: Axes) -> Axes:
    """Training loss, its mean over 50 steps, and the validation loss."""
    if LOSS in metrics:
        training = metrics[["step", LOSS]].dropna()
        smooth = training[LOSS].rolling(50, min_periods=1, center=True).mean()
        ax.plot(training["step"], training[LOSS], color="0.8", linewidth=0.6, label="training")
        ax.plot(training["step"], smooth, color="C0", label="training, mean of 50 steps")
    if VAL_LOSS in metrics:
        validation = metrics[["step", VAL_LOSS]].dropna()
        ax.plot(validation["step"], validation[VAL_LOSS], "o-", color="C1", markersize=4, label="validation")
    ax.set(xlabel="training step", ylabel="loss", title="Loss")
    ax.legend(frameon=False, loc="upper right")
    return ax


@with_literal_text
def draw_verdict(metrics: pd.DataFrame, ax: Axes, metric: str, baseline: float) -> Axes:
    """The validation metric that the task is known by, its baseline, and since when the task is solved."""
    values = metrics[["step", metric]].dropna()
    ax.plot(values["step"], values[metric], "o-", color=PALETTE[0], markersize=4, label=metric)
    ax.axhline(baseline, color="black", linestyle="--", linewidth=1, label="baseline")
    title = "What is learned"
    if STEPS_TO_SOLVE in metrics and len(solved := metrics[STEPS_TO_SOLVE].dropna()):
        ax.axvline(solved.iloc[0], color=PALETTE[2], linewidth=1.5, label="solved")
        title += f": solved at step {solved.iloc[0]:.0f}"
    ax.set(xlabel="training step", ylabel=metric, title=title)
    ax.legend(frameon=False)
    return ax


def by_step(gradients: pd.DataFrame, axis: str, quantity: str, value: str = "log10_gmean") -> pd.DataFrame:
    """One row a training step, one column a lag or time step; lag curves of the last target alone."""
    rows = gradients[gradients[axis].notna() & (gradients["quantity"] == quantity)]
    if "target" in rows:
        rows = rows[rows["target"].isna()]
    return rows.pivot(index="step", columns=axis, values=value).sort_index()


def _describe_zeros_at_end(gradients: pd.DataFrame, quantity: str) -> str:
    """At the longest lag of the last recording, the share of examples that are 0 and not in the curve."""
    if "zero_fraction" not in gradients:
        return ""
    shares = by_step(gradients, "lag", quantity, "zero_fraction").iloc[-1].dropna()
    text = format_zero_share(float(shares.iloc[-1])) if len(shares) else ""
    return f"; {text} at lag {shares.index[-1]}, left out" if text else ""


def _select_run(rows: pd.DataFrame, run: str | None) -> tuple[pd.DataFrame, str]:
    """The rows of the run that is chosen, or of all for their mean, and words that say so."""
    runs = list(map(str, rows["run"].unique())) if "run" in rows else []
    if run == "mean":
        return rows, f", mean of {max(len(runs), 1)} runs"
    if run is None and len(runs) <= 1:
        return rows, ""
    if run not in runs:
        names = ", ".join(runs[:MAX_NAMED_RUNS]) + (" …" if len(runs) > MAX_NAMED_RUNS else "")
        problem = "the frame has" if run is None else f"run={run!r} is not in the frame, which has"
        raise ValueError(f'{problem} {len(runs)} runs; choose one or run="mean": {names or "none"}')
    return rows[(rows["run"] == run).to_numpy()], f", run {run}"


def _draw_first_and_last(wide: pd.DataFrame, ax: Axes, color: object, label: str) -> None:
    ax.plot(wide.columns, wide.iloc[-1], color=color, linewidth=1.6, label=label)
    if len(wide) > 1:
        ax.plot(wide.columns, wide.iloc[0], color=color, linewidth=1, linestyle="--")


def _add_step_legend(ax: Axes, gradients: pd.DataFrame, names: list[str]) -> None:
    """A legend beside the axes."""
    steps = gradients.loc[gradients["quantity"].isin(names), "step"]
    title = f"step {steps.max()}" + (f"\n(dashed {steps.min()})" if steps.min() < steps.max() else "")
    ax.legend(frameon=False, title=title, loc="upper left", bbox_to_anchor=(1, 1))


def _finite_norm(values: np.ndarray) -> Normalize:
    finite = values[np.isfinite(values)]
    return Normalize(finite.min(), finite.max()) if finite.size else Normalize(0, 1)
