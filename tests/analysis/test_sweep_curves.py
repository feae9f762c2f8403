"""Figures of lag curves and losses of many runs show the means and intervals of their frames."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import seaborn as sns
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba

from rnnlab.analysis.figures.style import CELL_COLORS
from rnnlab.analysis.figures.sweep_curves import draw_lag_curves, draw_losses
from tests.analysis.many_runs import NAN, gradients_frame, metrics_frame, runs_frame

RUNS = runs_frame()
GRADIENTS = gradients_frame(RUNS)
METRICS = metrics_frame(RUNS)


def lines_of(ax: Axes, color: Any, dashed: bool | None = None) -> list[tuple[list[float], list[float]]]:
    return [
        (list(map(float, line.get_xdata())), list(map(float, line.get_ydata())))
        for line in ax.lines
        if to_rgba(line.get_color()) == to_rgba(color) and dashed in (None, line.is_dashed())
    ]


def band_of(ax: Axes, color: Any) -> dict[float, tuple[float, float]]:
    """Return the lower and upper edge of a colour's band, by x."""
    (band,) = (
        found
        for found in ax.collections
        if isinstance(found, PolyCollection) and tuple(found.get_facecolor()[0][:3]) == to_rgba(color)[:3]
    )
    corners = band.get_paths()[0].vertices
    return {
        x: (min(ys), max(ys)) for x in {x for x, _ in corners} if (ys := [y for a, y in corners if a == x])
    }


def title(ax: Axes) -> str:
    return ax.get_title("left").replace("\n", " ")


def legend(ax: Axes) -> list[str]:
    found = ax.get_legend()
    return [] if found is None else [text.get_text() for text in found.get_texts()]


def notes(ax: Axes) -> str:
    return " ".join(text.get_text() for text in ax.texts).replace("\n", " ")


def curves(
    frame: pd.DataFrame, step: int, quantity: str = "state", relative: bool = True
) -> dict[str, list[float]]:
    """Return every run's lag curve, starting at lag 0 or 1."""
    found = {}
    for run in frame["run"].unique():
        rows = frame[(frame["run"] == run) & (frame["step"] == step) & (frame["quantity"] == quantity)]
        values = rows[rows["lag"].notna()].sort_values("lag")["log10_gmean"].tolist()
        found[run] = [value - values[1] for value in values[1:]] if relative else values
    return found


def interval(values: list[float]) -> tuple[float, float]:
    found = scipy.stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    return found.low, found.high


@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize(
    ("step", "taken", "description"), [("last", 20, "step 20"), ("first", 0, "step 0"), (5, 5, "step 5")]
)
@pytest.mark.parametrize("quantity", ["state", "x"])
def test_lag_curves_are_means_with_t_intervals(
    ax: Axes, quantity: str, step: Any, taken: int, description: str, relative: bool
) -> None:
    assert draw_lag_curves(GRADIENTS, ax, quantity, step=step, relative=relative) is ax
    for cell in ("rnn", "lstm"):
        runs = curves(GRADIENTS[GRADIENTS["cell"] == cell], taken, quantity, relative)
        by_lag = list(zip(*runs.values(), strict=True))
        ((lags, means),) = lines_of(ax, CELL_COLORS[cell])
        assert lags == list(range(relative, 9))
        np.testing.assert_allclose(means, [np.mean(values) for values in by_lag], atol=1e-12)
        band = band_of(ax, CELL_COLORS[cell])
        for lag, values in zip(lags, by_lag, strict=True):
            expected = (0, 0) if relative and lag == 1 else interval(list(values))
            np.testing.assert_allclose(band[lag], expected, atol=1e-9)
    caption = "mean and 95 % interval of 12 runs (over seq_len, clip, seed)"
    assert title(ax) == f"Lag curve of {quantity}, {description} {caption}"
    assert ax.get_ylabel() == ("log₁₀ g(k)/g(1)" if relative else "log₁₀ g(k)")
    assert legend(ax) == ["rnn", "lstm"], "of cells that are there alone"


def test_one_run_a_line_has_no_band(ax: Axes) -> None:
    draw_lag_curves(GRADIENTS[GRADIENTS["run"].isin(["r0", "r12"])], ax)
    assert not ax.collections
    assert title(ax).endswith("single runs")
    assert lines_of(ax, CELL_COLORS["rnn"])[0][1] == pytest.approx(curves(GRADIENTS, 20)["r0"])


def test_a_frame_of_one_run_needs_no_run_column(ax: Axes) -> None:
    one = GRADIENTS[GRADIENTS["run"] == "r0"].drop(columns=["run", "cell"])
    draw_lag_curves(one, ax, hue=None)
    assert len(ax.lines) == 1 and legend(ax) == []


def test_both_ends_the_first_one_dashed(ax: Axes) -> None:
    draw_lag_curves(GRADIENTS, ax, step="ends")
    for step, dashed in ((0, True), (20, False)):
        runs = curves(GRADIENTS[GRADIENTS["cell"] == "rnn"], step)
        ((_, means),) = lines_of(ax, CELL_COLORS["rnn"], dashed)
        np.testing.assert_allclose(means, np.mean(list(runs.values()), axis=0), atol=1e-12)
    assert legend(ax) == ["rnn", "lstm", "last step", "first step"]
    with pytest.raises(ValueError, match=r"style='clip': cannot be combined with step=.ends."):
        draw_lag_curves(GRADIENTS, ax, step="ends", style="clip")


def test_ends_of_runs_that_end_at_different_steps(ax: Axes) -> None:
    early = GRADIENTS[~((GRADIENTS["run"] == "r0") & (GRADIENTS["step"] == 20))]
    draw_lag_curves(early, ax)
    values = curves(early, 20) | {"r0": curves(early, 5)["r0"]}
    of_rnn = [values[run] for run in early.loc[early["cell"] == "rnn", "run"].unique()]
    np.testing.assert_allclose(lines_of(ax, CELL_COLORS["rnn"])[0][1], np.mean(of_rnn, axis=0), atol=1e-12)
    assert "last step of each run" in title(ax)


def test_training_steps_in_viridis(ax: Axes) -> None:
    draw_lag_curves(GRADIENTS[GRADIENTS["cell"] == "rnn"], ax, hue="step")
    expected = [colormaps["viridis"](place) for place in (0, 0.45, 0.9)]
    for color, step in zip(expected, (0, 5, 20), strict=True):
        ((_, means),) = lines_of(ax, color)
        runs = curves(GRADIENTS[GRADIENTS["cell"] == "rnn"], step)
        np.testing.assert_allclose(means, np.mean(list(runs.values()), axis=0), atol=1e-12)
    found = ax.get_legend()
    assert legend(ax) == ["0", "5", "20"] and found is not None
    assert found.get_title().get_text() == "training step"


def test_of_many_training_steps_a_few_with_the_first_and_the_last(ax: Axes) -> None:
    frame = gradients_frame(RUNS[:2], steps=tuple(range(30)), lags=2)
    only = frame[
        (frame["step"] != 29) | (frame["run"] == "r0")
    ]  # a step that one of two runs recorded counts
    draw_lag_curves(only, ax, hue="step")
    assert 3 <= len(ax.lines) <= 10 and legend(ax)[0] == "0" and legend(ax)[-1] == "29"


def test_traces_are_the_runs_themselves(ax: Axes) -> None:
    draw_lag_curves(GRADIENTS, ax, traces=True)
    drawn = lines_of(ax, CELL_COLORS["rnn"])
    runs = curves(GRADIENTS[GRADIENTS["cell"] == "rnn"], 20)
    assert len(drawn) == len(runs) + 1 and not ax.collections
    for values in [*runs.values(), np.mean(list(runs.values()), axis=0)]:
        assert any(np.allclose(values, y) for _, y in drawn)
    assert "thin lines: single runs" in title(ax)


def test_traces_of_several_training_steps_are_apart(ax: Axes) -> None:
    draw_lag_curves(GRADIENTS[GRADIENTS["run"] == "r0"], ax, hue="step", traces=True)
    assert all(x == [1, 2, 3, 4, 5, 6, 7, 8] for x, _ in lines_of(ax, colormaps["viridis"](0.0)))
    assert len(ax.lines) == 6


def test_lags_without_a_value_are_left_out_of_the_mean(ax: Axes) -> None:
    frame = GRADIENTS[GRADIENTS["cell"] == "rnn"].copy()
    frame.loc[(frame["run"] == "r0") & (frame["lag"] >= 4), "log10_gmean"] = NAN
    draw_lag_curves(frame, ax)
    runs = curves(GRADIENTS[GRADIENTS["cell"] == "rnn"], 20)
    rest = np.mean([values for run, values in runs.items() if run != "r0"], axis=0)
    drawn = lines_of(ax, CELL_COLORS["rnn"])[0][1]
    np.testing.assert_allclose(drawn[3:], rest[3:], atol=1e-12)
    np.testing.assert_allclose(drawn[:3], np.mean(list(runs.values()), axis=0)[:3], atol=1e-12)
    assert "of 11–12 runs" in title(ax)


def test_curves_of_other_targets_are_not_averaged_in(ax: Axes) -> None:
    other = GRADIENTS.assign(target=3, log10_gmean=99.0)
    draw_lag_curves(pd.concat([GRADIENTS, other]), ax, relative=False)
    runs = curves(GRADIENTS[GRADIENTS["cell"] == "rnn"], 20, relative=False)
    drawn = lines_of(ax, CELL_COLORS["rnn"])[0][1]
    np.testing.assert_allclose(drawn, np.mean(list(runs.values()), axis=0), atol=1e-12)


def test_dashes_for_another_axis_and_off(ax: Axes) -> None:
    draw_lag_curves(GRADIENTS, ax, style="clip")
    assert len(lines_of(ax, CELL_COLORS["rnn"], dashed=True)) == 1
    off = GRADIENTS[(GRADIENTS["cell"] == "rnn") & GRADIENTS["clip"].isna()]
    ((_, means),) = lines_of(ax, CELL_COLORS["rnn"], dashed=True)
    np.testing.assert_allclose(means, np.mean(list(curves(off, 20).values()), axis=0), atol=1e-12)
    assert legend(ax) == ["rnn", "lstm", "clip 0.1", "clip off"]
    assert title(ax).endswith("(over seq_len, seed)")


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
    assert "mean and 95 % interval of 3 runs (over seed)" in grid.figure.get_suptitle()
    grid.figure.canvas.draw()


@pytest.mark.parametrize("metric", ["val/loss", "train/loss"])
def test_losses_are_means_with_t_intervals(ax: Axes, metric: str) -> None:
    assert draw_losses(METRICS, ax, metric) is ax
    for cell in ("rnn", "lstm"):
        rows = METRICS[(METRICS["cell"] == cell) & (METRICS["metric"] == metric)]
        ((steps, means),) = lines_of(ax, CELL_COLORS[cell])
        assert steps == list(range(12))
        band = band_of(ax, CELL_COLORS[cell])
        for step, mean in zip(steps, means, strict=True):
            values = rows.loc[rows["step"] == step, "value"].tolist()
            assert mean == pytest.approx(np.mean(values))
            np.testing.assert_allclose(band[step], interval(values))
    assert ax.get_ylabel() == metric and metric in title(ax)
    assert ax.get_yscale() == "linear"


def test_losses_over_decades_are_on_a_logarithmic_axis(ax: Axes) -> None:
    frame = METRICS.assign(value=METRICS["value"] * 10.0 ** -METRICS["step"])
    draw_losses(frame, ax)
    assert ax.get_yscale() == "log"
    ax.figure.canvas.draw()


def test_the_colours_of_a_part_are_those_of_the_whole(ax: Axes) -> None:
    words = ["sgd", "adagrad", "adam"]
    frame = METRICS.assign(optimizer=pd.Categorical(["adam"] * len(METRICS), categories=words))
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


@pytest.mark.parametrize(("draw", "message"), GIVEN, ids=[message for _, message in GIVEN])
def test_what_is_not_there_is_named(draw: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()


def test_an_axes_and_a_grid_exclude_each_other(ax: Axes) -> None:
    with pytest.raises(ValueError, match="ax: cannot be combined with col or row"):
        draw_losses(METRICS, ax, col="clip")


def test_without_a_value_there_is_a_note(ax: Axes) -> None:
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


def test_runs_without_the_axis_are_told(ax: Axes) -> None:
    frame = GRADIENTS.copy()
    frame["bias"] = np.where(frame["cell"] == "lstm", 1.0, np.nan)
    draw_lag_curves(frame, ax, hue="bias")
    lost = frame.loc[frame["cell"] != "lstm", "run"].nunique()
    assert f"{lost} runs without bias omitted" in title(ax)


def test_curves_of_several_runs_that_nothing_tells_apart_are_refused(ax: Axes) -> None:
    with pytest.raises(ValueError, match="several lag curves for the same run and step"):
        draw_lag_curves(GRADIENTS.drop(columns="run"), ax)
