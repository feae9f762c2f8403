"""Properties of every figure of many runs: colours, legends, titles, grids, missing values, arguments."""

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
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba

from rnnlab.analysis.figures.phase_diagram import draw_phase_diagram
from rnnlab.analysis.figures.style import CELL_COLORS, figure_style
from rnnlab.analysis.figures.sweep_curves import draw_lag_curves, draw_losses
from rnnlab.analysis.figures.sweep_scalars import draw_clipping, draw_gain, draw_horizon, draw_solved
from tests.analysis.drawn import (
    legend,
    mean_markers,
    means_of,
    new_figure,
    notes,
    points_of,
    title,
)
from tests.analysis.many_runs import (
    NAN,
    gradients_frame,
    groups_of,
    metrics_frame,
    runs_frame,
    with_zeros,
)
from tests.thorough import thorough

RUNS = runs_frame()
TAIL = "grad/log10_gain_tail"


FIGURES: dict[str, Callable[..., Any]] = {
    "gain": draw_gain,
    "horizon": draw_horizon,
    "solved": draw_solved,
    "phase": lambda frame, ax, **more: draw_phase_diagram(
        frame[frame["cell"] == "rnn"], ax, **({"x": "seq_len"} | more)
    ),
    "phase of gain": lambda frame, ax, **more: draw_phase_diagram(
        frame[frame["cell"] == "rnn"], ax, **({"x": "seq_len", "color": "gain"} | more)
    ),
    "clipping": lambda frame, ax, **more: draw_clipping(frame, [ax, ax.figure.add_subplot()], **more),
    "lag curves": lambda frame, ax, **more: draw_lag_curves(gradients_frame(frame), ax, **more),
    "losses": lambda frame, ax, **more: draw_losses(metrics_frame(frame), ax, **more),
}


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


@pytest.mark.parametrize("name", ["gain", "horizon", "solved", "phase", "phase of gain"])
def test_missing_items_are_named(ax: Axes, name: str) -> None:
    with pytest.raises(ValueError, match=r"x='depth': no such column; available: run, outcome, cell"):
        FIGURES[name](RUNS, ax, x="depth")
    with pytest.raises(ValueError, match=r"row='depth': no such column"):
        FIGURES[name](RUNS, ax, row="depth")
    with pytest.raises(ValueError, match="no rows"):
        FIGURES[name](RUNS[:0], ax)
    with pytest.raises(ValueError, match="ax: cannot be combined"):
        FIGURES[name](RUNS, ax, col="cell")


def test_every_title_states_the_share_of_zeros(ax: Axes) -> None:
    note = "up to 69% of the examples in 2 of 24 runs"
    draw_horizon(with_zeros(0.69), ax)
    assert note in " ".join(title(ax).split())
    for color in ("regime", "gain"):
        other = new_figure().subplots()
        one_cell = with_zeros(0.69)[lambda runs: runs["cell"] == "rnn"]
        draw_phase_diagram(one_cell, other, x="seq_len", y="clip", color=color)
        assert note.replace("of 24", "of 12") in " ".join(title(other).split())
    draw_horizon(with_zeros(0.0), plain := new_figure().subplots())
    assert "zero gradient" not in title(plain)
    assert title(plain).endswith("3 runs that differ in seed")
    curves = gradients_frame(RUNS).assign(zero_fraction=0.0)
    curves.loc[curves["run"].isin(["r0", "r1"]), "zero_fraction"] = 0.69
    draw_lag_curves(curves, lag_ax := new_figure().subplots())
    assert note in " ".join(title(lag_ax).split())


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
def test_a_missing_value_is_noted(ax: Axes, name: str) -> None:
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


@pytest.mark.parametrize("name", FIGURES)
def test_no_global_state_and_no_frame_is_changed(ax: Axes, name: str) -> None:
    before, settings_before, figures_before = (
        RUNS.copy(deep=True),
        dict(matplotlib.rcParams),
        plt.get_fignums(),
    )
    FIGURES[name](RUNS, ax)
    pd.testing.assert_frame_equal(RUNS, before)
    assert dict(matplotlib.rcParams) == settings_before and plt.get_fignums() == figures_before


@pytest.mark.parametrize("name", [name for name in FIGURES if name != "clipping"])
@pytest.mark.parametrize("width", [3.5, thorough(7.0)])
def test_legends_titles_and_labels_do_not_cover_data(name: str, width: float) -> None:
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


@settings(max_examples=10, deadline=None)
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
        known = ("no rows", "no lag curve", "also differ in", "no run has a value")
        assert any(text in str(error) for text in known), error


def test_without_an_axes_argument_a_notebook_shows_the_figure() -> None:
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


@pytest.mark.parametrize("name", ["gain", "horizon", "clipping", "solved"])
def test_fewer_than_three_replicates_have_no_interval(name: str) -> None:
    ax = new_figure().subplots()
    FIGURES[name](RUNS[RUNS["seed"] < 2], ax)
    for drawn in ax.figure.axes:
        assert not [found for found in drawn.collections if isinstance(found, LineCollection)]
        if name != "solved":
            assert mean_markers(drawn) == {} and len(points_of(drawn)) == 16
            assert "single runs" in title(drawn) and "interval" not in title(drawn)
    if name == "solved":
        means = [y for cell in ("rnn", "lstm") for _, y in means_of(ax, CELL_COLORS[cell])]
        pairs = groups_of(RUNS[RUNS["seed"] < 2], "val/solved", "cell", "seq_len", "clip").values()
        assert sorted(means) == sorted(map(np.mean, pairs))
        assert title(ax) == "Solved tasks fraction without interval"
