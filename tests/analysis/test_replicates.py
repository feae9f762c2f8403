"""Every figure averages only replicates, runs that differ only in their seed, and gives no interval to fewer than three."""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection, QuadMesh
from matplotlib.figure import Figure

from rnnlab import analysis
from rnnlab.analysis.report.page import report_html
from tests.analysis.random_sweeps import ALLOWED, Allowed, Sweep, sweeps
from tests.analysis.synthetic_sweeps import write_sweep
from tests.fuzz.amount import examples

matplotlib.use("Agg")
DRAW = {name: getattr(analysis, name) for name in analysis.__all__ if name.startswith("draw_")}
CHANNELS = ("hue", "style", "col", "row")
CHOICES: dict[str, list[Any]] = {
    "step": ["first", "last", "ends"],
    "relative": [True, False],
    "traces": [True, False],
    "color": ["gain", "regime"],
    "run": ["mean", "r0"],
}
"""Values of the arguments that are not axes, by name; an argument that is not listed keeps its default."""
REFUSED = (
    "also differ in",
    "no run has a value",
    "no lag curve",
    "not recorded",
    "also sets the dash",
    "no such",
    "no h_by_unit",
)


def arguments_for(name: str, sweep: Sweep, data: st.DataObject) -> dict[str, Any]:
    """Draw the arguments of a figure, apart from its data frame."""
    axis = st.sampled_from([*sweep.axes, *(["seed"] if "seed" in sweep.runs else [])])
    given: dict[str, Any] = {}
    for argument in inspect.signature(DRAW[name]).parameters:
        if argument in ("x", "y"):
            given[argument] = data.draw(axis, argument)
        elif argument in CHANNELS:
            given[argument] = data.draw(st.sampled_from([None, None, *sweep.axes]), argument)
        elif argument in CHOICES:
            given[argument] = data.draw(st.sampled_from(CHOICES[argument]), argument)
    return given


def check_axes(ax: Axes, kind: str, allowed: Allowed, with_map: bool) -> None:
    """Check every line, interval and heat map of an Axes."""
    bands = [found for found in ax.collections if isinstance(found, PolyCollection)]
    bars = [found for found in ax.collections if isinstance(found, LineCollection)]
    assert all(found.get_gid() == "interval" for found in (*bands, *bars)), (
        "an interval without its identifier"
    )
    for band in bands:
        edges: dict[float, list[float]] = {}
        for x, y in band.get_paths()[0].vertices if band.get_paths() else []:
            edges.setdefault(float(x), []).append(float(y))
        drawn = {x: (min(ys), max(ys)) for x, ys in edges.items()}
        assert any(
            drawn.keys() <= limits.keys() and all(np.allclose(limits[x], drawn[x], atol=1e-9) for x in drawn)
            for limits in allowed.limits
        ), f"a band of no group of three replicates: {drawn}"
    pairs = np.array([pair for limits in allowed.limits for pair in limits.values()]).reshape(-1, 2)
    for bar in bars:
        for segment in bar.get_segments():
            ends = sorted(float(y) for _, y in segment)
            is_known = np.isclose(pairs, ends, rtol=1e-6, atol=1e-9).all(axis=1).any()
            assert not ends or is_known, f"an error bar of no group of three replicates: {ends}"
    for line in ax.lines:
        if line.get_transform() is not ax.transData or line.get_gid() == "interval":
            continue
        points = [(float(x), float(y)) for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)]
        points = [(x, y) for x, y in points if np.isfinite(y)]
        if kind == "runs":
            assert all(allowed.has_number(y) for _, y in points), f"{line.get_gid()}: pooled runs, {points}"
        else:
            assert any(
                all(x in curve and np.isclose(curve[x], y, atol=1e-9) for x, y in points)
                for curve in allowed.curves
            ), f"{line.get_gid()}: pooled runs, {points}"
    for mesh in ax.collections:
        if with_map and isinstance(mesh, QuadMesh):
            shown = np.ma.compressed(np.ma.masked_invalid(mesh.get_array()))
            assert all(allowed.has_number(value) for value in shown), "a heat map of pooled runs"


@pytest.mark.parametrize("name", sorted(DRAW))
@examples(5)
@given(sweep=sweeps(), data=st.data())
def test_only_replicates_are_averaged_and_three_make_an_interval(
    name: str, sweep: Sweep, data: st.DataObject
) -> None:
    """The smallest counterexample is not searched for, because drawing is slow."""
    kind = next(iter(inspect.signature(DRAW[name]).parameters))
    arguments = arguments_for(name, sweep, data)
    plt.close("all")  # figures that another test may have left
    try:
        DRAW[name](getattr(sweep, kind), **arguments)
        allowed = ALLOWED[kind](sweep)
        for number in plt.get_fignums():
            for ax in plt.figure(number).axes:
                if ax.get_label() != "<colorbar>":
                    check_axes(ax, kind, allowed, arguments.get("color") != "regime")
    except ValueError as error:
        assert any(text in str(error) for text in REFUSED), error
    finally:
        plt.close("all")


def test_every_public_figure_is_checked() -> None:
    names = {name for name in dir(analysis) if name.startswith("draw_")}
    assert names == set(DRAW) and len(DRAW) >= 8


SEEDS = ("0", "1", "2")
MAIN = 2
"""Number of drawings of the main figure: for wide and for narrow screens."""


def count_intervals(figure: Figure) -> int:
    """Return the number of bands and error bars of a figure, with or without the identifier of intervals."""
    artists = [artist for ax in figure.axes for artist in ax.collections if ax.get_label() != "<colorbar>"]
    bars = [artist for artist in artists if isinstance(artist, LineCollection)]
    segments = sum(len(segment) > 0 for bar in bars for segment in bar.get_segments())
    return segments + sum(isinstance(artist, PolyCollection) for artist in artists)


def intervals_of_a_report(folder: Path, *sweeps: Mapping[str, Sequence[str]]) -> list[int]:
    """Return the number of intervals in each figure of the report of runs with several cells and clip thresholds."""
    found: list[int] = []

    def inspect_figure(figure: Figure, *_: Any) -> Markup:
        found.append(count_intervals(figure))
        return Markup()

    for number, axes in enumerate(sweeps):
        every = {"cell": ("rnn", "lstm"), "clip": ("1", "null"), **axes}
        write_sweep(folder / str(number), every, length=6, steps=20, first=1000 * number)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rnnlab.analysis.report.figures.inline_svg", inspect_figure)
        report_html(folder)
    return found


@pytest.mark.parametrize("seeds", [1, 2])
def test_no_figure_of_a_report_has_an_interval_from_fewer_than_three_runs(seeds: int, tmp_path: Path) -> None:
    found = intervals_of_a_report(tmp_path, {"lr": ("0.1", "0.01"), "seed": SEEDS[:seeds]})
    assert len(found) >= 7 and not any(found)


def test_only_conditions_with_three_runs_have_intervals_in_a_report(tmp_path: Path) -> None:
    rates: Mapping[str, Sequence[str]] = {"lr": ("0.1", "0.01"), "seed": SEEDS}
    full = intervals_of_a_report(tmp_path / "full", rates)
    two_seeds: Mapping[str, Sequence[str]] = {"lr": ("0.001",), "seed": SEEDS[:2]}
    ragged = intervals_of_a_report(tmp_path / "ragged", rates, two_seeds)
    assert ragged[MAIN:] == full[MAIN:], "the main figure shows only the best learning rate"
    assert len(full) >= 7 and sum(map(bool, full)) >= 4
