"""Plots of one value per run against a sweep axis, with points, and means and intervals over replicates."""

from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from rnnlab.analysis.figures.axis_scale import AxisScale, choose_scale
from rnnlab.analysis.figures.facets import Draw, draw_on_axes
from rnnlab.analysis.figures.grouping import CHANNELS, INTERVAL, LINE_STYLES, Grouping
from rnnlab.analysis.figures.intervals import MIN_REPLICATES, describe_mean
from rnnlab.analysis.figures.style import NEUTRAL_COLOR, choose_colors, line_entries, to_labels, to_numbers
from rnnlab.records import AXES
from rnnlab.text import format_zero_share

Aggregate = Callable[[pd.DataFrame, list[str], str], pd.DataFrame]
Back = Callable[[Any], Any] | None
FLAG_MARKER = "^"
"""Marker of values that are lower bounds."""


def axes_of(runs: pd.DataFrame) -> list[str]:
    """Return the columns that are axes of the sweep.

    In a data frame from `load_runs`, the sweep axes are the columns between `outcome` and `metric`.
    """
    names = list(map(str, runs))
    if "outcome" in names and "metric" in names:
        return names[names.index("outcome") + 1 : names.index("metric")]
    keys = [str(name) for name in runs if "." in str(name) and "/" not in str(name)]
    return [
        *(name for name in AXES if name in runs),
        *(key for key in keys if key.split(".")[0] != "diverged_at"),
    ]


def grouping_axes(runs: pd.DataFrame) -> list[str]:
    """Return the columns that separate groups of replicates: the axes, and the sweep if there are several."""
    return [*axes_of(runs), *(["sweep"] if "sweep" in runs and runs["sweep"].nunique() > 1 else [])]


def describe_zeros(runs: pd.DataFrame, column: str | None) -> str:
    """Return a note on the fraction of examples whose gradient is 0, or "" if no run has such examples."""
    shares = to_numbers(runs[column]) if column in runs else pd.Series(dtype=float)
    positive = shares[shares > 0]
    if positive.empty:
        return ""
    share = format_zero_share(float(positive.max())).removesuffix(" zero")
    count = f"{len(positive)} of {len(runs)} runs"
    return f"; excludes examples with zero gradient (up to {share} of the examples in {count})"


class ScalarPlot:
    """Plot of one value per run against a sweep axis, drawn from a data frame with fixed column names."""

    def __init__(
        self,
        runs: pd.DataFrame,
        x: str,
        value: str,
        encodings: dict[str, str | None],
        flag: str | None = None,
        zero: str | None = None,
        zero_share: str | None = None,
        value_name: str = "",
        grouped: pd.Series | None = None,
    ) -> None:
        """Select the columns to plot from a data frame of runs.

        Args:
            runs: Data frame with one row per run.
            x: Column on the x axis.
            value: Column with the plotted value.
            encodings: Column names for the roles `hue`, `style`, `col` and `row`, or None.
            flag: Column that is 1 for runs drawn with a different marker.
            zero: Column that is 0 for runs whose gain is 0; these runs have no plotted value.
            zero_share: Column with the fraction of examples whose gradient is 0; the plotted value excludes
                these examples.
            value_name: Name of the plotted gain, used in the caption to report runs whose gain is 0.
            grouped: Mask of the runs whose axes determine the groups; None selects the runs with a value.
        """
        runs = runs.reset_index(drop=True)
        self.x, self.run_count, self.value_name = x, len(runs), value_name
        self.scale: AxisScale = choose_scale(runs[x])
        self.colors: dict[str, Any] = {"": NEUTRAL_COLOR}
        if (hue := encodings["hue"]) is not None:
            self.colors = choose_colors(runs[hue])
        y = to_numbers(runs[value], "value")
        tidy: dict[str, Any] = {"x": self.scale.map_values(runs[x]), "y": y.where(np.isfinite(y))}
        axes = grouping_axes(runs)
        used = [name for name in (x, *encodings.values()) if name is not None]
        plotted = runs[list(dict.fromkeys([*used, *axes]))]
        self.grouping = Grouping.of(
            plotted, tidy["y"].notna() if grouped is None else grouped, {"x": x, **encodings}, []
        )
        tidy |= self.grouping.labels(runs)
        tidy["flag"] = to_numbers(runs[flag]) == 1 if flag in runs else False
        tidy["zero"] = to_numbers(runs[zero]) == 0 if zero in runs else False
        self.tidy = pd.DataFrame(tidy, index=runs.index)
        with_value = self.tidy[self.tidy["y"].notna() | self.tidy["zero"]]
        self.frame = with_value.dropna(subset=["x", *CHANNELS])
        self.zero_note = describe_zeros(runs.loc[self.frame.index], zero_share)
        given = dict.fromkeys([x, *self.grouping.given])
        self.incomplete = [name for name in given if to_labels(runs[name]).isna().any()]

    def draw_points(self, frame: pd.DataFrame, ax: Axes, back: Back = None) -> None:
        """Draw every run as a small point, larger where replicates are too few for an interval."""
        for color, index, part in self.looks(frame[frame["y"].notna()]):
            replicates = part.groupby([*self.grouping.columns, "x"], observed=True)["y"].transform("size")
            marker = LINE_STYLES[int(part["style"].cat.codes.iloc[0]) % len(LINE_STYLES)][1]
            for flag in (False, True):
                for many in (False, True):
                    rows = part[(part["flag"] == flag) & ((replicates >= MIN_REPLICATES) == many)]
                    if len(rows):
                        settings: dict[str, Any] = (
                            {"s": 14, "alpha": 0.4} if many else {"s": 30, "alpha": 0.9}
                        )
                        settings |= {"marker": FLAG_MARKER if flag else marker, "linewidth": 0, "gid": "runs"}
                        y = rows["y"] if back is None else back(rows["y"])
                        ax.scatter(self.dodge(rows["x"], index), y, color=color, **settings)

    def draw_means(
        self, frame: pd.DataFrame, ax: Axes, aggregate: Aggregate, back: Back = None, always: bool = False
    ) -> None:
        """Draw the mean and interval of the replicates at each x, and connect the means, except at "off".

        Args:
            frame: Part of `self.frame` to draw.
            ax: Axes to draw on.
            aggregate: Function that returns the mean and interval of each group.
            back: Function that converts the values from the scale of the mean to that of the axis.
            always: If True, mark the mean of fewer than three replicates too, without an interval.
        """
        for color, index, part in self.looks(frame[frame["y"].notna()]):
            dashes, marker = LINE_STYLES[int(part["style"].cat.codes.iloc[0]) % len(LINE_STYLES)]
            for _, group in part.groupby(self.grouping.columns, observed=True):
                summary = aggregate(group, ["x"], "y")
                summary["flag"] = group.groupby("x")["flag"].any().to_numpy()
                if back is not None:
                    summary[["mean", "low", "high"]] = back(summary[["mean", "low", "high"]])
                off = summary["x"] == self.scale.off_position
                x, mean = self.dodge(summary["x"], index), summary["mean"]
                ax.plot(x[~off], mean[~off], color=color, linewidth=1.2, linestyle=dashes, gid="line")
                has_interval = summary["low"].notna()
                error = np.abs(summary[["low", "high"]].to_numpy() - summary[["mean"]].to_numpy()).T
                for flag in (False, True):
                    rows = (summary["flag"] == flag) & (always or has_interval)
                    if rows.any():
                        fmt = FLAG_MARKER if flag else marker
                        name = f"means {group['hue'].iloc[0]}"
                        ax.plot(x[rows], mean[rows], fmt, color=color, markersize=6, gid=name)
                if has_interval.any():
                    settings: dict[str, Any] = {
                        "ecolor": color,
                        "capsize": 3,
                        "elinewidth": 1.2,
                        "fmt": "none",
                    }
                    bars = ax.errorbar(
                        x[has_interval], mean[has_interval], error[:, has_interval], **settings
                    )
                    for artist in (*bars.lines[1], *bars.lines[2]):
                        artist.set_gid(INTERVAL)

    def draw_zero_gains(self, frame: pd.DataFrame, ax: Axes) -> None:
        """Draw runs whose gain is 0 at the lower end of the y axis, because log 0 is undefined."""
        for color, index, part in self.looks(frame[frame["zero"]]):
            x = self.dodge(part["x"], index)
            settings: dict[str, Any] = {"color": color, "markersize": 6, "alpha": 0.7, "gid": "zero"}
            lower_end = ax.get_xaxis_transform()
            ax.plot(x, [0.0] * len(part), "v", transform=lower_end, clip_on=False, **settings)

    def looks(self, frame: pd.DataFrame) -> Iterator[tuple[Any, int, pd.DataFrame]]:
        """Yield the colour, the index of the look and the rows of each combination of colour and style."""
        styles = list(self.frame["style"].cat.categories)
        for (hue, style), part in frame.groupby(["hue", "style"], observed=True):
            index = list(self.colors).index(str(hue)) * len(styles) + styles.index(style)
            yield self.colors[str(hue)], index, part

    def dodge(self, x: pd.Series, index: int) -> pd.Series:
        """Shift the positions of a look sideways, so that intervals of different looks do not overlap."""
        return self.scale.dodge(x, index, len(self.colors) * len(self.frame["style"].cat.categories))

    def legend_entries(self) -> dict[str, Artist]:
        """Return legend entries for the colours and styles in the figure."""
        entries: dict[str, Artist] = {}
        if self.grouping.shown["hue"] is not None:
            words = set(self.frame["hue"])
            colors = {word: color for word, color in self.colors.items() if word in words}
            entries |= line_entries(colors, marker="o", markersize=5, linewidth=1.2)
        if (style := self.grouping.shown["style"]) is not None and style != self.grouping.shown["hue"]:
            for (dashes, marker), word in zip(
                cycle(LINE_STYLES), self.frame["style"].cat.categories, strict=False
            ):
                line = {"linestyle": dashes, "marker": marker, "markersize": 5, "linewidth": 1.2}
                entries[f"{style} {word}"] = Line2D([], [], color=NEUTRAL_COLOR, **line)
        return entries

    def caption(self, band: str, single: str = "single runs") -> str:
        """Return a caption with the statistic, the number of runs, and any missing or excluded runs."""
        with_value = self.frame[self.frame["y"].notna()]
        counts = with_value.groupby(["x", *self.grouping.columns], observed=True).size()
        text = describe_mean(counts, band, self.grouping.detail, single)
        missing = int((self.tidy["y"].isna() & ~self.tidy["zero"]).sum())
        excluded = self.run_count - missing - len(self.frame)
        zero = int(self.frame["zero"].sum())
        text += f"; {self.value_name} = 0 in {zero} of {self.run_count} runs" if zero else ""
        text += f"; {missing} of {self.run_count} runs have no value" if missing else ""
        if excluded:
            text += f"; {excluded} of {self.run_count} runs have no {' or no '.join(self.incomplete)}"
        return text + self.zero_note

    def label_x(self, ax: Axes) -> None:
        """Set the scale, ticks and label of the x axis."""
        if self.scale.positions:
            self.scale.draw_axis(ax, self.x)

    def draw(self, ax: Axes | None, draw: Draw, entries: dict[str, Artist], title: list[str]) -> Any:
        """Draw the plot on one Axes or on a grid of Axes."""

        def draw_part(frame: pd.DataFrame, ax: Axes) -> None:
            draw(frame, ax)
            self.label_x(ax)

        shown = self.grouping.shown
        return draw_on_axes(self.frame, draw_part, ax, shown, title, entries, shown["hue"])
