"""Figures for a report, chosen according to the axes of the sweep."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnlab.analysis.figures.grouping import END
from rnnlab.analysis.figures.intervals import MIN_REPLICATES
from rnnlab.analysis.figures.literal_text import allow_odd_names
from rnnlab.analysis.figures.phase_diagram import draw_phase_diagram
from rnnlab.analysis.figures.selection import select_layer
from rnnlab.analysis.figures.single_run import draw_time_heatmap
from rnnlab.analysis.figures.style import NEUTRAL_COLOR, figure_style, set_log_scale
from rnnlab.analysis.figures.sweep_curves import draw_lag_curves, draw_losses
from rnnlab.analysis.figures.sweep_scalars import draw_clipping, draw_gain, draw_horizon, draw_solved
from rnnlab.analysis.frames.run_collection import RunCollection
from rnnlab.analysis.report.conditions import Condition
from rnnlab.analysis.report.encodings import Encodings, is_number
from rnnlab.analysis.report.inline_svg import inline_svg
from rnnlab.analysis.report.layer_figures import (
    describe_networks,
    draw_curves_of_layers,
    draw_layer_maps,
    find_deep_networks,
)
from rnnlab.analysis.report.number_text import format_axis
from rnnlab.records import GAIN_TAIL, GRAD_NORM, HORIZON, LOG10_GAIN_TAIL, VAL_SOLVED
from rnnlab.text import explain, format_run_count

MAX_HEATMAPS = 4
NARROW_INCHES = 4.0
"""Width of the main figure for narrow screens."""
MAX_CURVES = 60
"""Maximum number of curves of one kind in a figure."""


@dataclass(frozen=True)
class Picture:
    """A figure in the report.

    Attributes:
        title: Title.
        text: Caption.
        svg: SVG element.
        wide: True for a grid of plots, which requires the full page width.
        narrow: The figure for narrow screens, with its plots below each other, or None.
    """

    title: str
    text: str
    svg: Markup
    wide: bool
    narrow: Markup | None = None


@dataclass(frozen=True)
class _Drawing:
    title: str
    text: str
    draw: Callable[[], Any]
    is_map: bool = False


class ReportFigures:
    """The figures of a sweep."""

    def __init__(
        self, collection: RunCollection, curves: pd.DataFrame | None, encodings: Encodings, metric: str
    ) -> None:
        """Select the runs whose curves are drawn.

        Args:
            collection: Runs of the sweep.
            curves: Lag curves of the state from the first and last recording of each run, or None.
            encodings: Assignment of the sweep axes to the visual properties of the figures.
            metric: Validation metric of the task.
        """
        self.collection, self.encodings, self.metric = collection, encodings, metric
        self.curves = curves
        self.selected, self.selection_note = _select_curves(collection.frame, encodings.axes)

    def main(self, answer: str, best: Condition | None) -> Picture | None:
        """Return the figure that answers the question: lag curves before and after training, on one scale.

        Args:
            answer: First sentence of the answer, used as alternative text.
            best: Condition with the best validation metric. If the sweep has more axes than colours and dash
                patterns can show, the figure shows only the values of the other axes in this condition.
        """
        if self.curves is None:
            return None
        curves, chosen = self.curves, ""
        values: dict[str, Any] = {} if best is None else best.values
        for axis in self.encodings.axes[2:] if values else ():
            value = values[axis]
            rows = curves[curves[axis].isna() if pd.isna(value) else curves[axis] == value]
            if len(rows) < len(curves) and rows["run"].nunique() > 1:
                curves, chosen = rows, f"{chosen} Only {axis}={format_axis(value, axis)}."
        if self.selection_note:
            runs = self.collection.frame["run"].iloc[self.selected]
            curves = curves[curves["run"].isin(set(runs))]
        draw = partial(_draw_main, self._named(curves), self.encodings.hue)
        title = "Gradient against lag"
        text = (
            "Norm of the gradient k time steps before the loss, relative to 1 time step before. "
            "The horizon is the last lag above the dotted line, where 1 % remains."
            f"{chosen}{self.selection_note}"
        )
        wide = self._render(_Drawing(title, text, partial(draw, col=END)), "main-", answer)
        narrow = self._render(_Drawing(title, text, partial(draw, row=END)), "narrow-", answer)
        return wide and narrow and replace(wide, narrow=narrow.svg)

    def details(self, best: Condition | None) -> list[Picture]:
        """Draw all further figures for which the sweep has the required axes and data.

        Args:
            best: Condition with the best validation metric, whose values the figures by layer prefer.

        Raises:
            ConnectionError: If MLflow does not respond.
        """
        by_layer = self._by_layer({} if best is None else best.values)
        further = [*self._scalar_plots(), *self._losses(), *self._heatmaps()]
        drawings = [*self._explosions(), *by_layer, *further]
        pictures = (
            self._render(drawing, f"f{number}-", f"{drawing.title}. {drawing.text}")
            for number, drawing in enumerate(drawings)
        )
        return [picture for picture in pictures if picture is not None]

    def _named(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a frame in long format whose runs have their names instead of their identifiers."""
        names = {run.row["run"]: str(run.row["name"]) for run in self.collection.runs}
        counts = Counter(names.values())
        names = {run: name if counts[name] == 1 else f"{name} ({run})" for run, name in names.items()}
        return frame.assign(run=frame["run"].cat.rename_categories(names))

    def _render(self, drawing: _Drawing, prefix: str, description: str) -> Picture | None:
        """Return a figure as SVG, or None if there is nothing to draw."""
        import matplotlib.pyplot as plt

        with matplotlib.rc_context({**figure_style(), "svg.fonttype": "path"}), allow_odd_names():
            others = set(plt.get_fignums())  # figures of a notebook that writes the report
            try:
                result = drawing.draw()
            except ValueError:  # no data to draw
                for number in set(plt.get_fignums()) - others:
                    plt.close(number)
                return None
            first = result.flat[0] if isinstance(result, np.ndarray) else result
            figure: Figure = first.figure
            hue = self.encodings.hue
            is_sequential = drawing.is_map or (hue is not None and is_number(self.collection.frame[hue]))
            svg = inline_svg(figure, prefix, description, is_sequential)
            plt.close(figure)
        is_grid = not isinstance(result, Axes | np.ndarray) and len(result.axes.flat) > 1
        is_row = isinstance(result, np.ndarray) and result.ndim == 2 and result.shape[1] > 1
        return Picture(drawing.title, drawing.text, svg, is_grid or is_row)

    def _explosions(self) -> Iterator[_Drawing]:
        """Yield the gradient norms of the runs that diverged, up to the step at which they diverged."""
        outcomes = self.collection.frame["outcome"].astype(str)
        diverged = np.flatnonzero(outcomes == "diverged")
        if not len(diverged):
            return
        few = diverged[:MAX_CURVES]
        try:
            norms = self.collection.select(few).metrics(GRAD_NORM)
        except ValueError:  # no run completed a training step
            return
        text = (
            f"Global gradient norm before clipping in {format_run_count(len(few))} that diverged. A cross "
            "marks the last finite value."
        )
        yield _Drawing("Divergence", text, partial(self._draw_explosions, self._named(norms)))

    def _draw_explosions(self, norms: pd.DataFrame) -> Any:
        drawn = draw_losses(norms, metric=GRAD_NORM, hue=self.encodings.hue, traces=True)
        last = norms.dropna(subset=["value"]).sort_values("step").groupby("run", observed=True).tail(1)
        drawn.plot(last["step"], last["value"], "x", color="black", markersize=7, gid="last finite value")
        drawn.set(ylabel="global gradient norm")
        set_log_scale(drawn)
        return drawn

    def _by_layer(self, preferred: Mapping[str, Any]) -> Iterator[_Drawing]:
        """Yield the gradient by layer and lag as heat maps and as curves, if a network has several layers."""
        if not (deep := find_deep_networks(self.collection, self.encodings, preferred)):
            return
        text = (
            f"Norm of the gradient with respect to {deep[0].quantity} of each layer, k time steps before the "
            f"loss, before and after training on one scale. {describe_networks(deep)}"
        )
        yield _Drawing("Gradient by layer and lag", text, partial(draw_layer_maps, deep), True)
        text = "Lag curve of each layer after training (solid) and before (dashed)."
        yield _Drawing("Lag curve of each layer", text, partial(draw_curves_of_layers, deep), True)

    def _scalar_plots(self) -> Iterator[_Drawing]:
        runs, x, hue, col = self.collection.frame, self.encodings.x, self.encodings.hue, self.encodings.col
        if x is not None and (_has(runs, LOG10_GAIN_TAIL) or _has(runs, GAIN_TAIL)):
            text = (
                "Factor by which the gradient norm changes per time step, from lags of at least half "
                "the longest lag; a gain of 1 preserves the norm. The gain in the tables covers all lags."
            )
            yield _Drawing(f"Tail gain by {x}", text, partial(draw_gain, runs, x=x, hue=hue, col=col))
        if x is not None and _has(runs, HORIZON):
            text = "Largest lag at which at least 1 % of the gradient norm remains, even after a dip."
            yield _Drawing(f"Horizon by {x}", text, partial(draw_horizon, runs, x=x, hue=hue, col=col))
        if x is not None and _has(runs, VAL_SOLVED):
            text = "Fraction of runs that met the success criterion of their task."
            yield _Drawing(f"Solved by {x}", text, partial(draw_solved, runs, x=x, hue=hue, col=col))
        y = self.encodings.y or hue
        if x is not None and y is not None and "regime" in runs and runs["regime"].notna().any():
            text = "Most frequent gradient regime among the runs with each combination of axis values."
            yield _Drawing(f"Regimes by {x} and {y}", text, partial(draw_phase_diagram, runs, x=x, y=y), True)
        if "clip" in self.encodings.axes and np.isfinite(runs["clip"]).any() and _has(runs, self.metric):
            text = f"Clip rate and final {self.metric} at each clip threshold ({explain([self.metric])})."
            other = hue if hue != "clip" else None
            yield _Drawing("Clipping", text, partial(draw_clipping, runs, hue=other, loss=self.metric))

    def _losses(self) -> Iterator[_Drawing]:
        try:
            losses = self._named(self.collection.select(self.selected).metrics(self.metric))
        except ValueError:  # no run reached a validation
            return
        text = f"Validation during training ({explain([self.metric])}).{self.selection_note}"
        draw = partial(
            draw_losses, losses, metric=self.metric, hue=self.encodings.hue, col=self.encodings.col
        )
        yield _Drawing(f"{self.metric} during training", text, draw)

    def _heatmaps(self) -> Iterator[_Drawing]:
        """Yield heat maps, on one scale, of the first run at each value of the colour axis."""
        frame, hue = self.collection.frame, self.encodings.hue
        firsts = frame.drop_duplicates([hue]) if hue else frame[:1]
        maps: dict[str, pd.DataFrame] = {}
        for index in firsts.index[:MAX_HEATMAPS]:
            for quantity in ("state", "h"):  # `state` for a cell without a state h
                with suppress(ValueError):  # the probe made no recordings
                    norms = select_layer(
                        self.collection.select([index]).gradients(quantity, "timestep"), quantity
                    )
                    if norms["log10_gmean"].notna().any():
                        maps[str(self.collection.runs[index].row["name"])] = norms
        if maps:
            text = "Norm of the total gradient by time step and training step, for single runs on one scale."
            yield _Drawing("Gradient by time step", text, partial(_draw_heatmaps, maps), True)


def _select_curves(frame: pd.DataFrame, axes: Sequence[str]) -> tuple[np.ndarray, str]:
    """Select the runs whose curves are drawn, and describe the selection unless it contains all runs.

    The runs of each combination of axis values are drawn as one mean, or as single curves if they are few.
    """
    if not axes:
        return np.arange(len(frame)), ""
    condition = frame.groupby(list(axes), dropna=False, observed=True, sort=False).ngroup().to_numpy()
    sizes = np.bincount(condition)
    curves = int(np.where(sizes < MIN_REPLICATES, sizes, 1).sum())
    if curves <= MAX_CURVES:
        return np.arange(len(frame)), ""
    shown = np.unique(np.linspace(0, len(sizes) - 1, MAX_CURVES * len(sizes) // curves).astype(int))
    what = "runs" if len(sizes) == len(frame) else "conditions"
    note = f" The figure shows {len(shown)} of {len(sizes)} {what}, chosen at regular intervals."
    return np.flatnonzero(np.isin(condition, shown)), note


def _draw_main(curves: pd.DataFrame, hue: str | None, col: str | None = None, row: str | None = None) -> Any:
    grid = draw_lag_curves(curves, hue=hue, col=col, row=row)
    if row is not None:  # drawn narrower, its text is larger on a narrow screen
        grid.figure.set_figwidth(NARROW_INCHES)
    for ax in grid.axes[:, 0]:
        ax.set_ylabel("log₁₀ gradient norm,\nrelative to lag 1")
    for ax in grid.axes.flat:
        ax.axhline(-2, color=NEUTRAL_COLOR, linestyle=":", linewidth=0.8, zorder=0)
    place = grid.axes.flat[-1].get_yaxis_transform()
    grid.axes.flat[-1].annotate("1 %", (1.01, -2), xycoords=place, va="center", fontsize="small")
    return grid


def _draw_heatmaps(maps: dict[str, pd.DataFrame]) -> np.ndarray:
    import matplotlib.pyplot as plt

    values = pd.concat([norms["log10_gmean"] for norms in maps.values()])
    values = values[np.isfinite(values)]
    limits = (float(values.min()), float(values.max()))
    across = min(len(maps), 2)
    down = -(-len(maps) // across)
    size = (4.9 * across, 3.6 * down)
    _, axes = plt.subplots(down, across, figsize=size, layout="constrained", squeeze=False)
    for ax in axes.flat[len(maps) :]:
        ax.remove()
    for ax, (name, norms) in zip(axes.flat, maps.items(), strict=False):
        draw_time_heatmap(norms, ax, norms["quantity"].iloc[0], limits=limits)
        ax.set_title(name, loc="left", fontsize="medium")
    return axes


def _has(runs: pd.DataFrame, column: str) -> bool:
    return column in runs and bool(runs[column].notna().any())
