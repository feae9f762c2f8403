"""Curves of many runs: means with intervals over replicates, and single runs where replicates are few."""

from collections.abc import Callable, Collection, Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from rnnlab.analysis.figures.facets import draw_on_axes
from rnnlab.analysis.figures.grouping import CHANNELS, END, INTERVAL, LINE_STYLES, Grouping, curve_id
from rnnlab.analysis.figures.intervals import MIN_REPLICATES, describe_mean, mean_interval
from rnnlab.analysis.figures.style import NEUTRAL_COLOR, choose_colors, line_entries, to_labels
from rnnlab.text import format_run_count

MAX_MARKED_POINTS = 6
"""Maximum number of points for which a curve is drawn with markers."""
MAX_THICK_LINES = 24
"""Maximum number of single runs that are drawn with thick lines."""


class RunCurves:
    """Curves to draw, as a data frame with fixed column names, and the means of groups of replicates."""

    def __init__(
        self,
        rows: pd.DataFrame,
        x: str,
        y: pd.Series,
        encodings: dict[str, str | None],
        frame_columns: Collection[str],
    ) -> None:
        """Select the curves to draw.

        Args:
            rows: Data frame in long format.
            x: Column on the x axis.
            y: Plotted values, one per row.
            encodings: Column names for the roles `hue`, `style`, `col` and `row`, or None.
            frame_columns: Columns of the data frame that are not sweep axes.
        """
        values = y.where(np.isfinite(y))
        usable = values.notna() & rows[x].notna()
        self.grouping = Grouping.of(rows, usable, encodings, {*frame_columns, END})
        self.colors: dict[str, Any] = {"": NEUTRAL_COLOR}
        if (hue := encodings["hue"]) is not None:
            self.colors = choose_colors(rows[hue])
        run = rows["run"].astype(str)
        tidy = {"run": run, "x": rows[x].astype("float64"), "y": values}
        frame = pd.DataFrame(tidy | self.grouping.labels(rows))
        self.frame = frame.dropna(subset=["x", "y", *CHANNELS])
        self.incomplete = [name for name in self.grouping.given if to_labels(rows[name]).isna().any()]
        self.omitted_runs = run.nunique() - self.frame["run"].nunique()
        sizes = self.frame.groupby(self.grouping.columns, observed=True)["run"].nunique().rename("replicates")
        joined = self.frame.join(sizes, on=self.grouping.columns)
        self.few = joined[joined["replicates"] < MIN_REPLICATES]
        many = joined[joined["replicates"] >= MIN_REPLICATES]
        self.means = mean_interval(many, [*self.grouping.columns, "x"], "y")
        self.counts = pd.concat([self.means["count"], sizes[sizes < MIN_REPLICATES]])

    def drawn_values(self, traces: bool) -> pd.Series:
        """Return all values that the figure shows as lines."""
        values: pd.Series = pd.concat([self.means["mean"], (self.frame if traces else self.few)["y"]])
        return values

    def draw(self, ax: Axes | None, finish: Callable[[Axes], None], title: str, traces: bool) -> Any:
        """Draw the curves on one Axes or on a grid of Axes; `finish` sets the labels of each Axes."""
        statistic = "mean" if traces else "mean and 95 % interval"
        caption = describe_mean(self.counts, statistic, self.grouping.detail)
        if traces and len(self.means):
            caption += "; thin lines: single runs"
        if self.incomplete and self.omitted_runs:
            omitted = format_run_count(self.omitted_runs)
            caption += f"; {omitted} without {' or '.join(self.incomplete)} omitted"

        def draw_part(frame: pd.DataFrame, ax: Axes) -> None:
            in_part = {channel: frame[channel].unique() for channel in ("col", "row")}
            means, few = (
                table[table["col"].isin(in_part["col"]) & table["row"].isin(in_part["row"])]
                for table in (self.means, self.few)
            )
            self._draw_means(means, ax, not traces)
            self._draw_runs(frame if traces else few, ax, thin=traces)
            finish(ax)

        entries, legend_title = self._legend()
        lines = [title, caption]
        return draw_on_axes(self.frame, draw_part, ax, self.grouping.shown, lines, entries, legend_title)

    def _draw_means(self, means: pd.DataFrame, ax: Axes, with_bands: bool) -> None:
        for part in self._groups(means, self.grouping.columns):
            label = self.grouping.describe(part.iloc[0])
            color = self.colors[str(part["hue"].iloc[0])]
            text = f"mean of {int(part['count'].max())} runs" + (f", {label}" if label else "")
            ax.plot(part["x"], part["mean"], linewidth=1.8, gid=curve_id(part, text), **self._look(part))
            if with_bands and part["low"].notna().any():
                band = {"color": color, "alpha": 0.2, "linewidth": 0, "gid": INTERVAL}
                ax.fill_between(part["x"], part["low"], part["high"], **band)

    def _draw_runs(self, frame: pd.DataFrame, ax: Axes, thin: bool) -> None:
        runs = frame["run"].nunique()
        settings: dict[str, Any] = {"linewidth": 1.6} if runs <= MAX_THICK_LINES else {"linewidth": 0.8}
        settings = {"linewidth": 0.6, "alpha": 0.5} if thin else settings
        for part in self._groups(frame, [*self.grouping.columns, "run"]):
            text = ", ".join([f"run {part['run'].iloc[0]}", *self.grouping.describe_end(part.iloc[0])])
            ax.plot(part["x"], part["y"], gid=curve_id(part, text), **(self._look(part) | settings))

    def _groups(self, frame: pd.DataFrame, by: list[str]) -> Iterator[pd.DataFrame]:
        for _, part in frame.groupby(by, observed=True):
            yield part.sort_values("x")

    def _look(self, part: pd.DataFrame) -> dict[str, Any]:
        """Return the colour, the dash pattern and the markers of a line."""
        markers = {"marker": "o", "markersize": 4} if self.frame["x"].nunique() <= MAX_MARKED_POINTS else {}
        dashes = LINE_STYLES[int(part["style"].cat.codes.iloc[0]) % len(LINE_STYLES)][0]
        return {"color": self.colors[str(part["hue"].iloc[0])], "linestyle": dashes, **markers}

    def _legend(self) -> tuple[dict[str, Artist], str | None]:
        entries: dict[str, Artist] = {}
        hue, style = self.grouping.shown["hue"], self.grouping.shown["style"]
        words = set(self.frame["hue"])
        if hue is not None:
            colors = {word: color for word, color in self.colors.items() if word in words}
            entries |= line_entries(colors, linewidth=1.8)
        if style is not None and style == hue:
            for i, word in enumerate(self.frame["style"].cat.categories):
                if word in entries:
                    entries[word].set(linestyle=LINE_STYLES[i % len(LINE_STYLES)][0])
        elif style is not None:
            for i, word in enumerate(self.frame["style"].cat.categories):
                name = word if style == END else f"{style} {word}"
                dashes = LINE_STYLES[i % len(LINE_STYLES)][0]
                entries[name] = Line2D([], [], color=NEUTRAL_COLOR, linestyle=dashes, linewidth=1.4)
        return entries, {"step": "training step"}.get(str(hue), hue)
