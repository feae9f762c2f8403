"""Lag curves and losses of many runs, averaged over groups of runs.

Each function takes a data frame in long format, draws on a given or new Axes, and returns the Axes. If `col`
or `row` is given, each function returns a seaborn FacetGrid instead. Legends are placed outside the Axes, so
create your own figures with `layout="constrained"`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from rnnlab.analysis.arguments import check_arguments
from rnnlab.analysis.figures.facets import draw_on_axes
from rnnlab.analysis.figures.intervals import describe_mean, find_averaged_axes, mean_interval
from rnnlab.analysis.figures.literal_text import with_literal_text
from rnnlab.analysis.figures.scalar_plot import describe_zeros
from rnnlab.analysis.figures.style import (
    NEUTRAL_COLOR,
    check_columns,
    choose_colors,
    is_wide,
    line_entries,
    to_labels,
    to_numbers,
)
from rnnlab.records import GRADIENT_COLUMNS, VAL_LOSS
from rnnlab.text import format_run_count

MAX_STEPS = 8
MAX_MARKED_POINTS = 6
"""Maximum number of points for which a curve is drawn with markers."""
ENDS = {"first": "first step", "last": "last step"}
DASHES = ["", (4, 1.5), (1, 1), (3, 1, 1, 1), (5, 1, 1, 1, 1, 1)]
CHANNELS = ("hue", "style", "col", "row")


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
    """Draw lag curves of many runs, with one line per group of runs.

    Each line is the mean over runs of log10 g(k) with its 95 % t interval. The value g(k) is the geometric
    mean, over examples, of the gradient norm k time steps before the target. At each lag, the mean excludes
    runs whose gradient is exactly 0 or missing. The title gives the number of runs averaged (a range if the
    number varies) and the fraction of examples whose gradient is 0.

    Args:
        gradients: Data frame returned by `load_gradients`.
        ax: Axes to draw on; None creates a new figure.
        quantity: Quantity whose lag curves are drawn: `state`, `h`, `c`, `x` …
        hue: Sweep axis shown by colour, or "step" to compare several training steps.
        style: Sweep axis shown by dash pattern.
        col: Sweep axis whose values form the columns of a grid of Axes.
        row: Sweep axis whose values form the rows of a grid of Axes.
        step: Training step to draw: a number, "first" or "last" for the first or last recording of each run,
            or "ends" for both recordings (the first dashed). The argument `step` is ignored if `hue`,
            `style`, `col` or `row` is "step".
        relative: If True, draw g(k)/g(1) from lag 1; if False, draw g(k) from lag 0.
        traces: If True, draw every run as a thin line instead of drawing confidence intervals.

    Returns:
        The Axes, or a seaborn FacetGrid if `col` or `row` is given.

    Raises:
        ValueError: If the data frame lacks a required column, the quantity or the step, if the data frame has
            no rows, or if `ax` is combined with `col` or `row`.
    """
    encodings = {"hue": hue, "style": style, "col": col, "row": row}
    check_columns(gradients, ("step", "quantity", "lag", "log10_gmean"), **encodings)
    rows = _select_curves(gradients, quantity)
    if "step" in encodings.values():
        rows, when = rows[rows["step"].isin(_select_spread_steps(rows))], "over training"
    else:
        rows, when = _select_step(rows, step)
        if step == "ends":
            if style is not None:
                raise ValueError(
                    f'style={style!r}: cannot be combined with step="ends", which also sets the dash patterns'
                )
            encodings["style"] = "end"
    rows = rows.reset_index(drop=True)
    y = to_numbers(rows["log10_gmean"])
    if relative:
        first = rows["lag"] == 1
        at_1 = y[first].set_axis(pd.MultiIndex.from_frame(rows.loc[first, ["run", "step"]]))
        if at_1.index.has_duplicates:
            raise ValueError("gradients: several lag curves for the same run and step; keep the column 'run'")
        y = y - at_1.reindex(pd.MultiIndex.from_frame(rows[["run", "step"]])).to_numpy()
        y = y.where(rows["lag"] >= 1)
    curves = _Curves(rows, "lag", y, encodings, GRADIENT_COLUMNS)

    def finish(ax: Axes) -> None:
        ax.set(xlabel="lag k (time steps back)", ylabel=f"log₁₀ g(k){'/g(1)' if relative else ''}")

    zeros = pd.DataFrame()
    if "zero_fraction" in rows:
        shares = to_numbers(rows["zero_fraction"])[rows["lag"] >= 1]
        zeros = shares.groupby(rows["run"].astype(str)).max().to_frame("zero_fraction")
    title = f"Lag curve of {quantity}, {when}{describe_zeros(zeros, 'zero_fraction')}"
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
    """Draw a metric against the training step, as means over groups of runs with 95 % confidence intervals.

    The y axis is logarithmic if the means are positive and span at least a factor of 10. At each step, the
    mean excludes runs without a value, such as runs that have diverged. The title gives the number of runs
    averaged (a range if the number varies).

    Args:
        metrics: Data frame returned by `load_metrics`.
        ax: Axes to draw on; None creates a new figure.
        metric: Name of the metric.
        hue: Sweep axis shown by colour.
        style: Sweep axis shown by dash pattern.
        col: Sweep axis whose values form the columns of a grid of Axes.
        row: Sweep axis whose values form the rows of a grid of Axes.
        traces: If True, draw every run as a thin line instead of drawing confidence intervals.

    Returns:
        The Axes, or a seaborn FacetGrid if `col` or `row` is given.

    Raises:
        ValueError: If the data frame lacks a required column or the metric, if the data frame has no rows, or
            if `ax` is combined with `col` or `row`.
    """
    encodings = {"hue": hue, "style": style, "col": col, "row": row}
    check_columns(metrics, ("step", "metric", "value"), **encodings)
    rows = metrics[metrics["metric"] == metric].reset_index(drop=True)
    if rows.empty:
        names = ", ".join(map(str, metrics["metric"].dropna().unique()))
        raise ValueError(f"metric={metric!r}: no such metric in the frame; available: {names}")
    if "run" not in rows:
        rows = rows.assign(run="")
    curves = _Curves(rows, "step", to_numbers(rows["value"]), encodings, ("step", "metric", "value"))

    def finish(ax: Axes) -> None:
        ax.set(xlabel="training step", ylabel=metric)
        if is_wide(curves.means["mean"]):
            ax.set_yscale("log")

    return curves.draw(ax, finish, f"{metric} over training", traces)


class _Curves:
    """Curves to draw, as a data frame with fixed column names, and the means of these curves over runs."""

    def __init__(
        self,
        rows: pd.DataFrame,
        x: str,
        y: pd.Series,
        encodings: dict[str, str | None],
        frame_columns: Sequence[str],
    ) -> None:
        self.encodings = encodings
        self.colors: dict[str, Any] = {"": NEUTRAL_COLOR}
        tidy = {"run": rows["run"].astype(str), "x": rows[x].astype("float64"), "y": y}
        for channel, name in encodings.items():
            tidy[channel] = to_labels(rows[name]) if name else pd.Categorical([""] * len(rows))
        frame = pd.DataFrame(tidy)
        frame["y"] = frame["y"].where(np.isfinite(frame["y"]))
        if (hue := encodings["hue"]) is not None:
            self.colors = choose_colors(rows[hue])
        self.frame = frame.dropna(subset=["x", "y", *CHANNELS])
        axes = [name for name in encodings.values() if name is not None]
        self.incomplete = [name for name in dict.fromkeys(axes) if to_labels(rows[name]).isna().any()]
        self.omitted_runs = frame["run"].nunique() - self.frame["run"].nunique()
        self.means = mean_interval(self.frame, [*CHANNELS, "x"], "y")
        other_columns = {*frame_columns, "end"}
        shown_axes = [name for name in encodings.values() if name is not None and name not in other_columns]
        self.averaged_axes = find_averaged_axes(rows.loc[self.frame.index], shown_axes, [*other_columns])

    def draw(self, ax: Axes | None, finish: Any, title: str, traces: bool) -> Any:
        caption = describe_mean(
            self.means["count"], self.averaged_axes, "mean" if traces else "mean and 95 % interval"
        )
        if traces:
            caption += "; thin lines: single runs"
        if self.incomplete and self.omitted_runs:
            caption += (
                f"; {format_run_count(self.omitted_runs)} without {' or '.join(self.incomplete)} omitted"
            )

        def draw_part(frame: pd.DataFrame, ax: Axes) -> None:
            if traces:
                self._lines(frame, ax, "y", linewidth=0.6, alpha=0.5, units="run")
            means = self.means
            for channel in ("col", "row"):
                means = means[means[channel].isin(frame[channel].unique())]
            markers = {"marker": "o", "markersize": 4} if means["x"].nunique() <= MAX_MARKED_POINTS else {}
            self._lines(means, ax, "mean", linewidth=1.8, **markers)
            if not traces:
                for (hue, _), part in means.groupby(["hue", "style"], observed=True):
                    if part["low"].notna().any():
                        band = {"color": self.colors[str(hue)], "alpha": 0.2, "linewidth": 0}
                        ax.fill_between(part["x"], part["low"], part["high"], **band)
            finish(ax)

        entries, legend_title = self._legend()
        lines = [title, caption]
        return draw_on_axes(self.frame, draw_part, ax, self.encodings, lines, entries, legend_title)

    def _lines(self, frame: pd.DataFrame, ax: Axes, y: str, **settings: Any) -> None:
        if frame.empty:
            return
        styles = list(self.frame["style"].cat.categories)
        sns.lineplot(
            frame,
            x="x",
            y=y,
            hue="hue",
            hue_order=list(self.colors),
            palette=self.colors,
            style="style",
            style_order=styles,
            dashes=[DASHES[i % len(DASHES)] for i in range(len(styles))],
            estimator=None,
            errorbar=None,
            legend=False,
            ax=ax,
            **settings,
        )

    def _legend(self) -> tuple[dict[str, Artist], str | None]:
        entries: dict[str, Artist] = {}
        hue, style = self.encodings["hue"], self.encodings["style"]
        words = set(self.frame["hue"])
        if hue is not None:
            entries |= line_entries(
                {word: c for word, c in self.colors.items() if word in words}, linewidth=1.8
            )
        if style is not None and style != hue:
            for i, word in enumerate(self.frame["style"].cat.categories):
                dash = DASHES[i % len(DASHES)]
                pattern: Any = (0, dash) if dash else "-"
                name = word if style == "end" else f"{style} {word}"
                entries[name] = Line2D([], [], color=NEUTRAL_COLOR, linestyle=pattern, linewidth=1.4)
        return entries, {"step": "training step"}.get(str(hue), hue)


def _select_curves(gradients: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Return the rows of a quantity's lag curves, excluding curves that do not start at the last target."""
    rows = gradients[gradients["lag"].notna()]
    available = list(map(str, rows["quantity"].dropna().unique()))
    if quantity not in available:
        names = ", ".join(available) or "none"
        raise ValueError(f"quantity={quantity!r}: no lag curve in the frame; available: {names}")
    rows = rows[rows["quantity"] == quantity]
    if "target" in rows:
        rows = rows[rows["target"].isna()]
    return rows if "run" in rows else rows.assign(run="")


def _select_spread_steps(rows: pd.DataFrame) -> list[int]:
    """Return a few training steps recorded by at least half of the runs, including the first and the last."""
    runs = rows.drop_duplicates(["run", "step"])["step"].value_counts()
    steps = np.sort(runs.index[runs >= runs.max() / 2])
    return list(steps[np.unique(np.linspace(0, len(steps) - 1, min(MAX_STEPS, len(steps))).astype(int))])


def _select_step(rows: pd.DataFrame, step: str | int) -> tuple[pd.DataFrame, str]:
    """Return the rows of the selected training step or steps, and a description of the selection."""
    steps = rows.groupby("run", observed=True)["step"]
    ends = {"first": rows["step"] == steps.transform("min"), "last": rows["step"] == steps.transform("max")}
    if step == "ends":
        parts = [rows[ends[end]].assign(end=name) for end, name in ENDS.items()]
        order = pd.CategoricalDtype([ENDS["last"], ENDS["first"]])  # the last step is solid
        selected = pd.concat(parts, ignore_index=True)
        return selected.astype({"end": order}), "first and last step"
    if isinstance(step, str):
        if step not in ends:
            raise ValueError(f'step={step!r}: must be "first", "last", "ends" or a training step')
        selected = rows[ends[step]]
        numbers = selected["step"].unique()
        return selected, f"step {numbers[0]}" if len(numbers) == 1 else ENDS[step] + " of each run"
    selected = rows[rows["step"] == step]
    if selected.empty:
        recorded = ", ".join(map(str, np.sort(rows["step"].unique())))
        raise ValueError(f"step={step!r}: not recorded; available: {recorded}")
    return selected, f"step {step}"
