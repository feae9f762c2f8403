"""Numbers of many runs against an axis: gain, horizon, what is solved, and what clipping does.

Functions take the frame of `load_runs` and an Axes, or make one, and return it; with `col` or `row` they
return a seaborn FacetGrid. A legend stands outside of the Axes: a figure of your own wants
`layout="constrained"`.
"""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter

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
    figure_style,
    is_wide,
    new_axes,
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
"""What the gain over all lags, over lags 1 … 10 and over the longer half of the lags are called."""
FACTORS = {log10_gain: log10_gain.replace("log10_", "") for log10_gain in GAINS}
"""By the logarithm of a gain the gain itself, which may be 0."""
LOGARITHMS = {gain: log10_gain for log10_gain, gain in FACTORS.items()}


@check_arguments
@with_literal_text
def draw_gain(
    runs: pd.DataFrame,
    ax: Axes | None = None,
    x: str = "seq_len",
    hue: str | None = "cell",
    value: str = LOG10_GAIN_TAIL,
    col: str | None = None,
    row: str | None = None,
) -> Any:
    """The factor of a gradient in one step back, against an axis: under 1 it vanishes, over 1 it explodes.

    Small points are runs; a large one is their geometric mean, 10 to the mean of log10 gain, with the 95 % t
    interval of that mean. Runs whose gain is 0, as no gradient is left, are downward triangles at the lower
    end, and in no mean. Of a run that diverged it is the gain of its last recording.

    Args:
        runs: The frame of `load_runs`.
        ax: Where to draw; None makes a figure.
        x: Which axis; logarithmic where its values span a factor of 10. `clip=null` is "off", at the right.
        hue: Which axis the colours stand for.
        value: `grad/log10_gain`, `grad/log10_gain_short` or `grad/log10_gain_tail`; or without `log10_`.
        col: Which axis the columns of a grid stand for.
        row: Which axis the rows of a grid stand for.

    Returns:
        The Axes; with `col` or `row` a seaborn FacetGrid.

    Raises:
        ValueError: The frame has no such column, or no rows, or is none of `load_runs`; or `ax` with `col` or
            `row`.
        TypeError: An argument has another type.
    """
    encodings: dict[str, str | None] = {"hue": hue, "col": col, "row": row}
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
        ax.set_ylabel(f"{name} a step")
        _scale_y(ax, 10 ** plot.frame["y"])

    entries = plot.legend_entries() | {
        f"{name} 1": Line2D([], [], color=NEUTRAL_COLOR, linestyle="--", linewidth=1)
    }
    if plot.frame["zero"].any():
        entries[f"{name} 0"] = Line2D([], [], color=NEUTRAL_COLOR, marker="v", linestyle="", markersize=6)
    caption = plot.caption("geometric mean and 95 % interval")
    return plot.draw(ax, draw, entries, [name[0].upper() + name[1:], caption])


@check_arguments
@with_literal_text
def draw_horizon(
    runs: pd.DataFrame,
    ax: Axes | None = None,
    x: str = "seq_len",
    hue: str | None = "cell",
    col: str | None = None,
    row: str | None = None,
) -> Any:
    """How far back a hundredth of the gradient is left, against an axis: the last such lag, even after a dip.

    Small points are runs; a large one is their mean with its 95 % t interval. Upward triangles are censored:
    the curve ends before 1 % is reached and the horizon may be longer; a mean with such a run in it is at
    least what is shown. Arguments, result and errors as in `draw_gain`.
    """
    encodings = {"hue": hue, "col": col, "row": row}
    check_columns(runs, (HORIZON,), x=x, **encodings)
    plot = ScalarPlot(runs, x, HORIZON, encodings, flag=CENSORED, zero_share=ZERO_AT_HORIZON)

    def draw(frame: pd.DataFrame, ax: Axes) -> None:
        plot.draw_points(frame, ax)
        plot.draw_means(frame, ax, mean_interval)
        ax.set_ylabel("horizon (lag)")
        _scale_y(ax, plot.frame["y"])

    entries = plot.legend_entries()
    if plot.frame["flag"].any():
        entries["censored: at least"] = Line2D(
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
    col: str | None = None,
    row: str | None = None,
) -> Any:
    """The share of runs that met their task's criterion, against an axis, with its 95 % Wilson interval.

    A run that diverged and has no value has not solved its task; others without one are left out. Arguments,
    result and errors as in `draw_gain`.
    """
    encodings = {"hue": hue, "col": col, "row": row}
    check_columns(runs, (VAL_SOLVED,), x=x, **encodings)
    judged = runs.assign(**{VAL_SOLVED: judge_runs(runs)})
    plot = ScalarPlot(judged, x, VAL_SOLVED, encodings)

    def draw(frame: pd.DataFrame, ax: Axes) -> None:
        plot.draw_means(frame, ax, share_interval)
        ax.set(ylabel="share solved", ylim=(-0.04, 1.04))
        ax.yaxis.set_major_formatter(PercentFormatter(1))

    caption = plot.caption("share and 95 % Wilson interval", "share and 95 % Wilson interval of single runs")
    return plot.draw(ax, draw, plot.legend_entries(), ["Solved tasks", caption])


def judge_runs(runs: pd.DataFrame) -> pd.Series:
    """1 for runs that met their task's criterion, 0 for those that did not or that diverged, else NaN.

    A task that no run has a verdict of has no criterion.
    """
    verdict = to_numbers(runs[VAL_SOLVED])
    task = runs["task"].astype(str) if "task" in runs else pd.Series("", index=runs.index)
    has_criterion = verdict.notna().groupby(task).transform("any")
    lost = runs["outcome"] == "diverged" if "outcome" in runs else False
    return verdict.mask(verdict.isna() & has_criterion & lost, 0.0)


@check_arguments
@with_literal_text
def draw_clipping(
    runs: pd.DataFrame,
    axes: Sequence[Axes] | None = None,
    x: str = "clip",
    hue: str | None = "cell",
    loss: str = VAL_LOSS,
) -> Any:
    """Share of steps clipped, and below it the loss, against the threshold.

    Small points are runs; a large one is their mean with its 95 % t interval. `clip=null` is "off", at the
    right. A cross above the losses: some runs there diverged, and the mean is of the others.

    Args:
        runs: The frame of `load_runs`.
        axes: Two Axes, of the clip rate and of the loss; None makes a figure.
        x: Which axis; logarithmic where its values span a factor of 10.
        hue: Which axis the colours stand for.
        loss: Which of the frame's columns is shown below.

    Returns:
        The two Axes, an array.

    Raises:
        ValueError: The frame has no such column, or no rows; or there are not two Axes.
    """
    encodings: dict[str, str | None] = {"hue": hue, "col": None, "row": None}
    check_columns(runs, (CLIP_RATE,), x=x, hue=hue, loss=loss)
    diverged = (runs["outcome"] == "diverged").to_numpy() if "outcome" in runs else np.zeros(len(runs), bool)
    to_numbers(runs[CLIP_RATE])
    losses = to_numbers(runs[loss], "loss").mask(diverged)  # the last they had may be the untrained network's
    rate, below = (
        ScalarPlot(runs, x, CLIP_RATE, encodings),
        ScalarPlot(runs.assign(**{loss: losses}), x, loss, encodings),
    )
    if axes is not None and len(axes) != 2:
        raise ValueError(f"axes: {len(axes)} given, but the figure has two, clip rate and loss")
    if axes is None:
        with matplotlib.rc_context(figure_style()):
            return draw_clipping(runs, new_axes(2), x, hue, loss)
    top, bottom = axes
    lost = below.tidy[diverged].dropna(subset=["x", "hue"])
    for plot, ax in ((rate, top), (below, bottom)):
        plot.draw_points(plot.frame, ax)
        plot.draw_means(plot.frame, ax, mean_interval)
        plot.label_x(ax)
        if plot.frame.empty:
            add_note(ax, NOTHING_TO_SHOW)
    top.set(ylabel="share of steps clipped", xlabel="", ylim=(-0.04, 1.04))
    top.yaxis.set_major_formatter(PercentFormatter(1))
    bottom.set_ylabel(loss)
    _scale_y(bottom, below.frame["y"])
    if len(lost):
        _raise_top(bottom)  # room for the crosses
    for index, (word, color) in enumerate(below.colors.items()):
        at = below.scale.dodge(lost.loc[lost["hue"] == word, "x"].drop_duplicates(), index, len(below.colors))
        if len(at):
            over = bottom.get_xaxis_transform()
            bottom.plot(at, [0.95] * len(at), "x", color=color, transform=over, gid="diverged")
    entries = below.legend_entries() | rate.legend_entries()
    if len(lost):
        entries["some diverged"] = Line2D([], [], color=NEUTRAL_COLOR, marker="x", linestyle="")
    add_title(top, "Clip rate", rate.caption("mean and 95 % interval"))
    add_title(bottom, f"{loss} at the end, {below.caption('mean and 95 % interval')}")
    add_legend(bottom, entries, hue)
    return np.array([top, bottom], dtype=object)


def _raise_top(ax: Axes) -> None:
    bottom, top = ax.transData.transform([(1, limit) for limit in ax.get_ylim()])[:, 1]
    _, raised = ax.transData.inverted().transform((1, top + 0.15 * (top - bottom)))
    ax.set_ylim(top=raised)


def _power_of_10(values: Any) -> Any:
    return 10.0**values


def _scale_y(ax: Axes, values: pd.Series) -> None:
    """Logarithmic where the runs span a factor of 10; an interval that reaches below 0 leaves the page."""
    if is_wide(values):
        ax.set_yscale("log")
        ax.set_ylim(bottom=0.7 * values.min())
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
