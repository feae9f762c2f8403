"""Lag curves and losses of many runs: means and intervals over replicates, and single runs without replicates."""

from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import seaborn as sns
from matplotlib import colormaps
from matplotlib.axes import Axes

from rnnlab.analysis.figures.style import CELL_COLORS
from rnnlab.analysis.figures.sweep_curves import draw_lag_curves, draw_losses
from tests.analysis.drawn import (
    assert_same_lines,
    bands_of,
    interval,
    legend,
    lines_of,
    names_of,
    notes,
    title,
)
from tests.analysis.many_runs import NAN, curves, gradients_frame, metrics_frame, replicates, runs_frame

RUNS = runs_frame()
GRADIENTS = gradients_frame(RUNS)
METRICS = metrics_frame(RUNS)


@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize(
    ("step", "taken", "description"),
    [("last", 20, "step 20, trained"), ("first", 0, "step 0, untrained"), (5, 5, "step 5")],
)
@pytest.mark.parametrize("quantity", ["state", "x"])
def test_lag_curves_are_means_of_replicates_with_t_intervals(
    ax: Axes, quantity: str, step: Any, taken: int, description: str, relative: bool
) -> None:
    assert draw_lag_curves(GRADIENTS, ax, quantity, step=step, relative=relative) is ax
    for cell in ("rnn", "lstm"):
        bands = bands_of(ax, CELL_COLORS[cell])
        assert len(bands) == 4
        for dashed, seq_len in ((False, 10), (True, 100)):
            part = GRADIENTS[(GRADIENTS["cell"] == cell) & (GRADIENTS["seq_len"] == seq_len)]
            groups = [
                list(curves(rows, taken, quantity, relative).values()) for rows in replicates(part, "clip")
            ]
            assert [len(runs) for runs in groups] == [3, 3]
            drawn = lines_of(ax, CELL_COLORS[cell], dashed)
            assert_same_lines(drawn, [np.mean(runs, axis=0) for runs in groups])
            assert all(lags == list(range(relative, 9)) for lags, _ in drawn)
            for runs in groups:
                limits = [
                    (0, 0) if relative and lag == 0 else interval(list(values))
                    for lag, values in enumerate(zip(*runs, strict=True))
                ]
                assert any(np.allclose([band[x] for x in sorted(band)], limits, atol=1e-9) for band in bands)
    caption = "mean and 95 % interval of 3 runs that differ in seed; separately for each clip"
    assert title(ax) == f"Lag curve of {quantity}, {description} {caption}"
    assert ax.get_ylabel() == ("log₁₀ g(k)/g(1)" if relative else "log₁₀ g(k)")
    assert legend(ax) == ["rnn", "lstm", "seq_len 10", "seq_len 100"], "only the cells that are present"
    assert len(set(names_of(ax))) == 8
    assert "mean of 3 runs, cell rnn, seq_len 10, clip 0.1" in names_of(ax)


@pytest.mark.parametrize("seeds", [1, 2])
def test_fewer_than_three_replicates_are_drawn_as_single_runs(ax: Axes, seeds: int) -> None:
    frame = GRADIENTS[GRADIENTS["seed"] < seeds]
    draw_lag_curves(frame, ax)
    assert not ax.collections
    for cell in ("rnn", "lstm"):
        runs = curves(frame[frame["cell"] == cell], 20)
        assert_same_lines(lines_of(ax, CELL_COLORS[cell]), list(runs.values()))
    assert title(ax).endswith("single runs; separately for each clip")


def test_groups_with_and_without_enough_replicates_are_distinguished(ax: Axes) -> None:
    frame = GRADIENTS[GRADIENTS["run"].isin(["r0", "r1", "r2", "r12", "r13"])]  # three of rnn and two of lstm
    draw_lag_curves(frame, ax)
    assert_same_lines(
        lines_of(ax, CELL_COLORS["rnn"]),
        [np.mean(list(curves(frame[frame["cell"] == "rnn"], 20).values()), axis=0)],
    )
    assert_same_lines(
        lines_of(ax, CELL_COLORS["lstm"]), list(curves(frame[frame["cell"] == "lstm"], 20).values())
    )
    assert len(bands_of(ax, CELL_COLORS["rnn"])) == 1 and bands_of(ax, CELL_COLORS["lstm"]) == []
    caption = "mean and 95 % interval of 3 runs that differ in seed; single runs where fewer than 3"
    assert title(ax).endswith(caption)


def test_an_axis_with_more_than_five_values_separates_lines_without_a_style(ax: Axes) -> None:
    runs = runs_frame(cells=("rnn",), seq_lens=(5, 6, 7, 8, 9, 10), clips=(1.0,), seeds=3)
    frame = gradients_frame(runs)
    draw_lag_curves(frame, ax)
    expected = [np.mean(list(curves(rows, 20).values()), axis=0) for rows in replicates(frame, "seq_len")]
    assert len(expected) == 6
    assert_same_lines(lines_of(ax, CELL_COLORS["rnn"], dashed=False), expected)
    assert legend(ax) == ["rnn"] and title(ax).endswith("separately for each seq_len")
    few = frame[frame["seq_len"] < 10]
    draw_lag_curves(few, styled := ax.figure.add_axes((0, 0, 1, 1)))
    assert (
        len({line.get_linestyle() for line in styled.lines} - {"-"}) == 1
    )  # Matplotlib names all dashes "--"
    assert legend(styled) == ["rnn", *(f"seq_len {length}" for length in (5, 6, 7, 8, 9))]
    assert len({repr(line._unscaled_dash_pattern) for line in styled.lines}) == 5


def test_one_run_a_line_has_no_band(ax: Axes) -> None:
    draw_lag_curves(GRADIENTS[GRADIENTS["run"].isin(["r0", "r12"])], ax)
    assert not ax.collections
    assert title(ax).endswith("single runs")
    assert lines_of(ax, CELL_COLORS["rnn"])[0][1] == pytest.approx(curves(GRADIENTS, 20)["r0"])


def test_a_frame_of_one_run_needs_no_run_column(ax: Axes) -> None:
    one = GRADIENTS[GRADIENTS["run"] == "r0"].drop(columns=["run", "cell"])
    draw_lag_curves(one, ax, hue=None)
    assert len(ax.lines) == 1 and legend(ax) == []


def test_untrained_dashed_and_trained_solid(ax: Axes) -> None:
    draw_lag_curves(GRADIENTS, ax, step="ends")
    for step, dashed in ((0, True), (20, False)):
        groups = replicates(GRADIENTS[GRADIENTS["cell"] == "rnn"], "seq_len", "clip")
        expected = [np.mean(list(curves(rows, step).values()), axis=0) for rows in groups]
        assert_same_lines(lines_of(ax, CELL_COLORS["rnn"], dashed), expected)
    assert legend(ax) == ["rnn", "lstm", "step 20, trained", "step 0, untrained"]
    assert title(ax).endswith("separately for each seq_len and clip")
    with pytest.raises(ValueError, match=r"style='clip': cannot be combined with step=.ends."):
        draw_lag_curves(GRADIENTS, ax, step="ends", style="clip")


def test_untrained_and_trained_as_columns_on_one_scale() -> None:
    grid = draw_lag_curves(GRADIENTS, col="end")
    first, last = grid.axes.flat
    assert [title(first), title(last)] == ["step 0, untrained", "step 20, trained"]
    assert first.get_ylim() == last.get_ylim()
    for ax, step in ((first, 0), (last, 20)):
        groups = replicates(GRADIENTS[GRADIENTS["cell"] == "lstm"], "seq_len", "clip")
        expected = [np.mean(list(curves(rows, step).values()), axis=0) for rows in groups]
        assert_same_lines(lines_of(ax, CELL_COLORS["lstm"]), expected)
    plt.close(grid.figure)


def test_runs_with_one_recording_have_one_end(ax: Axes) -> None:
    draw_lag_curves(GRADIENTS[GRADIENTS["step"] == 0], ax, step="ends")
    assert len(ax.lines) == 8 and not any(line.is_dashed() for line in ax.lines)
    assert legend(ax) == ["rnn", "lstm", "step 0, untrained"]


def test_a_run_with_one_recording_among_runs_with_more_appears_only_untrained() -> None:
    """A run that diverges at once has no recording after training."""
    frame = GRADIENTS[(GRADIENTS["run"] == "r1") | ((GRADIENTS["run"] == "r0") & (GRADIENTS["step"] == 0))]
    grid = draw_lag_curves(frame, col="end")
    first, last = grid.axes.flat
    of_both = curves(frame, 0)
    assert_same_lines(lines_of(first, CELL_COLORS["rnn"]), list(of_both.values()))
    (drawn,) = lines_of(last, CELL_COLORS["rnn"])
    assert drawn[1] == pytest.approx(curves(frame[frame["run"] == "r1"], 20)["r1"])
    plt.close(grid.figure)


def test_last_recordings_of_runs_that_end_at_different_steps(ax: Axes) -> None:
    early = GRADIENTS[~((GRADIENTS["run"] == "r0") & (GRADIENTS["step"] == 20))]
    draw_lag_curves(early, ax)
    values = curves(early, 20) | {"r0": curves(early, 5)["r0"]}
    groups = replicates(early[early["cell"] == "rnn"], "seq_len", "clip")
    expected = [np.mean([values[run] for run in rows["run"].unique()], axis=0) for rows in groups]
    assert_same_lines(lines_of(ax, CELL_COLORS["rnn"]), expected)
    assert "last step of each run" in title(ax)


def test_training_steps_in_viridis(ax: Axes) -> None:
    frame = GRADIENTS[GRADIENTS["cell"] == "rnn"]
    draw_lag_curves(frame, ax, hue="step")
    for place, step in ((0, 0), (0.4, 5), (0.8, 20)):
        expected = [
            np.mean(list(curves(rows, step).values()), axis=0)
            for rows in replicates(frame, "seq_len", "clip")
        ]
        assert_same_lines(lines_of(ax, colormaps["viridis"](place)), expected)
    found = ax.get_legend()
    assert legend(ax) == ["0", "5", "20", "seq_len 10", "seq_len 100"] and found is not None
    assert found.get_title().get_text() == "training step"


def test_a_few_of_many_training_steps_with_the_first_and_the_last(ax: Axes) -> None:
    frame = gradients_frame(RUNS[:3], steps=tuple(range(30)), lags=2)
    only = frame[
        (frame["step"] != 29) | frame["run"].isin(["r0", "r1"])
    ]  # a step that at least half of the runs recorded is included
    draw_lag_curves(only, ax, hue="step")
    assert 3 <= len({line.get_color() for line in ax.lines}) <= 10
    assert legend(ax)[0] == "0" and legend(ax)[-1] == "29"
    draw_lag_curves(
        only[(only["step"] != 29) | (only["run"] == "r0")],
        other := ax.figure.add_axes((0, 0, 1, 1)),
        hue="step",
    )
    assert legend(other)[-1] == "28"


def test_traces_show_single_runs(ax: Axes) -> None:
    draw_lag_curves(GRADIENTS, ax, traces=True)
    rows = GRADIENTS[GRADIENTS["cell"] == "rnn"]
    means = [np.mean(list(curves(part, 20).values()), axis=0) for part in replicates(rows, "seq_len", "clip")]
    assert_same_lines(lines_of(ax, CELL_COLORS["rnn"]), [*curves(rows, 20).values(), *means])
    assert not ax.collections
    assert "mean of 3 runs that differ in seed" in title(ax) and "thin lines: single runs" in title(ax)
    assert {"run r0", "run r23"} <= set(names_of(ax))


def test_traces_of_several_training_steps_are_separate(ax: Axes) -> None:
    draw_lag_curves(GRADIENTS[GRADIENTS["run"] == "r0"], ax, hue="step", traces=True)
    assert all(x == [1, 2, 3, 4, 5, 6, 7, 8] for x, _ in lines_of(ax, colormaps["viridis"](0.0)))
    assert len(ax.lines) == 3


def test_lags_without_a_value_are_excluded_from_the_mean(ax: Axes) -> None:
    whole = GRADIENTS[GRADIENTS["run"].isin(["r0", "r1", "r2"])]
    frame = whole.copy()
    frame.loc[(frame["run"] == "r0") & (frame["lag"] >= 4), "log10_gmean"] = NAN
    draw_lag_curves(frame, ax)
    runs = curves(whole, 20)
    rest = np.mean([runs["r1"], runs["r2"]], axis=0)
    ((_, drawn),) = lines_of(ax, CELL_COLORS["rnn"])
    np.testing.assert_allclose(drawn[3:], rest[3:], atol=1e-12)
    np.testing.assert_allclose(drawn[:3], np.mean(list(runs.values()), axis=0)[:3], atol=1e-12)
    (band,) = bands_of(ax, CELL_COLORS["rnn"])
    assert max(band) == 3, "two values have no interval"
    assert "of 3 runs that differ in seed; single runs where fewer than 3" in title(ax)


def test_curves_of_other_targets_are_not_averaged_in(ax: Axes) -> None:
    other = GRADIENTS.assign(target=3, log10_gmean=99.0)
    draw_lag_curves(pd.concat([GRADIENTS, other]), ax, relative=False)
    groups = replicates(GRADIENTS[GRADIENTS["cell"] == "rnn"], "seq_len", "clip")
    expected = [np.mean(list(curves(rows, 20, relative=False).values()), axis=0) for rows in groups]
    assert_same_lines(lines_of(ax, CELL_COLORS["rnn"]), expected)


def test_dashes_for_a_chosen_axis_and_off(ax: Axes) -> None:
    draw_lag_curves(GRADIENTS, ax, style="clip")
    off = GRADIENTS[(GRADIENTS["cell"] == "rnn") & GRADIENTS["clip"].isna()]
    expected = [np.mean(list(curves(rows, 20).values()), axis=0) for rows in replicates(off, "seq_len")]
    assert_same_lines(lines_of(ax, CELL_COLORS["rnn"], dashed=True), expected)
    assert legend(ax) == ["rnn", "lstm", "clip 0.1", "clip off"]
    assert title(ax).endswith("3 runs that differ in seed; separately for each seq_len")


def test_a_grid_with_a_part_in_each_axes() -> None:
    grid = draw_lag_curves(GRADIENTS, col="clip", row="seq_len")
    assert isinstance(grid, sns.FacetGrid) and grid.axes.shape == (2, 2)
    for i, seq_len in enumerate((10, 100)):
        for j, (clip, word) in enumerate(((0.1, "0.1"), (NAN, "off"))):
            ax = grid.axes[i][j]
            assert title(ax) == f"clip {word}, seq_len {seq_len}"
            part = GRADIENTS[(GRADIENTS["seq_len"] == seq_len) & (GRADIENTS["cell"] == "lstm")]
            part = part[part["clip"].isna() if word == "off" else part["clip"] == clip]
            ((_, means),) = lines_of(ax, CELL_COLORS["lstm"])
            np.testing.assert_allclose(means, np.mean(list(curves(part, 20).values()), axis=0), atol=1e-12)
    assert grid.legend is not None
    assert [text.get_text() for text in grid.legend.get_texts()] == ["rnn", "lstm"]
    assert grid.figure.get_suptitle().endswith("mean and 95 % interval of 3 runs that differ in seed")
    grid.figure.canvas.draw()
    plt.close(grid.figure)


@pytest.mark.parametrize("metric", ["val/loss", "train/loss"])
def test_losses_are_means_of_replicates_with_t_intervals(ax: Axes, metric: str) -> None:
    assert draw_losses(METRICS, ax, metric) is ax
    for cell in ("rnn", "lstm"):
        rows = METRICS[(METRICS["cell"] == cell) & (METRICS["metric"] == metric)]
        groups = [
            [part.loc[part["step"] == step, "value"].tolist() for step in range(12)]
            for part in replicates(rows, "seq_len", "clip")
        ]
        drawn = lines_of(ax, CELL_COLORS[cell])
        assert_same_lines(drawn, [np.mean(values, axis=1) for values in groups])
        assert all(steps == list(range(12)) for steps, _ in drawn)
        bands = bands_of(ax, CELL_COLORS[cell])
        for values in groups:
            limits = [interval(at_step) for at_step in values]
            assert any(np.allclose([band[step] for step in range(12)], limits) for band in bands)
    assert ax.get_ylabel() == metric and metric in title(ax)
    assert ax.get_yscale() == "linear"


def test_losses_over_decades_are_on_a_logarithmic_axis(ax: Axes) -> None:
    frame = METRICS.assign(value=METRICS["value"] * 10.0 ** -METRICS["step"])
    draw_losses(frame, ax)
    assert ax.get_yscale() == "log"
    ax.figure.canvas.draw()


@pytest.mark.parametrize("steps", [[0], [0, 1]])
def test_an_axis_of_few_training_steps_has_integer_ticks(ax: Axes, steps: list[int]) -> None:
    draw_losses(METRICS[METRICS["step"].isin(steps)], ax)
    ticks, (low, high) = ax.get_xticks(), ax.get_xlim()
    assert [tick for tick in ticks if low <= tick <= high] == steps


def test_a_subset_has_the_colours_of_the_whole_sweep(ax: Axes) -> None:
    words = ["sgd", "adagrad", "adam"]
    one_cell = METRICS[METRICS["run"].isin(["r0", "r1", "r2"])]
    frame = one_cell.assign(optimizer=pd.Categorical(["adam"] * len(one_cell), categories=words))
    draw_losses(frame, ax, hue="optimizer")
    assert len(lines_of(ax, sns.color_palette("colorblind")[2])) == 1


GIVEN: list[tuple[Callable[[], Any], str]] = [
    (lambda: draw_lag_curves(GRADIENTS, hue="depth"), r"hue='depth': no such column.*run, cell, seq_len"),
    (lambda: draw_lag_curves(GRADIENTS, col="depth"), r"col='depth': no such column"),
    (lambda: draw_lag_curves(GRADIENTS, quantity="z"), r"quantity='z': no lag curve.*: state, x$"),
    (lambda: draw_lag_curves(GRADIENTS, quantity="h"), r"quantity='h': no lag curve.*: state, x$"),
    (lambda: draw_lag_curves(GRADIENTS, step=7), r"step=7: not recorded; available: 0, 5, 20"),
    (lambda: draw_lag_curves(GRADIENTS, step="middle"), r"step='middle': must be"),
    (lambda: draw_lag_curves(GRADIENTS[:0]), r"no rows"),
    (
        lambda: draw_lag_curves(METRICS),
        r"gradients: data frame from load_metrics; must come from load_g",
    ),
    (
        lambda: draw_lag_curves(GRADIENTS.drop(columns="quantity")),
        r"column 'quantity': required by the figure, but not in the frame",
    ),
    (
        lambda: draw_losses(METRICS, metric="val/bpc"),
        r"metric='val/bpc': no such metric.*: val/loss, train/loss",
    ),
    (lambda: draw_losses(METRICS, hue="depth"), r"hue='depth': no such column"),
    (lambda: draw_losses(METRICS.assign(value="low")), r"column 'value': has type .*; must contain"),
]


def test_an_axes_and_a_grid_exclude_each_other(ax: Axes) -> None:
    with pytest.raises(ValueError, match="ax: cannot be combined with col or row"):
        draw_losses(METRICS, ax, col="clip")


def test_runs_without_the_axis_are_reported(ax: Axes) -> None:
    frame = GRADIENTS.copy()
    frame["bias"] = np.where(frame["cell"] == "lstm", 1.0, np.nan)
    draw_lag_curves(frame, ax, hue="bias")
    lost = frame.loc[frame["cell"] != "lstm", "run"].nunique()
    assert f"{lost} runs without bias omitted" in title(ax)


def test_indistinguishable_curves_of_several_runs_are_refused(ax: Axes) -> None:
    with pytest.raises(ValueError, match="several lag curves for the same run and step"):
        draw_lag_curves(GRADIENTS.drop(columns="run"), ax)


@pytest.mark.parametrize(("draw", "message"), GIVEN, ids=[message for _, message in GIVEN])
def test_missing_items_are_named(draw: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()


def test_a_missing_value_is_noted(ax: Axes) -> None:
    draw_losses(METRICS.assign(value=NAN), ax)
    assert "nothing to show" in notes(ax)
    other = ax.figure.add_axes((0, 0, 1, 1))
    draw_lag_curves(GRADIENTS.assign(log10_gmean=NAN), other)
    assert "nothing to show" in notes(other)
    ax.figure.canvas.draw()
    draw_losses(METRICS, covering := ax.figure.add_axes((0, 0, 1, 1)))
    assert notes(covering) == ""
    with pytest.raises(ValueError, match="col='clip'"):
        draw_losses(METRICS.assign(value=NAN), col="clip")
