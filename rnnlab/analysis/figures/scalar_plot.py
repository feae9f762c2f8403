"""Plots of one value per run against a sweep axis, with points, means and confidence intervals."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from rnnlab.analysis.figures.axis_scale import AxisScale, choose_scale
from rnnlab.analysis.figures.facets import Draw, draw_on_axes
from rnnlab.analysis.figures.intervals import describe_mean, find_averaged_axes
from rnnlab.analysis.figures.style import NEUTRAL_COLOR, choose_colors, line_entries, to_labels, to_numbers
from rnnlab.records import AXES
from rnnlab.text import format_zero_share

FACETS = ("hue", "col", "row")
Aggregate = Callable[[pd.DataFrame, list[str], str], pd.DataFrame]


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
    ) -> None:
        """Select the columns to plot from a data frame of runs.

        Args:
            runs: Data frame with one row per run.
            x: Column on the x axis.
            value: Column with the plotted value.
            encodings: Column names for the roles `hue`, `col` and `row`, or None.
            flag: Column that is 1 for runs drawn with a different marker.
            zero: Column that is 0 for runs whose gain is 0; these runs have no plotted value.
            zero_share: Column with the fraction of examples whose gradient is 0; the plotted value excludes
                these examples.
            value_name: Name of the plotted gain, used in the caption to report runs whose gain is 0.
        """
        runs = runs.reset_index(drop=True)
        self.x, self.encodings, self.run_count, self.value_name = x, encodings, len(runs), value_name
        self.scale: AxisScale = choose_scale(runs[x])
        self.colors: dict[str, Any] = {"": NEUTRAL_COLOR}
        if (hue := encodings["hue"]) is not None:
            self.colors = choose_colors(runs[hue])
        y = to_numbers(runs[value], "value")
        tidy: dict[str, Any] = {"x": self.scale.map_values(runs[x]), "y": y.where(np.isfinite(y))}
        for channel, name in encodings.items():
            tidy[channel] = to_labels(runs[name]) if name else pd.Categorical([""] * len(runs))
        tidy["flag"] = to_numbers(runs[flag]) == 1 if flag in runs else False
        tidy["zero"] = to_numbers(runs[zero]) == 0 if zero in runs else False
        self.tidy = pd.DataFrame(tidy, index=runs.index)
        with_value = self.tidy[self.tidy["y"].notna() | self.tidy["zero"]]
        self.frame = with_value.dropna(subset=["x", *FACETS])
        self.zero_note = describe_zeros(runs.loc[self.frame.index], zero_share)
        shown_axes = list(dict.fromkeys(name for name in (x, *encodings.values()) if name is not None))
        self.incomplete = [name for name in shown_axes if to_labels(runs[name]).isna().any()]
        axes = axes_of(runs)
        plotted_runs = runs.loc[self.frame.index, list(dict.fromkeys([*shown_axes, *axes]))]
        self.averaged_axes = find_averaged_axes(plotted_runs, shown_axes, [])

    def draw_points(self, frame: pd.DataFrame, ax: Axes, back: Any = None) -> None:
        """Draw every run as a small point."""
        for index, (word, color) in enumerate(self.colors.items()):
            for flag, marker in ((False, "o"), (True, "^")):
                part = frame[(frame["hue"] == word) & (frame["flag"] == flag) & frame["y"].notna()]
                if len(part):
                    x = self.scale.dodge(part["x"], index, len(self.colors))
                    y = part["y"] if back is None else back(part["y"])
                    ax.scatter(x, y, s=14, marker=marker, color=color, alpha=0.4, linewidth=0, gid="runs")

    def draw_means(self, frame: pd.DataFrame, ax: Axes, aggregate: Aggregate, back: Any = None) -> None:
        """Draw the mean and its confidence interval at each x; a line connects the means, except at "off"."""
        for index, (word, color) in enumerate(self.colors.items()):
            part = frame[(frame["hue"] == word) & frame["y"].notna()]
            if part.empty:
                continue
            summary = aggregate(part, ["x"], "y")
            summary["flag"] = part.groupby("x")["flag"].any().to_numpy()
            values = ["mean", "low", "high"]
            if back is not None:
                summary[values] = back(summary[values])
            off = summary["x"] == self.scale.off_position
            x = self.scale.dodge(summary["x"], index, len(self.colors))
            mean = summary["mean"]
            error = np.abs(summary[["low", "high"]].to_numpy() - summary[["mean"]].to_numpy()).T
            ax.plot(x[~off], mean[~off], color=color, linewidth=1.2, gid="line")
            for flag, marker in ((False, "o"), (True, "^")):
                rows = (summary["flag"] == flag).to_numpy()
                if rows.any():
                    settings = {"color": color, "markersize": 6, "capsize": 3, "elinewidth": 1.2}
                    ax.errorbar(
                        x[rows], mean[rows], error[:, rows], fmt=marker, gid=f"means {word}", **settings
                    )

    def draw_zero_gains(self, frame: pd.DataFrame, ax: Axes) -> None:
        """Draw runs whose gain is 0 at the lower end of the y axis, because log 0 is undefined."""
        for index, (word, color) in enumerate(self.colors.items()):
            part = frame[(frame["hue"] == word) & frame["zero"]]
            if len(part):
                x = self.scale.dodge(part["x"], index, len(self.colors))
                settings: dict[str, Any] = {"color": color, "markersize": 6, "alpha": 0.7, "gid": "zero"}
                lower_end = ax.get_xaxis_transform()
                ax.plot(x, [0.0] * len(part), "v", transform=lower_end, clip_on=False, **settings)

    def legend_entries(self) -> dict[str, Artist]:
        """Return legend entries for the colours in the figure."""
        if self.encodings["hue"] is None:
            return {}
        words = set(self.frame["hue"])
        colors = {word: color for word, color in self.colors.items() if word in words}
        return line_entries(colors, marker="o", markersize=5, linewidth=1.2)

    def caption(self, band: str, single: str = "single runs") -> str:
        """Return a caption with the statistic, the number of runs, and any missing or excluded runs."""
        with_value = self.frame[self.frame["y"].notna()]
        counts = with_value.groupby(["x", *FACETS], observed=True).size()
        text = describe_mean(counts, self.averaged_axes, band, single)
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

        return draw_on_axes(self.frame, draw_part, ax, self.encodings, title, entries, self.encodings["hue"])
