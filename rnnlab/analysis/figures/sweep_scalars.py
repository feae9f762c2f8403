"""Plots of gain, horizon, fraction of solved runs and clip rate against a sweep axis.

Each function plots a data frame returned by `load_runs` on existing or new Axes, and returns the Axes, or a
seaborn FacetGrid if `col` or `row` is given. Legends are drawn outside the Axes, so a figure that you create
yourself needs `layout="constrained"`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from rnnlab.analysis.arguments import check_arguments
from rnnlab.analysis.figures.facets import NOTHING_TO_SHOW
from rnnlab.analysis.figures.intervals import mean_interval, share_interval
from rnnlab.analysis.figures.literal_text import with_literal_text
from rnnlab.analysis.figures.scalar_plot import ScalarPlot
from rnnlab.analysis.figures.style import (
    NEUTRAL_COLOR,
    add_legend,
    add_note,
    add_title,
    check_columns,
    drawing_style,
    figure_style,
    is_wide,
    new_axes,
    set_log_scale,
    to_numbers,
)
from rnnlab.records import (
    CENSORED,
    CLIP_RATE,
    HORIZON,
    LOG10_GAIN,
    LOG10_GAIN_TAIL,
    VAL_LOSS,
    VAL_SOLVED,
    ZERO_AT_HORIZON,
    ZERO_FRACTION,
)

GAINS = {
    LOG10_GAIN: "gain",
    "grad/log10_gain_short": "short gain",
    LOG10_GAIN_TAIL: "tail gain",
}
"""Display names of the gains over all lags, over lags 1 to 10, and over the longer half of the lags."""
FACTORS = {log10_gain: log10_gain.replace("log10_", "") for log10_gain in GAINS}
"""Mapping from each log10-gain metric to the corresponding gain metric; a gain may be 0."""
LOGARITHMS = {gain: log10_gain for log10_gain, gain in FACTORS.items()}
"""Mapping from each gain metric to the corresponding log10-gain metric."""


@check_arguments
@with_literal_text
def draw_gain(
    runs: pd.DataFrame,
    ax: Axes | None = None,
    x: str = "seq_len",
    hue: str | None = "cell",
    style: str | None = None,
    value: str = LOG10_GAIN_TAIL,
    col: str | None = None,
    row: str | None = None,
) -> Any:
    """Draw the gradient gain per time step against a sweep axis.

    A gain below 1 means that the gradient vanishes; a gain above 1 means that the gradient explodes. Each
    small point represents one run. Each large point is the geometric mean of at least three replicates (runs
    that differ only in their seed), with its 95 % t interval, computed from log10 gain. Downward triangles at
    the bottom represent runs with a gain of 0; the mean excludes these runs. The gain of a diverged run is
    taken from the last probe recording of the run.

    Args:
        runs: Data frame returned by `load_runs`.
        ax: Axes to draw on; None creates a new figure.
        x: Sweep axis shown on the x axis, with a logarithmic scale if its values span a factor of at least
            10; `clip=null` appears at the right end, labelled "off".
        hue: Sweep axis shown as colour.
        style: Sweep axis shown as dash pattern and marker; None selects the first axis not shown otherwise.
        value: Column that contains the gain: `grad/log10_gain`, `grad/log10_gain_short` or
            `grad/log10_gain_tail`, or one of these names without `log10_`.
        col: Sweep axis shown as the columns of a grid of plots.
        row: Sweep axis shown as the rows of a grid of plots.

    Returns:
        The Axes, or a seaborn FacetGrid if `col` or `row` is given.

    Raises:
        ValueError: If the data frame lacks a column, has no rows or does not come from `load_runs`, or if
            `ax` is given together with `col` or `row`.
        TypeError: If an argument has the wrong type.

    >>> rl.draw_gain(rl.load_runs("multirun"), x="cell").get_ylabel()
    'tail gain per step'
    """
    encodings: dict[str, str | None] = {"hue": hue, "style": style, "col": col, "row": row}
    value = LOGARITHMS.get(value, value)
    check_columns(runs, (), x=x, value=value, **encodings)
    name = GAINS.get(value, f"10 to the {value}")
    plot = ScalarPlot(
        runs, x, value, encodings, zero=FACTORS.get(value), zero_share=ZERO_FRACTION, value_name=name
    )

    def draw(frame: pd.DataFrame, ax: Axes) -> None:
        plot.draw_points(frame, ax, back=_power_of_10)
        plot.draw_zero_gains(frame, ax)
        plot.draw_means(frame, ax, mean_interval, back=_power_of_10)
        ax.axhline(1, color=NEUTRAL_COLOR, linestyle="--", linewidth=1, zorder=0)
        ax.set_ylabel(f"{name} per step")
        _scale_y(ax, 10 ** plot.frame["y"])

    entries = plot.legend_entries() | {
        f"{name} = 1": Line2D([], [], color=NEUTRAL_COLOR, linestyle="--", linewidth=1)
    }
    if plot.frame["zero"].any():
        entries[f"{name} = 0"] = Line2D([], [], color=NEUTRAL_COLOR, marker="v", linestyle="", markersize=6)
    caption = plot.caption("geometric mean and 95 % interval")
    return plot.draw(ax, draw, entries, [name[0].upper() + name[1:], caption])


@check_arguments
@with_literal_text
def draw_horizon(
    runs: pd.DataFrame,
    ax: Axes | None = None,
    x: str = "seq_len",
    hue: str | None = "cell",
    style: str | None = None,
    col: str | None = None,
    row: str | None = None,
) -> Any:
    """Draw the gradient horizon against a sweep axis.

    The horizon is the largest lag at which at least 1 % of the gradient remains, even if less remains at some
    smaller lag. Each small point represents one run. Each large point is the mean of at least three
    replicates, with its 95 % t interval. An upward triangle represents a censored run: the lag curve ends
    above 1 %, so the true horizon may be longer. A mean that includes censored runs is a lower bound and is
    also drawn as an upward triangle. Arguments, return value and exceptions are the same as for `draw_gain`.

    >>> rl.draw_horizon(rl.load_runs("multirun"), x="cell").get_ylabel()
    'horizon (time steps)'
    """
    encodings = {"hue": hue, "style": style, "col": col, "row": row}
    check_columns(runs, (HORIZON,), x=x, **encodings)
    plot = ScalarPlot(runs, x, HORIZON, encodings, flag=CENSORED, zero_share=ZERO_AT_HORIZON)

    def draw(frame: pd.DataFrame, ax: Axes) -> None:
        plot.draw_points(frame, ax)
        plot.draw_means(frame, ax, mean_interval)
        ax.set_ylabel("horizon (time steps)")
        _scale_y(ax, plot.frame["y"])

    entries = plot.legend_entries()
    if plot.frame["flag"].any():
        entries["censored (lower bound)"] = Line2D(
            [], [], color=NEUTRAL_COLOR, marker="^", linestyle="", markersize=6
        )
    return plot.draw(ax, draw, entries, ["Horizon of the gradient", plot.caption("mean and 95 % interval")])


@check_arguments
@with_literal_text
def draw_solved(
    runs: pd.DataFrame,
    ax: Axes | None = None,
    x: str = "seq_len",
    hue: str | None = "cell",
    style: str | None = None,
    col: str | None = None,
    row: str | None = None,
) -> Any:
    """Draw the fraction of solved runs against a sweep axis.

    Groups of at least three replicates have a 95 % Wilson interval. A run is solved if it met the success
    criterion of its task. A diverged run without a validation result
    counts as unsolved; other runs without a validation result are omitted. Arguments, return value and
    exceptions are the same as for `draw_gain`.

    >>> runs = pd.DataFrame({"cell": ["rnn", "lstm"], "seq_len": [50, 50], "val/solved": [0, 1]})
    >>> rl.draw_solved(runs).get_xlabel()
    'seq_len'
    """
    encodings = {"hue": hue, "style": style, "col": col, "row": row}
    check_columns(runs, (VAL_SOLVED,), x=x, **encodings)
    judged = runs.assign(**{VAL_SOLVED: judge_runs(runs)})
    plot = ScalarPlot(judged, x, VAL_SOLVED, encodings)

    def draw(frame: pd.DataFrame, ax: Axes) -> None:
        plot.draw_means(frame, ax, share_interval, always=True)
        ax.set(ylabel="fraction of solved runs", ylim=(-0.04, 1.04))
        ax.yaxis.set_major_formatter(PercentFormatter(1))

    caption = plot.caption("fraction and 95 % Wilson interval", "fraction without interval")
    return plot.draw(ax, draw, plot.legend_entries(), ["Solved tasks", caption])


def judge_runs(runs: pd.DataFrame) -> pd.Series:
    """Return 1 for each solved run, 0 for each unsolved run, and NaN for each run without a result.

    A run that diverged before validation counts as unsolved if its task has a success criterion. A task is
    assumed to have a success criterion if at least one run of the task has a value for `val/solved`.
    """
    verdict = to_numbers(runs[VAL_SOLVED])
    task = runs["task"].astype(str) if "task" in runs else pd.Series("", index=runs.index)
    has_criterion = verdict.notna().groupby(task).transform("any")
    diverged = runs["outcome"] == "diverged" if "outcome" in runs else False
    return verdict.mask(verdict.isna() & has_criterion & diverged, 0.0)


@check_arguments
@with_literal_text
def draw_clipping(
    runs: pd.DataFrame,
    axes: Sequence[Axes] | None = None,
    x: str = "clip",
    hue: str | None = "cell",
    style: str | None = None,
    loss: str = VAL_LOSS,
) -> Any:
    """Draw the clip rate (upper Axes) and the loss (lower Axes) against the clip threshold.

    Each small point represents one run. Each large point is the mean of at least three replicates, with its
    95 % t interval. The value `clip=null` appears at the right end of the x axis, labelled "off". A cross
    above the losses marks each x position at which at least one run diverged; the mean loss excludes diverged
    runs.

    Args:
        runs: Data frame returned by `load_runs`.
        axes: Two Axes, one for the clip rate and one for the loss; None creates a new figure.
        x: Sweep axis shown on the x axis, with a logarithmic scale if its values span a factor of at least
            10.
        hue: Sweep axis shown as colour.
        style: Sweep axis shown as dash pattern and marker; None selects the first axis not shown otherwise.
        loss: Column that contains the loss drawn in the lower Axes.

    Returns:
        Array that contains the upper and the lower Axes.

    Raises:
        ValueError: If the data frame lacks a column or has no rows, or if `axes` does not have two elements.

    >>> top, bottom = rl.draw_clipping(rl.load_runs("multirun"), x="cell")
    >>> top.get_ylabel()
    'fraction of steps clipped'
    """
    encodings: dict[str, str | None] = {"hue": hue, "style": style, "col": None, "row": None}
    check_columns(runs, (CLIP_RATE,), x=x, hue=hue, style=style, loss=loss)
    diverged = (runs["outcome"] == "diverged").to_numpy() if "outcome" in runs else np.zeros(len(runs), bool)
    runs = runs.reset_index(drop=True)
    # The last recorded loss of a diverged run may be that of the untrained network.
    losses = to_numbers(runs[loss], "loss").mask(diverged)
    has_value = to_numbers(runs[CLIP_RATE]).notna() | losses.notna()
    rate = ScalarPlot(runs, x, CLIP_RATE, encodings, grouped=has_value)
    below = ScalarPlot(runs.assign(**{loss: losses}), x, loss, encodings, grouped=has_value)
    if axes is not None and len(axes) != 2:
        raise ValueError(
            f"axes: must contain two Axes, one for the clip rate and one for the loss, not {len(axes)}"
        )
    if axes is None:
        with drawing_style(figure_style()):
            return draw_clipping(runs, new_axes(2), x, hue, style, loss)
    top, bottom = axes
    diverged_rows = below.tidy[diverged].dropna(subset=["x", "hue", "style"])
    for plot, ax in ((rate, top), (below, bottom)):
        plot.draw_points(plot.frame, ax)
        plot.draw_means(plot.frame, ax, mean_interval)
        plot.label_x(ax)
        if plot.frame.empty:
            add_note(ax, NOTHING_TO_SHOW)
    top.set(ylabel="fraction of steps clipped", xlabel="", ylim=(-0.04, 1.04))
    top.yaxis.set_major_formatter(PercentFormatter(1))
    bottom.set_ylabel(loss)
    _scale_y(bottom, below.frame["y"])
    if len(diverged_rows):
        _raise_top(bottom)  # space for the crosses
    for color, index, part in below.looks(diverged_rows):
        crosses = below.dodge(part["x"].drop_duplicates(), index)
        top_edge = bottom.get_xaxis_transform()
        bottom.plot(crosses, [0.95] * len(crosses), "x", color=color, transform=top_edge, gid="diverged")
    entries = below.legend_entries() | rate.legend_entries()
    if len(diverged_rows):
        entries["some runs diverged"] = Line2D([], [], color=NEUTRAL_COLOR, marker="x", linestyle="")
    add_title(top, "Clip rate", rate.caption("mean and 95 % interval"))
    add_title(bottom, f"Final {loss}, {below.caption('mean and 95 % interval')}")
    add_legend(bottom, entries, hue)
    return np.array([top, bottom], dtype=object)


def _raise_top(ax: Axes) -> None:
    bottom, top = ax.transData.transform([(1, limit) for limit in ax.get_ylim()])[:, 1]
    _, raised = ax.transData.inverted().transform((1, top + 0.15 * (top - bottom)))
    ax.set_ylim(top=raised)


def _power_of_10(values: Any) -> Any:
    return 10.0**values


def _scale_y(ax: Axes, values: pd.Series) -> None:
    """Use a log y axis, starting just below the smallest value, if values span a factor of at least 10."""
    if is_wide(values):
        set_log_scale(ax)
        ax.set_ylim(bottom=0.7 * values.min())
