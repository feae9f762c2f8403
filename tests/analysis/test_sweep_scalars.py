"""Figures of gain, horizon, solved share, clipping and phase diagrams show the numbers of their frame."""

import itertools
from collections.abc import Callable
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import seaborn as sns
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle

from rnnlab.analysis.figures.phase_diagram import MIXED, OTHER_COLORS, REGIME_COLORS, draw_phase_diagram
from rnnlab.analysis.figures.single_run import draw_time_heatmap
from rnnlab.analysis.figures.style import CELL_COLORS, figure_style
from rnnlab.analysis.figures.sweep_curves import draw_lag_curves, draw_losses
from rnnlab.analysis.figures.sweep_scalars import draw_clipping, draw_gain, draw_horizon, draw_solved
from tests.analysis.many_runs import NAN, gradients_frame, metrics_frame, runs_frame, typed
from tests.analysis.test_sweep_curves import interval, legend, notes, title

RUNS = runs_frame()
TAIL = "grad/log10_gain_tail"


def new_figure(**how: Any) -> Figure:
    figure = Figure(**({"layout": "constrained"} | how))
    FigureCanvasAgg(figure)  # without a canvas, drawing has no effect
    return figure


def means_of(ax: Axes, color: Any) -> dict[float, tuple[float, float, float]]:
    """Return the mean and the interval limits of one colour, by x."""
    found = {}
    for container in ax.containers:
        assert isinstance(container, ErrorbarContainer)
        line, _, (bars,) = container.lines
        if to_rgba(line.get_color()) == to_rgba(color):
            for x, y, bar in zip(line.get_xdata(), line.get_ydata(), bars.get_segments(), strict=True):
                found[float(x)] = (float(y), *(bar[:, 1] if len(bar) else (NAN, NAN)))
    return dict(sorted(found.items()))


def points_of(ax: Axes, marker: str | None = None) -> list[tuple[float, float]]:
    """Return the positions of the small points of runs, for one marker or all."""
    shape = None if marker is None else len(MarkerStyle(marker).get_path().vertices)
    return [
        tuple(map(float, offset))
        for found in ax.collections
        if isinstance(found, PathCollection) and shape in (None, len(found.get_paths()[0].vertices))
        for offset in found.get_offsets()
    ]


def ticks(ax: Axes) -> dict[str, float]:
    return {
        label.get_text(): float(at) for at, label in zip(ax.get_xticks(), ax.get_xticklabels(), strict=True)
    }


def mean_markers(ax: Axes) -> dict[str, list[float]]:
    """Return the x positions of the means, by marker."""
    found: dict[str, list[float]] = {}
    for container in ax.containers:
        found.setdefault(str(container.lines[0].get_marker()), []).extend(
            map(float, container.lines[0].get_xdata())
        )
    return found


@pytest.mark.parametrize(
    ("value", "name"),
    [(TAIL, "tail gain"), ("grad/log10_gain", "gain"), ("grad/log10_gain_short", "short gain")],
)
def test_gain_is_the_geometric_mean_with_its_interval(ax: Axes, value: str, name: str) -> None:
    assert draw_gain(RUNS, ax, value=value) is ax
    for cell in ("rnn", "lstm"):
        found = means_of(ax, CELL_COLORS[cell])
        assert len(found) == 2
        for (x, (mean, low, high)), seq_len in zip(found.items(), (10, 100), strict=True):
            logs = RUNS.loc[(RUNS["cell"] == cell) & (RUNS["seq_len"] == seq_len), value].tolist()
            assert 0.8 < x / seq_len < 1.25
            assert mean == pytest.approx(10 ** np.mean(logs))
            np.testing.assert_allclose((low, high), [10**limit for limit in interval(logs)])
    drawn = sorted(y for _, y in points_of(ax))
    np.testing.assert_allclose(drawn, sorted(10 ** RUNS[value]))
    assert ax.get_xscale() == "log" and ticks(ax) == {"10": 10, "100": 100}
    assert any(list(line.get_ydata()) == [1, 1] for line in ax.lines)
    assert legend(ax) == ["rnn", "lstm", f"{name} = 1"]
    assert title(ax).startswith(name.capitalize()) and ax.get_ylabel() == f"{name} per step"
    assert title(ax).endswith("geometric mean and 95 % interval of 6 runs (over clip, seed)")


def test_a_short_axis_is_linear(ax: Axes) -> None:
    draw_gain(RUNS.replace({"seq_len": {100: 20}}), ax, hue=None)
    assert ax.get_xscale() == "linear" and ticks(ax) == {"10": 10, "20": 20}
    assert set(means_of(ax, "0.25")) == {10, 20}, "one line alone is not moved aside"


def test_clipping_that_is_off_stands_at_the_right_and_no_line_leads_there(ax: Axes) -> None:
    frame = pd.concat([RUNS, RUNS[RUNS["clip"].notna()].assign(clip=1.0)])
    draw_gain(frame, ax, x="clip", hue=None)
    assert list(ticks(ax)) == ["0.1", "1", "off"]
    off = ticks(ax)["off"]
    assert off == pytest.approx(10) and ax.get_xscale() == "log"
    found = means_of(ax, "0.25")
    assert list(found) == [0.1, 1, off]
    assert found[off][0] == pytest.approx(10 ** RUNS.loc[RUNS["clip"].isna(), TAIL].mean())
    (joined,) = (line for line in ax.lines if line.get_gid() == "line")
    assert list(joined.get_xdata()) == [0.1, 1]


def test_null_of_another_axis_is_left_out(ax: Axes) -> None:
    frame = RUNS.assign(lr=RUNS["clip"])
    draw_gain(frame, ax, x="lr")
    assert list(ticks(ax)) == ["0.1"]
    assert len(points_of(ax)) == 12 and "12 of 24 runs have no lr" in title(ax)


def test_words_stand_side_by_side(ax: Axes) -> None:
    draw_gain(RUNS, ax, x="cell", hue="cell")
    assert ticks(ax) == {"rnn": 0, "lstm": 1}


def test_censored_horizons_are_triangles(ax: Axes) -> None:
    frame = RUNS.assign(**{"grad/censored": (RUNS["run"] == "r4").astype(float)})
    draw_horizon(frame, ax, x="clip", hue=None)
    censored = frame.loc[frame["run"] == "r4", "grad/horizon"].item()
    off = ticks(ax)["off"]
    assert points_of(ax, "^") == [(off, censored)]
    assert len(points_of(ax, "o")) == 23
    assert mean_markers(ax) == {"o": [0.1], "^": [off]}, "a mean with a censored run in it is at least that"
    assert legend(ax) == ["censored (lower bound)"]


def test_nothing_says_censored_where_nothing_is(ax: Axes) -> None:
    draw_horizon(RUNS, ax)
    assert points_of(ax, "^") == [] and len(points_of(ax, "o")) == 24 and legend(ax) == ["rnn", "lstm"]
    for x, (mean, low, high) in means_of(ax, CELL_COLORS["lstm"]).items():
        seq_len = 10 if x < 30 else 100
        values = RUNS.loc[(RUNS["cell"] == "lstm") & (RUNS["seq_len"] == seq_len), "grad/horizon"].tolist()
        assert mean == pytest.approx(np.mean(values))
        np.testing.assert_allclose((low, high), interval(values))


def test_without_the_censored_column_no_horizon_is_censored(ax: Axes) -> None:
    draw_horizon(RUNS.drop(columns="grad/censored"), ax)
    assert len(points_of(ax, "o")) == 24


def wilson(k: int, n: int) -> tuple[float, float]:
    z = 1.959963984540054
    middle, half = (k + z * z / 2) / (n + z * z), z / (n + z * z) * np.sqrt(k * (n - k) / n + z * z / 4)
    return middle - half, middle + half


def test_the_solved_share_with_wilson_intervals(ax: Axes) -> None:
    draw_solved(RUNS, ax)
    for cell in ("rnn", "lstm"):
        for x, (share, low, high) in means_of(ax, CELL_COLORS[cell]).items():
            seq_len = 10 if x < 30 else 100
            solved = RUNS.loc[(RUNS["cell"] == cell) & (RUNS["seq_len"] == seq_len), "val/solved"]
            assert share == pytest.approx(solved.mean())
            np.testing.assert_allclose((low, high), wilson(int(solved.sum()), 6), atol=1e-12)
    assert "Wilson" in title(ax) and "6 runs" in title(ax)


def test_who_diverged_has_not_solved_and_who_failed_is_left_out(ax: Axes) -> None:
    frame = RUNS[(RUNS["cell"] == "rnn") & (RUNS["seq_len"] == 10)].copy()  # six runs
    frame["val/solved"] = [1.0, 1.0, 1.0, NAN, NAN, NAN]
    frame["outcome"] = ["finished"] * 3 + ["diverged"] + ["failed"] * 2
    draw_solved(frame, ax)
    assert [round(share, 3) for share, _, _ in means_of(ax, CELL_COLORS["rnn"]).values()] == [0.75]
    assert "2 of 6 runs have no value" in title(ax)


def test_clip_rate_above_the_loss() -> None:
    figure = new_figure(layout="constrained")
    top, bottom = draw_clipping(RUNS, figure.subplots(2, sharex=True))
    for ax, column in ((top, "grad/clip_rate"), (bottom, "val/loss")):
        for cell in ("rnn", "lstm"):
            found = list(means_of(ax, CELL_COLORS[cell]).values())
            for (mean, low, high), off in zip(found, (False, True), strict=True):
                values = RUNS.loc[(RUNS["cell"] == cell) & (RUNS["clip"].isna() == off), column].tolist()
                assert mean == pytest.approx(np.mean(values))
                expected = interval(values) if np.ptp(values) else (values[0], values[0])
                np.testing.assert_allclose((low, high), expected, atol=1e-12)
    assert bottom.get_xlabel() == "clip" and list(ticks(bottom)) == ["0.1", "off"]
    assert "clipped" in top.get_ylabel() and bottom.get_ylabel() == "val/loss"
    assert "Clip rate" in title(top) and "val/loss" in title(bottom)
    assert not [line for line in bottom.lines if line.get_gid() == "diverged"]
    figure.canvas.draw()


def test_a_cross_where_runs_diverged() -> None:
    lost = RUNS["run"].isin(["r3", "r4"])  # both runs are rnn without clipping
    frame = RUNS.assign(outcome=np.where(lost, "diverged", "finished"))
    frame.loc[RUNS["run"] == "r4", "val/loss"] = NAN  # the other run has a loss from an earlier step
    _, bottom = draw_clipping(frame, new_figure().subplots(2))
    (crosses,) = (line for line in bottom.lines if line.get_gid() == "diverged")
    assert to_rgba(crosses.get_color()) == to_rgba(CELL_COLORS["rnn"])
    assert list(crosses.get_xdata()) == pytest.approx([max(means_of(bottom, CELL_COLORS["rnn"]))])
    high = bottom.transAxes.inverted().transform(bottom.transData.transform([(1, RUNS["val/loss"].max())]))[
        0, 1
    ]
    assert high < crosses.get_ydata()[0], "no loss is under a cross"
    kept = frame[(frame["cell"] == "rnn") & frame["clip"].isna() & ~lost]
    assert means_of(bottom, CELL_COLORS["rnn"]).popitem()[1][0] == pytest.approx(kept["val/loss"].mean())
    assert legend(bottom) == ["rnn", "lstm", "some runs diverged"]
    assert "2 of 24 runs have no value" in title(bottom)


def cells(ax: Axes) -> np.ndarray:
    (mesh,) = (found for found in ax.collections if isinstance(found, QuadMesh))
    return np.ma.filled(np.ma.asarray(mesh.get_array(), dtype=float), np.nan).reshape(
        len(ax.get_yticks()), -1
    )


def colors_of_cells(ax: Axes) -> list[list[tuple[float, ...]]]:
    ax.figure.canvas.draw()
    (mesh,) = (found for found in ax.collections if isinstance(found, QuadMesh))
    return [
        [tuple(color[:3]) for color in line] for line in mesh.get_facecolor().reshape(*cells(ax).shape, 4)
    ]


def phases() -> pd.DataFrame:
    """Return three runs per combination of lr 0.1 or 1 and clip 1 or off."""
    regimes = (
        ["vanishing"] * 3 + ["stable", "stable", "exploding"] + ["vanishing", "stable", None] + [None] * 3
    )
    outcomes = ["finished"] * 5 + ["unstable"] + ["finished", "finished", "diverged"] + ["diverged"] * 3
    frame = pd.DataFrame(
        {
            "run": [f"r{i}" for i in range(12)],
            "cell": "rnn",
            "lr": [0.1] * 6 + [1.0] * 6,
            "clip": ([1.0] * 3 + [NAN] * 3) * 2,
            "seed": [0, 1, 2] * 4,
            "regime": regimes,
            TAIL: [-0.1, -0.2, -0.3, 0.0, 0.1, 0.2, -0.1, 0.01, NAN, NAN, NAN, NAN],
            "outcome": outcomes,
        }
    )
    return typed(frame.assign(seq_len=10))


def test_the_phase_diagram_of_regimes(ax: Axes) -> None:
    assert draw_phase_diagram(phases(), ax) is ax
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0.1", "1"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["1", "off"]
    assert ax.get_ylim()[0] < ax.get_ylim()[1], "upwards"
    colors = REGIME_COLORS | OTHER_COLORS
    expected = [["vanishing", MIXED], ["stable", "no value"]]
    np.testing.assert_allclose(
        colors_of_cells(ax), [[to_rgb(colors[word]) for word in line] for line in expected]
    )
    marks = {tuple(text.get_position()): text.get_text() for text in ax.texts}
    assert marks == {(0.5, 1.5): "~ 1/3", (1.5, 0.5): "× 1/3", (1.5, 1.5): "× 3/3"}
    assert legend(ax) == [
        "vanishing",
        "stable",
        MIXED,
        "no value",
        "diverged runs",
        "unstable runs",
    ]
    assert "runs per cell: 3 (over seed)" in title(ax)


def test_the_phase_diagram_of_gain(ax: Axes) -> None:
    draw_phase_diagram(phases(), ax, color="gain")
    np.testing.assert_allclose(cells(ax), [[-0.2, -0.045], [0.1, NAN]])
    (mesh,) = (found for found in ax.collections if isinstance(found, QuadMesh))
    assert mesh.get_clim() == pytest.approx((-0.2, 0.2)), "gain 1 is the middle of the scale"
    (bar,) = (other for other in ax.figure.axes if other is not ax)
    assert bar.get_ylabel() == "log₁₀ tail gain per step"
    assert "geometric mean" in title(ax) and "no value" in legend(ax)


def test_a_grid_of_phase_diagrams_has_one_scale() -> None:
    frame = pd.concat([phases(), phases().assign(cell="lstm", **{TAIL: 0.4})], ignore_index=True)
    grid = draw_phase_diagram(frame, col="cell", color="gain")
    assert isinstance(grid, sns.FacetGrid)
    first, second = (ax for ax in grid.axes.flat)
    limits = [
        mesh.get_clim() for ax in (first, second) for mesh in ax.collections if isinstance(mesh, QuadMesh)
    ]
    assert limits == [pytest.approx((-0.4, 0.4))] * 2
    np.testing.assert_allclose(cells(second), 0.4)
    grid.figure.canvas.draw()


def cell_colors(frame: pd.DataFrame, only: str | None = None) -> list[set[Any]]:
    """Return the legend's cells and their colours for each figure, for all cells or one cell."""
    gradients, metrics = gradients_frame(frame), metrics_frame(frame)
    if only is not None:
        frame, gradients, metrics = (part[part["cell"] == only] for part in (frame, gradients, metrics))
    axes = [
        draw_gain(frame, new_figure().subplots()),
        draw_horizon(frame, new_figure().subplots()),
        draw_solved(frame, new_figure().subplots()),
        draw_clipping(frame, new_figure().subplots(2))[1],
        draw_lag_curves(gradients, new_figure().subplots()),
        draw_losses(metrics, new_figure().subplots()),
    ]
    names = set(frame["cell"])
    return [
        {
            (word, to_rgba(line.get_color()))
            for word, line in zip(legend(ax), ax.get_legend().get_lines(), strict=True)
            if word in names
        }
        for ax in axes
    ]


def test_a_cell_has_one_colour_in_all_figures_and_all_sweeps() -> None:
    palette = sns.color_palette("colorblind")
    known = {(cell, to_rgba(palette[i])) for i, cell in enumerate(("rnn", "lstm", "gru"))}
    assert cell_colors(runs_frame(cells=("gru", "rnn", "lstm"), seeds=1)) == [known] * 6
    more = runs_frame(cells=("mine", "lstm", "another"), seeds=1)
    expected = {
        ("lstm", to_rgba(palette[1])),
        ("another", to_rgba(palette[3])),
        ("mine", to_rgba(palette[4])),
    }
    assert cell_colors(more) == [expected] * 6
    of_mine = expected - {("lstm", to_rgba(palette[1])), ("another", to_rgba(palette[3]))}
    assert cell_colors(more, "mine") == [of_mine] * 6


FIGURES: dict[str, Callable[..., Any]] = {
    "gain": draw_gain,
    "horizon": draw_horizon,
    "solved": draw_solved,
    "phase": lambda frame, ax, **more: draw_phase_diagram(frame, ax, **({"x": "seq_len"} | more)),
    "phase of gain": lambda frame, ax, **more: draw_phase_diagram(
        frame, ax, **({"x": "seq_len", "color": "gain"} | more)
    ),
    "clipping": lambda frame, ax, **more: draw_clipping(frame, [ax, ax.figure.add_subplot()], **more),
    "lag curves": lambda frame, ax, **more: draw_lag_curves(gradients_frame(frame), ax, **more),
    "losses": lambda frame, ax, **more: draw_losses(metrics_frame(frame), ax, **more),
}


@pytest.mark.parametrize("name", ["gain", "horizon", "solved", "phase", "phase of gain"])
def test_what_is_not_there_is_named(ax: Axes, name: str) -> None:
    with pytest.raises(ValueError, match=r"x='depth': no such column; available: run, outcome, cell"):
        FIGURES[name](RUNS, ax, x="depth")
    with pytest.raises(ValueError, match=r"row='depth': no such column"):
        FIGURES[name](RUNS, ax, row="depth")
    with pytest.raises(ValueError, match="no rows"):
        FIGURES[name](RUNS[:0], ax)
    with pytest.raises(ValueError, match="ax: cannot be combined"):
        FIGURES[name](RUNS, ax, col="cell")


def lost(ax: Axes) -> list[tuple[float, float]]:
    """Return the positions of runs whose gain is 0."""
    return [
        (float(x), float(y))
        for line in ax.lines
        if line.get_gid() == "zero"
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    ]


def with_zeros(share: float = 1.0) -> pd.DataFrame:
    """Return 24 runs, of which two (rnn at length 10) have a gain of 0."""
    zero = RUNS["run"].isin(["r0", "r1"])
    logs = {
        f"grad/log10_gain{end}": RUNS[f"grad/log10_gain{end}"].mask(zero) for end in ("", "_short", "_tail")
    }
    gains = {name.replace("log10_", ""): (10**values).mask(zero, 0.0) for name, values in logs.items()}
    shares = pd.Series(np.where(zero, share, 0.0), index=RUNS.index)
    return RUNS.assign(**logs, **gains, **{"grad/zero_fraction": shares, "grad/zero_at_horizon": shares})


@pytest.mark.parametrize(("value", "name"), [(TAIL, "tail gain"), ("grad/gain", "gain")])
def test_a_gain_of_0_stands_at_the_lower_end_and_in_the_title(ax: Axes, value: str, name: str) -> None:
    draw_gain(with_zeros(), ax, value=value)
    assert [y for _, y in lost(ax)] == [0.0, 0.0] and all(8 < x < 12 for x, _ in lost(ax))
    assert len(points_of(ax)) == 22 and f"{name} = 0" in legend(ax)
    caption = " ".join(title(ax).split())
    assert f"; {name} = 0 in 2 of 24 runs" in caption and "no value" not in caption
    assert "excludes examples with zero gradient (up to 100% of the examples in 2 of 24 runs)" in caption
    kept = RUNS[(RUNS["cell"] == "rnn") & (RUNS["seq_len"] == 10) & ~RUNS["run"].isin(["r0", "r1"])]
    mean = 10 ** kept[TAIL if value == TAIL else "grad/log10_gain"].mean()
    assert next(iter(means_of(ax, CELL_COLORS["rnn"]).values()))[0] == pytest.approx(mean)
    ax.figure.canvas.draw()


def test_gains_of_0_alone_are_a_figure_too(ax: Axes) -> None:
    none = {"grad/log10_gain_tail": NAN, "grad/gain_tail": 0.0}
    draw_gain(RUNS.assign(**none), ax)
    assert len(lost(ax)) == 24 and "nothing to show" not in notes(ax)
    grid = draw_gain(RUNS.assign(**none), col="cell")
    assert [len(lost(ax)) for ax in grid.axes.flat] == [12, 12]
    ax.figure.canvas.draw()


def test_the_share_of_zeros_stands_in_every_title(ax: Axes) -> None:
    note = "up to 69% of the examples in 2 of 24 runs"
    draw_horizon(with_zeros(0.69), ax)
    assert note in " ".join(title(ax).split())
    for color in ("regime", "gain"):
        other = new_figure().subplots()
        draw_phase_diagram(with_zeros(0.69), other, x="seq_len", y="clip", color=color)
        assert note in " ".join(title(other).split())
    draw_horizon(with_zeros(0.0), plain := new_figure().subplots())
    assert "zero gradient" not in title(plain)
    curves = gradients_frame(RUNS).assign(zero_fraction=0.0)
    curves.loc[curves["run"].isin(["r0", "r1"]), "zero_fraction"] = 0.69
    draw_lag_curves(curves, lag_ax := new_figure().subplots())
    assert note in " ".join(title(lag_ax).split())


def test_cells_of_a_gain_of_0_are_marked_and_of_the_lowest_colour(ax: Axes) -> None:
    frame = with_zeros()[lambda runs: runs["seq_len"] == 10]
    draw_phase_diagram(frame, ax, x="cell", y="clip", color="gain")
    assert [text.get_text() for text in ax.texts] == ["0 2/3"]
    gone = frame.assign(**{TAIL: frame[TAIL].mask((frame["cell"] == "rnn") & (frame["clip"] == 0.1))})
    gone["grad/gain_tail"] = gone["grad/gain_tail"].mask((gone["cell"] == "rnn") & (gone["clip"] == 0.1), 0.0)
    draw_phase_diagram(gone, other := new_figure().subplots(), x="cell", y="clip", color="gain")
    (mesh,) = (found for found in other.collections if isinstance(found, QuadMesh))
    other.figure.canvas.draw()
    lowest = matplotlib.colormaps["vlag"](0.0)
    assert sum(np.allclose(color, lowest) for color in mesh.get_facecolors()) >= 1
    assert "tail gain = 0, excluded from the mean" in legend(other)


def test_other_bad_arguments_are_named(ax: Axes) -> None:
    with pytest.raises(ValueError, match=r"value='cell': has type .*; must contain numbers"):
        draw_gain(RUNS, ax, value="cell")
    with pytest.raises(ValueError, match="color='loss': must be"):
        draw_phase_diagram(RUNS, ax, color="loss")
    with pytest.raises(
        ValueError, match="axes: must contain two Axes, one for the clip rate and one for the loss, not 1"
    ):
        draw_clipping(RUNS, [ax])
    with pytest.raises(ValueError, match="column 'val/solved': required by the figure, but not in the frame"):
        draw_solved(RUNS.drop(columns="val/solved"), ax)


@pytest.mark.parametrize("name", ["gain", "horizon", "solved", "clipping"])
def test_without_a_value_there_is_a_note(ax: Axes, name: str) -> None:
    numbers = [column for column in RUNS if "/" in column]
    FIGURES[name](RUNS.assign(**dict.fromkeys(numbers, NAN)), ax)
    assert "nothing to show" in notes(ax)
    ax.figure.canvas.draw()


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("frame", [RUNS[:1], RUNS[RUNS["seed"] == 0]], ids=["one run", "one seed"])
def test_one_run_or_one_seed_is_enough(ax: Axes, name: str, frame: pd.DataFrame) -> None:
    FIGURES[name](frame, ax)
    ax.figure.canvas.draw()
    assert ax.lines or ax.collections


@pytest.mark.parametrize("name", ["gain", "solved", "horizon", "lag curves", "losses"])
def test_grids_hold_every_run_once(name: str) -> None:
    grid = FIGURES[name](RUNS, None, col="seed", row="clip")
    assert isinstance(grid, sns.FacetGrid) and grid.axes.shape == (2, 3)
    assert all(ax.lines for ax in grid.axes.flat)
    if name in ("gain", "horizon"):
        assert sum(len(points_of(ax)) for ax in grid.axes.flat) == len(RUNS)
    assert [title(ax) for ax in grid.axes[1]] == [f"seed {seed}, clip off" for seed in range(3)]
    plt.close(grid.figure)


def test_a_long_row_of_a_grid_is_broken_and_labelled_at_its_edges() -> None:
    grid = draw_gain(runs_frame(seq_lens=(10, 20, 30, 40)), x="clip", col="seq_len")
    assert [title(ax) for ax in grid.axes.flat] == [f"seq_len {n}" for n in (10, 20, 30, 40)]
    assert [ax.get_xlabel() for ax in grid.axes.flat] == ["", "clip", "clip", "clip"]
    assert [ax.get_ylabel() != "" for ax in grid.axes.flat] == [True, False, False, True]
    plt.close(grid.figure)


def test_a_part_of_a_grid_without_runs_says_so() -> None:
    frame = RUNS[(RUNS["seq_len"] == 10) | (RUNS["cell"] == "rnn")]
    grid = draw_gain(frame, x="clip", col="cell", row="seq_len")
    assert [bool(notes(ax)) for ax in grid.axes.flat] == [False, False, False, True]
    plt.close(grid.figure)


@pytest.mark.parametrize("columns", [3, 20])
def test_a_phase_diagram_names_all_columns_that_fit(columns: int) -> None:
    frame = pd.concat([phases().assign(lr=0.001 * (i + 1)) for i in range(columns)], ignore_index=True)
    ax = new_figure(figsize=(3.5, 3)).subplots()
    draw_phase_diagram(frame, ax)
    named = [label.get_text() for label in ax.get_xticklabels()]
    assert len(named) == 3 if columns == 3 else 3 < len(named) < 20 and named[-1] == "0.02"
    shares = [text.get_text() for text in ax.texts]
    assert all("/" in text for text in shares) == (columns == 3), "where there is no room, the marks alone"


@pytest.mark.parametrize("name", [name for name in FIGURES if name != "clipping"])
@pytest.mark.parametrize("width", [3.5, 7.0])
def test_legends_titles_and_labels_leave_the_data_free(name: str, width: float) -> None:
    small = {"font.size": 8, "axes.labelsize": 8, "xtick.labelsize": 8, "legend.fontsize": 8}
    with matplotlib.rc_context(figure_style() | (small if width < 4 else {})):
        figure = new_figure(figsize=(width, 0.8 * width), layout="constrained")
        ax = figure.subplots()
        FIGURES[name](RUNS.assign(regime="stable"), ax)
        figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    ticklabels = [label.get_window_extent(renderer) for label in ax.get_xticklabels() if label.get_text()]
    inside = [box for box in ticklabels if ax.bbox.x0 - 5 <= (box.x0 + box.x1) / 2 <= ax.bbox.x1 + 5]
    assert not any(one.overlaps(other) for one, other in itertools.pairwise(inside))
    parts = [ax.bbox, ax.xaxis.label.get_window_extent(renderer)]
    head = ax.title if ax.title.get_text() else ax._left_title
    parts.append(head.get_window_extent(renderer))
    if (found := ax.get_legend()) is not None:
        parts.append(found.get_window_extent(renderer))
        beside = parts[-1].x0 >= ax.bbox.x1
        assert beside == (width == 7), "below a narrow Axes, which it would make narrower"
    for place, one in enumerate(parts):
        assert figure.bbox.x0 - 1 <= one.x0 and one.x1 <= figure.bbox.x1 + 1
        assert figure.bbox.y0 - 1 <= one.y0 and one.y1 <= figure.bbox.y1 + 1
        assert not any(one.padded(-1).overlaps(other) for other in parts[:place])


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_global_is_left_and_the_frame_is_as_it_was(ax: Axes, name: str) -> None:
    before, settings_before, figures_before = (
        RUNS.copy(deep=True),
        dict(matplotlib.rcParams),
        plt.get_fignums(),
    )
    FIGURES[name](RUNS, ax)
    pd.testing.assert_frame_equal(RUNS, before)
    assert dict(matplotlib.rcParams) == settings_before and plt.get_fignums() == figures_before


def test_without_an_axes_there_is_a_figure_that_a_notebook_shows() -> None:
    plt.close("all")
    settings_before = dict(matplotlib.rcParams)
    drawn = draw_gain(RUNS)
    assert plt.get_fignums() == [drawn.figure.number]
    assert drawn.spines["top"].get_visible() is False
    texts = [drawn._left_title, *drawn.get_legend().get_texts(), *drawn.get_xticklabels(), drawn.yaxis.label]
    smallest = min(text.get_fontsize() for text in texts)
    assert smallest * 3.5 / drawn.figure.get_figwidth() >= 7, "points, shown in one column"
    top, bottom = draw_clipping(RUNS)
    assert top.figure is bottom.figure and len(plt.get_fignums()) == 2
    assert dict(matplotlib.rcParams) == settings_before
    plt.close("all")


def test_the_heat_map_of_many_runs_needs_a_choice(ax: Axes) -> None:
    frame = gradients_frame(RUNS[:3])
    with pytest.raises(ValueError, match=r"run=None: .* 3 runs; choose one; available: mean, r0, r1, r2"):
        draw_time_heatmap(frame, ax)
    with pytest.raises(ValueError, match=r"run='r9': no such run; available: mean, r0, r1, r2"):
        draw_time_heatmap(frame, ax, run="r9")
    with pytest.raises(ValueError, match=r"quantity='z': not recorded per time step; available: h"):
        draw_time_heatmap(frame, ax, "z", "r0")
    tables = [
        frame[(frame["run"] == run) & frame["timestep"].notna()].pivot(
            index="step", columns="timestep", values="log10_gmean"
        )
        for run in ("r0", "r1", "r2")
    ]
    draw_time_heatmap(frame, ax, run="r1")
    np.testing.assert_allclose(cells_of(ax), tables[1])
    assert title(ax).endswith("run r1") or ax.get_title().endswith("run r1")
    mean = new_figure().subplots()
    draw_time_heatmap(frame, mean, run="mean")
    np.testing.assert_allclose(cells_of(mean), np.mean(tables, axis=0))
    assert mean.get_title().endswith("mean of 3 runs")


def cells_of(ax: Axes) -> np.ndarray:
    (mesh,) = (found for found in ax.collections if isinstance(found, QuadMesh))
    return np.ma.filled(mesh.get_array().astype(float), np.nan)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_missing_values_raise_nothing_but_value_errors(data: st.DataObject) -> None:
    frame = runs_frame(cells=("rnn", "new"), seq_lens=(10, 100), clips=(0.1, 1.0, NAN), seeds=2)
    for column in data.draw(st.sets(st.sampled_from([name for name in frame if name != "run"]))):
        holes = data.draw(st.sets(st.integers(0, len(frame) - 1)))
        frame.loc[sorted(holes), column] = None
    if data.draw(st.booleans()):
        value = st.floats(-1e300, 1e300) | st.sampled_from([np.inf, -np.inf, 0.0])
        frame.loc[0, data.draw(st.sampled_from([TAIL, "val/loss", "grad/horizon"]))] = data.draw(value)
    axis = st.sampled_from(["cell", "seq_len", "clip", "seed", "regime"])
    name = data.draw(st.sampled_from(sorted(FIGURES)))
    more = {"x": data.draw(axis)} if name not in ("lag curves", "losses") else {}
    if name in ("lag curves", "losses"):
        axis = st.sampled_from(["cell", "seq_len", "clip", "seed"])
    if not name.startswith("phase"):
        more["hue"] = data.draw(st.none() | axis)
    figure = new_figure()
    try:
        FIGURES[name](frame, figure.subplots(), **more)
        figure.canvas.draw()
    except ValueError as error:
        assert "no rows" in str(error) or "no lag curve" in str(error), error


def test_a_task_without_a_criterion_is_not_one_that_nobody_solved(ax: Axes) -> None:
    tasks = [
        RUNS.assign(task="latch"),
        RUNS.assign(task="char_lm", **{"val/solved": NAN}, outcome="diverged"),
    ]
    draw_solved(pd.concat(tasks), ax, x="task", hue=None)
    assert list(means_of(ax, "0.25")) == [ticks(ax)["latch"]]


def test_the_title_names_any_axis_that_is_averaged(ax: Axes) -> None:
    frame = pd.concat([RUNS.assign(loss_reduction=how) for how in ("mean", "sum")])
    axes = ["cell", "seq_len", "clip", "seed", "loss_reduction"]
    others = [name for name in frame if name not in (*axes, "outcome")]
    ordered = frame.assign(metric="val/bpc", outcome="finished")[["outcome", *axes, "metric", *others]]
    draw_gain(ordered, ax, x="seq_len")
    assert "(over clip, seed, loss_reduction)" in title(ax)
