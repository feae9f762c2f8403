"""Gain, horizon, solved fraction and clipping of many runs: points, and means and intervals over replicates."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgba

from rnnlab.analysis.figures.style import CELL_COLORS
from rnnlab.analysis.figures.sweep_scalars import draw_clipping, draw_gain, draw_horizon, draw_solved
from tests.analysis.drawn import (
    assert_means,
    interval,
    intervals_of,
    legend,
    lost,
    mean_markers,
    means_of,
    new_figure,
    notes,
    points_of,
    ticks,
    title,
)
from tests.analysis.many_runs import NAN, groups_of, runs_frame, sweep_layout, with_zeros

RUNS = runs_frame()
TAIL = "grad/log10_gain_tail"


@pytest.mark.parametrize(
    ("value", "name"),
    [(TAIL, "tail gain"), ("grad/log10_gain", "gain"), ("grad/log10_gain_short", "short gain")],
)
def test_gain_is_the_geometric_mean_of_replicates_with_its_interval(ax: Axes, value: str, name: str) -> None:
    assert draw_gain(RUNS, ax, value=value) is ax
    for cell in ("rnn", "lstm"):
        groups = groups_of(RUNS[RUNS["cell"] == cell], value, "seq_len", "clip")
        assert [len(logs) for logs in groups.values()] == [3] * 4
        expected = [
            (float(seq_len), 10 ** np.mean(logs), tuple(10**limit for limit in interval(logs)))
            for (seq_len, _), logs in groups.items()
        ]
        assert_means(ax, CELL_COLORS[cell], expected)
    drawn = sorted(y for _, y in points_of(ax))
    np.testing.assert_allclose(drawn, sorted(10 ** RUNS[value]))
    assert ax.get_xscale() == "log" and ticks(ax) == {"10": 10, "100": 100}
    assert any(list(line.get_ydata()) == [1, 1] for line in ax.lines)
    assert legend(ax) == ["rnn", "lstm", "clip 0.1", "clip off", f"{name} = 1"]
    assert title(ax).startswith(name.capitalize()) and ax.get_ylabel() == f"{name} per step"
    assert title(ax).endswith("geometric mean and 95 % interval of 3 runs that differ in seed")


def test_means_where_there_are_three_replicates_and_single_runs_elsewhere(ax: Axes) -> None:
    frame = RUNS[(RUNS["seq_len"] == 10) | (RUNS["seed"] < 2)]
    draw_horizon(frame, ax)
    assert len(points_of(ax)) == 20
    for cell in ("rnn", "lstm"):
        part = frame[(frame["cell"] == cell) & (frame["seq_len"] == 10)]
        groups = groups_of(part, "grad/horizon", "clip").values()
        expected = [(10.0, float(np.mean(values)), interval(values)) for values in groups]
        assert_means(ax, CELL_COLORS[cell], expected)
    assert "of 3 runs that differ in seed; single runs where fewer than 3" in title(ax)
    sizes = {float(found.get_sizes()[0]) for found in ax.collections if isinstance(found, PathCollection)}
    assert len(sizes) == 2, "single runs without a mean are larger"


def test_a_short_axis_is_linear(ax: Axes) -> None:
    draw_gain(RUNS[RUNS["clip"].notna()].replace({"seq_len": {100: 20}}), ax, hue=None, style=None)
    assert ax.get_xscale() == "linear" and ticks(ax) == {"10": 10, "20": 20}
    one_cell = RUNS[(RUNS["cell"] == "rnn") & RUNS["clip"].notna()].replace({"seq_len": {100: 20}})
    draw_gain(one_cell, other := new_figure().subplots(), hue=None)
    assert {x for x, _ in means_of(other, "0.25")} == {10, 20}, "the only line is not moved aside"


def test_runs_without_clipping_are_drawn_at_the_right_without_a_line(ax: Axes) -> None:
    one = RUNS[(RUNS["cell"] == "rnn") & (RUNS["seq_len"] == 10)]
    frame = pd.concat([one, one[one["clip"].notna()].assign(clip=1.0)])
    draw_gain(frame, ax, x="clip", hue=None)
    assert list(ticks(ax)) == ["0.1", "1", "off"]
    off = ticks(ax)["off"]
    assert off == pytest.approx(10) and ax.get_xscale() == "log"
    found = means_of(ax, "0.25")
    assert [x for x, _ in found] == [0.1, 1, off]
    assert found[-1][1] == pytest.approx(10 ** one.loc[one["clip"].isna(), TAIL].mean())
    (joined,) = (line for line in ax.lines if line.get_gid() == "line")
    assert list(joined.get_xdata()) == [0.1, 1]


def test_null_of_another_axis_is_omitted(ax: Axes) -> None:
    frame = RUNS.assign(lr=RUNS["clip"])
    draw_gain(frame, ax, x="lr")
    assert list(ticks(ax)) == ["0.1"]
    assert len(points_of(ax)) == 12 and "12 of 24 runs have no lr" in title(ax)


def test_words_are_aligned(ax: Axes) -> None:
    draw_gain(RUNS, ax, x="cell", hue="cell")
    assert ticks(ax) == {"rnn": 0, "lstm": 1}


def test_censored_horizons_are_triangles(ax: Axes) -> None:
    one = RUNS[(RUNS["cell"] == "rnn") & (RUNS["seq_len"] == 10)]
    frame = one.assign(**{"grad/censored": (one["run"] == "r4").astype(float)})
    draw_horizon(frame, ax, x="clip", hue=None)
    censored = frame.loc[frame["run"] == "r4", "grad/horizon"].item()
    off = ticks(ax)["off"]
    assert points_of(ax, "^") == [(off, censored)]
    assert len(points_of(ax, "o")) == 5
    assert mean_markers(ax) == {"o": [0.1], "^": [off]}, (
        "a mean that includes a censored run is a lower bound"
    )
    assert legend(ax) == ["censored (lower bound)"]


def test_no_legend_entry_for_censored_runs_where_none_is(ax: Axes) -> None:
    one_clip = RUNS[RUNS["clip"].notna()]
    draw_horizon(one_clip, ax)
    assert points_of(ax, "^") == [] and len(points_of(ax, "o")) == 12 and legend(ax) == ["rnn", "lstm"]
    groups = groups_of(one_clip[one_clip["cell"] == "lstm"], "grad/horizon", "seq_len")
    expected = [(float(length), float(np.mean(v)), interval(v)) for (length,), v in groups.items()]
    assert_means(ax, CELL_COLORS["lstm"], expected)


def test_the_style_axis_has_markers_of_its_own(ax: Axes) -> None:
    draw_horizon(RUNS, ax)
    assert len(points_of(ax, "o")) == len(points_of(ax, "s")) == 12
    off = RUNS[RUNS["clip"].isna()]
    assert sorted(y for _, y in points_of(ax, "s")) == sorted(off["grad/horizon"])
    assert legend(ax) == ["rnn", "lstm", "clip 0.1", "clip off"]


def test_without_the_censored_column_no_horizon_is_censored(ax: Axes) -> None:
    draw_horizon(RUNS[RUNS["clip"].notna()].drop(columns="grad/censored"), ax)
    assert len(points_of(ax, "o")) == 12


def wilson(k: int, n: int) -> tuple[float, float]:
    z = 1.959963984540054
    middle, half = (k + z * z / 2) / (n + z * z), z / (n + z * z) * np.sqrt(k * (n - k) / n + z * z / 4)
    return middle - half, middle + half


def test_the_solved_fraction_with_wilson_intervals(ax: Axes) -> None:
    frame = runs_frame(clips=(0.1,), seeds=6)
    draw_solved(frame, ax)
    for cell in ("rnn", "lstm"):
        groups = groups_of(frame[frame["cell"] == cell], "val/solved", "seq_len")
        assert [len(solved) for solved in groups.values()] == [6, 6]
        shares = sorted(float(np.mean(solved)) for solved in groups.values())
        assert sorted(y for _, y in means_of(ax, CELL_COLORS[cell])) == pytest.approx(shares)
        limits = sorted(wilson(int(sum(solved)), 6) for solved in groups.values())
        found = sorted((low, high) for _, low, high in intervals_of(ax, CELL_COLORS[cell]))
        np.testing.assert_allclose(found, limits, atol=1e-12)
    assert title(ax) == "Solved tasks fraction and 95 % Wilson interval of 6 runs that differ in seed"


def test_diverged_runs_are_unsolved_and_failed_runs_are_omitted(ax: Axes) -> None:
    frame = runs_frame(cells=("rnn",), seq_lens=(10,), clips=(1.0,), seeds=6)
    frame["val/solved"] = [1.0, 1.0, 1.0, NAN, NAN, NAN]
    frame["outcome"] = ["finished"] * 3 + ["diverged"] + ["failed"] * 2
    draw_solved(frame, ax)
    assert [round(share, 3) for _, share in means_of(ax, CELL_COLORS["rnn"])] == [0.75]
    np.testing.assert_allclose(intervals_of(ax, CELL_COLORS["rnn"])[0][1:], wilson(3, 4))
    assert "2 of 6 runs have no value" in title(ax)


def test_clip_rate_above_the_loss() -> None:
    figure = new_figure(layout="constrained")
    top, bottom = draw_clipping(RUNS, figure.subplots(2, sharex=True))
    for ax, column in ((top, "grad/clip_rate"), (bottom, "val/loss")):
        for cell in ("rnn", "lstm"):
            groups = groups_of(RUNS[RUNS["cell"] == cell], column, "clip", "seq_len")
            limits = [interval(v) if np.ptp(v) else (v[0], v[0]) for v in groups.values()]
            found = sorted((low, high) for _, low, high in intervals_of(ax, CELL_COLORS[cell]))
            np.testing.assert_allclose(found, sorted(limits), atol=1e-12)
            means = sorted(y for _, y in means_of(ax, CELL_COLORS[cell]))
            np.testing.assert_allclose(means, sorted(map(np.mean, groups.values())), atol=1e-12)
    assert bottom.get_xlabel() == "clip" and list(ticks(bottom)) == ["0.1", "off"]
    assert "clipped" in top.get_ylabel() and bottom.get_ylabel() == "val/loss"
    assert "Clip rate" in title(top) and "val/loss" in title(bottom)
    assert legend(bottom) == ["rnn", "lstm", "seq_len 10", "seq_len 100"]
    assert not [line for line in bottom.lines if line.get_gid() == "diverged"]
    figure.canvas.draw()


def test_diverged_runs_are_marked_by_a_cross() -> None:
    runs = runs_frame(seq_lens=(10,), seeds=5)
    lost = (runs["cell"] == "rnn") & runs["clip"].isna() & (runs["seed"] < 2)
    frame = runs.assign(outcome=np.where(lost, "diverged", "finished"))
    frame.loc[lost & (runs["seed"] == 0), "val/loss"] = NAN  # the other run has a loss from an earlier step
    _, bottom = draw_clipping(frame, new_figure().subplots(2))
    (crosses,) = (line for line in bottom.lines if line.get_gid() == "diverged")
    assert to_rgba(crosses.get_color()) == to_rgba(CELL_COLORS["rnn"])
    right_mean = max(means_of(bottom, CELL_COLORS["rnn"]))
    assert list(crosses.get_xdata()) == pytest.approx([right_mean[0]])
    high = bottom.transAxes.inverted().transform(bottom.transData.transform([(1, runs["val/loss"].max())]))[
        0, 1
    ]
    assert high < crosses.get_ydata()[0], "no loss is under a cross"
    kept = frame[(frame["cell"] == "rnn") & frame["clip"].isna() & ~lost]
    assert right_mean[1] == pytest.approx(kept["val/loss"].mean())
    assert legend(bottom) == ["rnn", "lstm", "some runs diverged"]
    assert "2 of 20 runs have no value" in title(bottom)
    assert "of 3–5 runs that differ in seed" in title(bottom)


def test_both_axes_of_the_clipping_figure_have_the_same_styles() -> None:
    runs = runs_frame(cells=("rnn",), seeds=3)
    frame = runs.assign(**{"grad/clip_rate": runs["grad/clip_rate"].where(runs["seq_len"] == 10)})
    top, bottom = draw_clipping(frame, new_figure().subplots(2))
    assert set(mean_markers(top)) == {"o"} and set(mean_markers(bottom)) == {"o", "s"}
    assert legend(bottom) == ["rnn", "seq_len 10", "seq_len 100"]


@pytest.mark.parametrize(("value", "name"), [(TAIL, "tail gain"), ("grad/gain", "gain")])
def test_a_gain_of_0_is_drawn_at_the_lower_end_and_stated_in_the_title(
    ax: Axes, value: str, name: str
) -> None:
    draw_gain(with_zeros(), ax, value=value)
    assert [y for _, y in lost(ax)] == [0.0, 0.0] and all(5 < x < 20 for x, _ in lost(ax))
    assert len(points_of(ax)) == 22 and f"{name} = 0" in legend(ax)
    assert len(means_of(ax, CELL_COLORS["rnn"])) == 3, "one run with a gain is left at length 10, clip 0.1"
    caption = " ".join(title(ax).split())
    assert f"; {name} = 0 in 2 of 24 runs" in caption and "no value" not in caption
    assert "excludes examples with zero gradient (up to 100% of the examples in 2 of 24 runs)" in caption
    more = runs_frame(cells=("rnn",), seq_lens=(10,), clips=(1.0,), seeds=5)
    zero = more["seed"] < 2
    of_value = {TAIL: more[TAIL].mask(zero), "grad/gain_tail": (10 ** more[TAIL]).mask(zero, 0.0)}
    draw_gain(more.assign(**of_value), other := new_figure().subplots())
    expected = more.loc[~zero, TAIL].tolist()
    limits = tuple(10**limit for limit in interval(expected))
    assert_means(other, CELL_COLORS["rnn"], [(10.0, 10 ** np.mean(expected), limits)])
    ax.figure.canvas.draw()


def test_gains_of_0_only_can_be_drawn(ax: Axes) -> None:
    none = {"grad/log10_gain_tail": NAN, "grad/gain_tail": 0.0}
    draw_gain(RUNS.assign(**none), ax)
    assert len(lost(ax)) == 24 and "nothing to show" not in notes(ax)
    grid = draw_gain(RUNS.assign(**none), col="cell")
    assert [len(lost(ax)) for ax in grid.axes.flat] == [12, 12]
    ax.figure.canvas.draw()


def test_a_long_row_of_a_grid_is_wrapped_and_labelled_at_its_edges() -> None:
    grid = draw_gain(runs_frame(seq_lens=(10, 20, 30, 40)), x="clip", col="seq_len")
    assert [title(ax) for ax in grid.axes.flat] == [f"seq_len {n}" for n in (10, 20, 30, 40)]
    assert [ax.get_xlabel() for ax in grid.axes.flat] == ["", "clip", "clip", "clip"]
    assert [ax.get_ylabel() != "" for ax in grid.axes.flat] == [True, False, False, True]
    plt.close(grid.figure)


def test_a_part_of_a_grid_without_runs_is_labelled() -> None:
    frame = RUNS[(RUNS["seq_len"] == 10) | (RUNS["cell"] == "rnn")]
    grid = draw_gain(frame, x="clip", col="cell", row="seq_len")
    assert [bool(notes(ax)) for ax in grid.axes.flat] == [False, False, False, True]
    plt.close(grid.figure)


def test_a_task_without_a_criterion_does_not_count_as_unsolved(ax: Axes) -> None:
    tasks = [
        RUNS.assign(task="latch"),
        RUNS.assign(task="char_lm", **{"val/solved": NAN}, outcome="diverged"),
    ]
    draw_solved(pd.concat(tasks), ax, x="task", hue=None)
    assert {x for x, _ in means_of(ax, "0.25")} <= {x for x, _, _ in intervals_of(ax, "0.25")}
    latch = ticks(ax)["latch"]
    assert all(abs(x - latch) < 0.4 for x, _ in means_of(ax, "0.25"))


def test_the_title_names_the_axes_that_separate_groups_without_being_shown(ax: Axes) -> None:
    frame = pd.concat([RUNS.assign(loss_reduction=how) for how in ("mean", "sum")], ignore_index=True)
    frame.loc[frame["loss_reduction"] == "sum", TAIL] -= 0.5
    ordered = sweep_layout(frame, "cell", "seq_len", "clip", "seed", "loss_reduction")
    draw_gain(ordered, ax, x="seq_len")
    assert title(ax).endswith("of 3 runs that differ in seed; separately for each loss_reduction")
    for cell in ("rnn", "lstm"):
        groups = groups_of(frame[frame["cell"] == cell], TAIL, "seq_len", "clip", "loss_reduction")
        expected = [
            (float(length), 10 ** np.mean(logs), tuple(10**limit for limit in interval(logs)))
            for (length, _, _), logs in groups.items()
        ]
        assert len(expected) == 8
        assert_means(ax, CELL_COLORS[cell], expected)


def test_runs_without_the_style_axis_are_not_omitted(ax: Axes) -> None:
    """An axis chosen automatically, such as an option of one cell only, must not remove the other runs."""
    bias = RUNS["clip"].isna().astype(float).where(RUNS["cell"] == "lstm")
    frame = sweep_layout(RUNS.assign(**{"cell.bias": bias}, clip=1.0), "cell", "seq_len", "seed", "cell.bias")
    draw_horizon(frame, ax)
    assert len(points_of(ax)) == 24 and "no cell.bias" not in title(ax)
    assert legend(ax) == ["rnn", "lstm", "cell.bias 0", "cell.bias 1", "cell.bias –"]
    given = new_figure().subplots()
    draw_horizon(frame, given, style="cell.bias")
    assert len(points_of(given)) == 12 and "12 of 24 runs have no cell.bias" in title(given)
