"""Lag curves and losses of many runs, averaged over replicates.

Each function takes a data frame in long format, draws on a given or new Axes, and returns the Axes. If `col`
or `row` is given, each function returns a seaborn FacetGrid instead. Legends are placed outside the Axes, so
create your own figures with `layout="constrained"`.
"""

import difflib
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from rnnlab.analysis.arguments import check_arguments
from rnnlab.analysis.figures.grouping import END
from rnnlab.analysis.figures.literal_text import with_literal_text
from rnnlab.analysis.figures.run_curves import RunCurves
from rnnlab.analysis.figures.scalar_plot import describe_zeros
from rnnlab.analysis.figures.selection import (
    ENDS,
    WHOLE,
    describe_end,
    describe_layer,
    select_layer,
    select_step,
)
from rnnlab.analysis.figures.style import check_columns, is_wide, set_log_scale, to_numbers
from rnnlab.records import GRADIENT_COLUMNS, VAL_LOSS

MAX_STEPS = 8
LAYER = "layer"


@check_arguments
@with_literal_text
def draw_lag_curves(
    gradients: pd.DataFrame,
    ax: Axes | None = None,
    quantity: str = "state",
    hue: str | None = "cell",
    style: str | None = None,
    col: str | None = None,
    row: str | None = None,
    step: str | int = "last",
    relative: bool = True,
    traces: bool = False,
) -> Any:
    """Draw lag curves of many runs, with one line per group of replicates.

    Replicates are runs that differ only in their seed. The line of at least three replicates is the mean of
    log10 g(k) with its 95 % t interval; fewer replicates are drawn as one line per run. The value g(k) is the
    geometric mean, over examples, of the gradient norm k time steps before the target. At each lag, the mean
    excludes runs whose gradient is exactly 0 or missing. The title gives the number of replicates (a range if
    the number varies) and the fraction of examples whose gradient is 0.

    Args:
        gradients: Data frame returned by `load_gradients`.
        ax: Axes to draw on; None creates a new figure.
        quantity: Quantity whose lag curves are drawn: `state`, `h`, `c`, `x` …
        hue: Sweep axis shown by colour, "step" to compare several training steps, or "layer" to compare the
            layers of stacked networks. Otherwise, each curve is that of all layers together, if it was
            recorded (`state`), or of the top layer.
        style: Sweep axis shown by dash pattern; None selects the first axis that is not shown otherwise.
        col: Sweep axis whose values form the columns of a grid of Axes.
        row: Sweep axis whose values form the rows of a grid of Axes.
        step: Training step to draw: a number, "first" or "last" for the first or last recording of each run,
            or "ends" for both recordings (the first dashed, unless `hue`, `style`, `col` or `row` is "end").
            The argument `step` is ignored if one of these four arguments is "step".
        relative: If True, draw g(k)/g(1) from lag 1; if False, draw g(k) from lag 0.
        traces: If True, draw every run as a thin line instead of intervals.

    Returns:
        The Axes, or a seaborn FacetGrid if `col` or `row` is given.

    Raises:
        ValueError: If the data frame lacks a required column, the quantity or the step, if the data frame has
            no rows, or if `ax` is combined with `col` or `row`.

    >>> rl.draw_lag_curves(rl.load_gradients("multirun"), hue="cell").get_ylabel()
    'log₁₀ g(k)/g(1)'
    """
    encodings = {"hue": hue, "style": style, "col": col, "row": row}
    columns = {role: name for role, name in encodings.items() if name != END}
    check_columns(gradients, ("step", "quantity", "lag", "log10_gmean"), **columns)
    rows = _select_curves(gradients, quantity, LAYER in encodings.values())
    rows = rows.assign(log10_gmean=_relative(rows) if relative else to_numbers(rows["log10_gmean"]))
    step = "ends" if END in encodings.values() else step
    if "step" in encodings.values():
        rows, when = rows[rows["step"].isin(_select_spread_steps(rows))], "over training"
    else:
        rows, when = _select_step(rows, step)
        if step == "ends" and END not in encodings.values():
            if style is not None:
                raise ValueError(
                    f'style={style!r}: cannot be combined with step="ends", which also sets the dash patterns'
                )
            encodings["style"] = END
            rows[END] = rows[END].cat.reorder_categories(rows[END].cat.categories[::-1])  # the last is solid
    rows = rows.reset_index(drop=True)
    curves = RunCurves(rows, "lag", rows["log10_gmean"], encodings, GRADIENT_COLUMNS)

    def finish(ax: Axes) -> None:
        ax.set(xlabel="lag k (time steps back)", ylabel=f"log₁₀ g(k){'/g(1)' if relative else ''}")

    zeros = pd.DataFrame()
    if "zero_fraction" in rows:
        shares = to_numbers(rows["zero_fraction"])[rows["lag"] >= 1]
        zeros = shares.groupby(rows["run"].astype(str)).max().to_frame("zero_fraction")
    layer = (
        "" if LAYER in encodings.values() else describe_layer(gradients[gradients["lag"].notna()], quantity)
    )
    title = f"Lag curve of {quantity}{layer}, {when}{describe_zeros(zeros, 'zero_fraction')}"
    return curves.draw(ax, finish, title, traces)


@check_arguments
@with_literal_text
def draw_losses(
    metrics: pd.DataFrame,
    ax: Axes | None = None,
    metric: str = VAL_LOSS,
    hue: str | None = "cell",
    style: str | None = None,
    col: str | None = None,
    row: str | None = None,
    traces: bool = False,
) -> Any:
    """Draw a metric against the training step, with one line per group of replicates.

    Replicates are runs that differ only in their seed. The line of at least three replicates is the mean with
    its 95 % t interval; fewer replicates are drawn as one line per run. The y axis is logarithmic if the
    values are positive and span at least a factor of 10. At each step, the mean excludes runs without a
    value, such as runs that have diverged.

    Args:
        metrics: Data frame returned by `load_metrics`.
        ax: Axes to draw on; None creates a new figure.
        metric: Name of the metric.
        hue: Sweep axis shown by colour.
        style: Sweep axis shown by dash pattern; None selects the first axis that is not shown otherwise.
        col: Sweep axis whose values form the columns of a grid of Axes.
        row: Sweep axis whose values form the rows of a grid of Axes.
        traces: If True, draw every run as a thin line instead of intervals.

    Returns:
        The Axes, or a seaborn FacetGrid if `col` or `row` is given.

    Raises:
        ValueError: If the data frame lacks a required column or the metric, if the data frame has no rows, or
            if `ax` is combined with `col` or `row`.

    >>> rl.draw_losses(rl.load_metrics("multirun"), metric="train/loss").get_ylabel()
    'train/loss'
    """
    encodings = {"hue": hue, "style": style, "col": col, "row": row}
    check_columns(metrics, ("step", "metric", "value"), **encodings)
    rows = metrics[metrics["metric"] == metric].reset_index(drop=True)
    if rows.empty:
        names = ", ".join(map(str, metrics["metric"].dropna().unique()))
        close = difflib.get_close_matches(metric, map(str, metrics["metric"].dropna().unique()), n=1)
        question = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"metric={metric!r}: no such metric in the frame; {question}available: {names}")
    if "run" not in rows:
        rows = rows.assign(run="")
    curves = RunCurves(rows, "step", to_numbers(rows["value"]), encodings, ("step", "metric", "value"))

    def finish(ax: Axes) -> None:
        ax.set(xlabel="training step", ylabel=metric)
        ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
        if is_wide(curves.drawn_values(traces)):
            set_log_scale(ax)

    return curves.draw(ax, finish, f"{metric} over training", traces)


def _select_curves(gradients: pd.DataFrame, quantity: str, by_layer: bool) -> pd.DataFrame:
    """Return the rows of a quantity's lag curves, excluding curves that do not start at the last target.

    If `by_layer` is False, each run has one curve: that of all its layers, or of the top layer.
    """
    rows = gradients[gradients["lag"].notna()]
    available = list(map(str, rows["quantity"].dropna().unique()))
    if quantity not in available:
        names = ", ".join(available) or "none"
        raise ValueError(f"quantity={quantity!r}: no lag curve in the frame; available: {names}")
    if by_layer:
        rows = rows[(rows["quantity"] == quantity) & (rows[LAYER] != WHOLE)]
    else:
        rows = select_layer(rows, quantity)
    if "target" in rows:
        rows = rows[rows["target"].isna()]
    return rows if "run" in rows else rows.assign(run="")


def _relative(rows: pd.DataFrame) -> pd.Series:
    """Return log10 g(k)/g(1) of each row, or NaN at lag 0.

    Raises:
        ValueError: If several lag curves have the same run and step.
    """
    keys = ["run", "step", *([LAYER] if LAYER in rows else [])]
    y, curve = to_numbers(rows["log10_gmean"]), rows[keys]
    first = rows["lag"] == 1
    at_1 = y[first].set_axis(pd.MultiIndex.from_frame(curve[first]))
    if at_1.index.has_duplicates:
        raise ValueError("gradients: several lag curves for the same run and step; keep the column 'run'")
    relative: pd.Series = y - at_1.reindex(pd.MultiIndex.from_frame(curve)).to_numpy()
    return relative.where(rows["lag"] >= 1)


def _select_spread_steps(rows: pd.DataFrame) -> list[int]:
    """Return a few training steps recorded by at least half of the runs, including the first and the last."""
    runs = rows.drop_duplicates(["run", "step"])["step"].value_counts()
    steps = np.sort(runs.index[runs >= runs.max() / 2])
    return list(steps[np.unique(np.linspace(0, len(steps) - 1, min(MAX_STEPS, len(steps))).astype(int))])


def _select_step(rows: pd.DataFrame, step: str | int) -> tuple[pd.DataFrame, str]:
    """Return the rows of the selected training step or steps, and a description of the selection."""
    if step != "ends":
        return select_step(rows, step, '"first", "last", "ends" or a training step')
    steps = rows.groupby("run", observed=True)["step"]
    is_end = {end: rows["step"] == steps.transform(extreme) for end, extreme in ENDS.items()}
    is_end["last"] &= ~is_end["first"]  # a run with a single recording has only a first one
    found = {end: rows[mask] for end, mask in is_end.items() if mask.any()}
    names = {end: describe_end(end, part["step"].unique()) for end, part in found.items()}
    parts = [part.assign(**{END: names[end]}) for end, part in found.items()]
    order = pd.CategoricalDtype(list(names.values()))
    when = "before and after training" if len(names) > 1 else names["first"]
    return pd.concat(parts, ignore_index=True).astype({END: order}), when
