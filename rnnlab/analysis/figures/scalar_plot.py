"""One number of every run against an axis: points, and means with their intervals."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from rnnlab.analysis.figures.axis_scale import Places, places
from rnnlab.analysis.figures.facets import Draw, draw_on_axes
from rnnlab.analysis.figures.intervals import averaged_over, mean_told
from rnnlab.analysis.figures.style import PLAIN, colors_of, labelled, line_entries, numbers
from rnnlab.records import AXES
from rnnlab.text import zeros_told

FACETS = ("hue", "col", "row")
Aggregate = Callable[[pd.DataFrame, list[str], str], pd.DataFrame]


def axes_of(runs: pd.DataFrame) -> list[str]:
    """Of the frame's columns the axes: in that of `load_runs` those between the outcome and the metric."""
    names = list(map(str, runs))
    if "outcome" in names and "metric" in names:
        return names[names.index("outcome") + 1 : names.index("metric")]
    keys = [str(name) for name in runs if "." in str(name) and "/" not in str(name)]
    return [
        *(name for name in AXES if name in runs),
        *(key for key in keys if key.split(".")[0] != "diverged_at"),
    ]


def zeros_among(runs: pd.DataFrame, column: str | None) -> str:
    """In words the share of examples whose gradient is 0, where there are any; else nothing."""
    shares = numbers(runs[column]) if column in runs else pd.Series(dtype=float)
    some = shares[shares > 0]
    if some.empty:
        return ""
    share = zeros_told(float(some.max())).removesuffix(" zero")
    return f"; without examples whose gradient is 0, up to {share} of them in {len(some)} of {len(runs)} runs"


class AgainstAxis:
    """One number a run against an axis, in columns of fixed names."""

    def __init__(
        self,
        runs: pd.DataFrame,
        x: str,
        value: str,
        roles: dict[str, str | None],
        flag: str | None = None,
        zero: str | None = None,
        zeros: str | None = None,
        called: str = "",
    ) -> None:
        """Take the columns of a frame of runs.

        Args:
            runs: The frame.
            x: The axis.
            value: The number.
            roles: The axes for `hue`, `col` and `row`.
            flag: Runs in which this column is 1 have another marker.
            zero: Runs in which this column is 0 have no value because their gain is 0.
            zeros: The share of examples that are 0 and play no part in the value, to be told.
            called: What the title calls the number where it is 0.
        """
        runs = runs.reset_index(drop=True)
        self.x, self.roles, self.all, self.called = x, roles, len(runs), called
        self.places: Places = places(runs[x])
        self.colors: dict[str, Any] = {"": PLAIN}
        if (hue := roles["hue"]) is not None:
            self.colors = colors_of(runs[hue])
        y = numbers(runs[value], "value")
        tidy: dict[str, Any] = {"x": self.places.of(runs[x]), "y": y.where(np.isfinite(y))}
        for role, name in roles.items():
            tidy[role] = labelled(runs[name]) if name else pd.Categorical([""] * len(runs))
        tidy["flag"] = numbers(runs[flag]) == 1 if flag in runs else False
        tidy["zero"] = numbers(runs[zero]) == 0 if zero in runs else False
        self.tidy = pd.DataFrame(tidy, index=runs.index)
        shown = self.tidy[self.tidy["y"].notna() | self.tidy["zero"]]
        self.frame = shown.dropna(subset=["x", *FACETS])
        self.zeros = zeros_among(runs.loc[self.frame.index], zeros)
        named = list(dict.fromkeys(name for name in (x, *roles.values()) if name is not None))
        self.incomplete = [name for name in named if labelled(runs[name]).isna().any()]
        axes = axes_of(runs)
        kept = runs.loc[self.frame.index, list(dict.fromkeys([*named, *axes]))]
        self.over = averaged_over(kept, named, [])

    def points(self, frame: pd.DataFrame, ax: Axes, back: Any = None) -> None:
        """Every run."""
        for place, (word, color) in enumerate(self.colors.items()):
            for flag, marker in ((False, "o"), (True, "^")):
                part = frame[(frame["hue"] == word) & (frame["flag"] == flag) & frame["y"].notna()]
                if len(part):
                    x = self.places.shifted(part["x"], place, len(self.colors))
                    y = part["y"] if back is None else back(part["y"])
                    ax.scatter(x, y, s=14, marker=marker, color=color, alpha=0.4, linewidth=0, gid="runs")

    def means(self, frame: pd.DataFrame, ax: Axes, aggregate: Aggregate, back: Any = None) -> None:
        """The mean of each x with its interval; a line joins them, but not "off"."""
        for place, (word, color) in enumerate(self.colors.items()):
            part = frame[(frame["hue"] == word) & frame["y"].notna()]
            if part.empty:
                continue
            found = aggregate(part, ["x"], "y")
            found["flag"] = part.groupby("x")["flag"].any().to_numpy()
            values = ["mean", "low", "high"]
            if back is not None:
                found[values] = back(found[values])
            off = found["x"] == self.places.off
            x = self.places.shifted(found["x"], place, len(self.colors))
            error = np.abs(found[["low", "high"]].to_numpy() - found[["mean"]].to_numpy()).T
            ax.plot(x[~off], found["mean"][~off], color=color, linewidth=1.2, gid="line")
            for flag, marker in ((False, "o"), (True, "^")):
                at = (found["flag"] == flag).to_numpy()
                if at.any():
                    settings = {"color": color, "markersize": 6, "capsize": 3, "elinewidth": 1.2}
                    ax.errorbar(
                        x[at], found["mean"][at], error[:, at], fmt=marker, gid=f"means {word}", **settings
                    )

    def lost(self, frame: pd.DataFrame, ax: Axes) -> None:
        """Runs whose gain is 0, which may have no place on the axis: at its lower end."""
        for place, (word, color) in enumerate(self.colors.items()):
            part = frame[(frame["hue"] == word) & frame["zero"]]
            if len(part):
                x = self.places.shifted(part["x"], place, len(self.colors))
                settings: dict[str, Any] = {"color": color, "markersize": 6, "alpha": 0.7, "gid": "zero"}
                at_end = ax.get_xaxis_transform()
                ax.plot(x, [0.0] * len(part), "v", transform=at_end, clip_on=False, **settings)

    def entries(self) -> dict[str, Artist]:
        """Of the legend: the colours that are shown."""
        if self.roles["hue"] is None:
            return {}
        shown = set(self.frame["hue"])
        colors = {word: color for word, color in self.colors.items() if word in shown}
        return line_entries(colors, marker="o", markersize=5, linewidth=1.2)

    def told(self, band: str, single: str = "single runs") -> str:
        """What is shown of how many runs."""
        with_value = self.frame[self.frame["y"].notna()]
        counts = with_value.groupby(["x", *FACETS], observed=True).size()
        told = mean_told(counts, self.over, band, single)
        missing = int((self.tidy["y"].isna() & ~self.tidy["zero"]).sum())
        lost = self.all - missing - len(self.frame)
        zero = int(self.frame["zero"].sum())
        told += f"; {self.called} 0 in {zero} of {self.all} runs" if zero else ""
        told += f"; {missing} of {self.all} runs have no value" if missing else ""
        told += f"; {lost} of {self.all} have no {' or no '.join(self.incomplete)}" if lost else ""
        return told + self.zeros

    def label_x(self, ax: Axes) -> None:
        """The x axis: its scale, ticks and name."""
        if self.places.at:
            self.places.label(ax, self.x)

    def draw(self, ax: Axes | None, draw: Draw, entries: dict[str, Artist], title: list[str]) -> Any:
        """On one Axes or on a grid."""

        def draw_part(frame: pd.DataFrame, ax: Axes) -> None:
            draw(frame, ax)
            self.label_x(ax)

        return draw_on_axes(self.frame, draw_part, ax, self.roles, title, entries, self.roles["hue"])
