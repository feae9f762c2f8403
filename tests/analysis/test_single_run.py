"""Figures of one run show the numbers of their frame."""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh

from rnnlab.analysis.figures.run_folder import draw_run
from rnnlab.analysis.figures.single_run import (
    draw_clip_histogram,
    draw_contributions,
    draw_gates,
    draw_loss,
    draw_singular_values,
    draw_time_heatmap,
    draw_training_lag_curves,
    draw_verdict,
)
from tests.processes import Done

NAN = float("nan")


def lines(ax: Axes) -> list[tuple[list[float], list[float]]]:
    return [(list(map(float, line.get_xdata())), list(map(float, line.get_ydata()))) for line in ax.lines]


def mesh(ax: Axes) -> np.ndarray:
    (found,) = (child for child in ax.get_children() if isinstance(child, QuadMesh))
    return np.ma.filled(found.get_array().astype(float), np.nan)


def colorbar_label(ax: Axes) -> str:
    (bar,) = (other for other in ax.figure.axes if other is not ax)
    return bar.get_ylabel()


def draw(ax: Axes) -> None:
    ax.figure.canvas.draw()  # drawing raises for values that cannot be drawn


@pytest.mark.parametrize(("quantity", "level"), [("h", 0.0), ("state", 1.0)])
def test_lag_curves(gradients: pd.DataFrame, ax: Axes, quantity: str, level: float) -> None:
    assert draw_training_lag_curves(gradients, ax, quantity) is ax
    expected = [[level - step, level - 2 - step, level - 4 - step, NAN] for step in (0, 1, 100)]
    assert [x for x, _ in lines(ax)] == [[0, 1, 2, 3]] * 3
    np.testing.assert_allclose([y for _, y in lines(ax)], expected)
    assert "lag k" in ax.get_xlabel() and "log₁₀" in ax.get_ylabel()
    assert quantity in ax.get_title(loc="left") + ax.get_title()
    assert colorbar_label(ax) == "training step"
    draw(ax)


def test_lag_curves_of_many_steps_show_the_first_and_the_last(ax: Axes) -> None:
    frame = pd.DataFrame(
        [(step, "state", None, lag, float(-lag * step)) for step in range(40) for lag in range(3)],
        columns=["step", "quantity", "timestep", "lag", "log10_gmean"],
    )
    draw_training_lag_curves(frame, ax)
    shown = [y[1] for _, y in lines(ax)]
    assert 5 <= len(shown) <= 20 and shown[0] == 0 and shown[-1] == -39
    assert len({line.get_color() for line in ax.lines}) == len(shown)


def test_the_heat_map(gradients: pd.DataFrame, ax: Axes) -> None:
    assert draw_time_heatmap(gradients, ax) is ax
    expected = [[-t - step / 10 for t in range(3)] + [NAN] for step in (0, 1, 100)]
    np.testing.assert_allclose(mesh(ax), expected)
    assert ax.get_xlabel() == "time step t" and ax.get_ylabel().startswith("training step")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["0", "1", "100"]
    assert "total gradient norm w.r.t. h" in colorbar_label(ax)
    draw(ax)


def test_losses(ax: Axes) -> None:
    metrics = pd.DataFrame(
        {"step": [0, 1, 2, 3], "train/loss": [4.0, 2.0, 3.0, NAN], "val/loss": [4.5, NAN, NAN, 2.5]}
    )
    assert draw_loss(metrics, ax) is ax
    assert lines(ax) == [([0, 1, 2], [4, 2, 3]), ([0, 1, 2], [3, 3, 3]), ([0, 3], [4.5, 2.5])]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("training step", "loss")
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "training",
        "training, moving average over 50 steps",
        "validation",
    ]
    draw(ax)


def test_losses_are_drawn_in_the_unit_of_the_run(ax: Axes) -> None:
    metrics = pd.DataFrame({"step": [0, 1], "train/loss": [4.0, 2.0], "val/loss": [NAN, 2.5]})
    draw_loss(metrics, ax, "mean squared error", 2.0)
    assert lines(ax) == [([0, 1], [8, 4]), ([0, 1], [6, 6]), ([1], [5])]
    assert ax.get_ylabel() == "loss (mean squared error)" and metrics["train/loss"].tolist() == [4, 2]


def test_figures_of_a_single_step(gradients: pd.DataFrame, ax: Axes) -> None:
    draw_training_lag_curves(gradients.query("step == 0"), ax)
    assert len(lines(ax)) == 1
    assert ax.figure.axes == [ax], "no colour bar of training steps for one recording"
    draw(ax)


def test_a_heat_map_without_values_has_no_colour_bar(gradients: pd.DataFrame, ax: Axes) -> None:
    draw_time_heatmap(gradients.assign(log10_gmean=NAN), ax)
    assert ax.figure.axes == [ax]
    draw(ax)


def test_a_heat_map_of_a_single_step_and_time_step(gradients: pd.DataFrame, ax: Axes) -> None:
    draw_time_heatmap(gradients.query("step == 0 and timestep == 1"), ax)
    assert mesh(ax).tolist() == [[0.0]]
    draw(ax)


def test_losses_of_a_single_step(ax: Axes) -> None:
    draw_loss(pd.DataFrame({"step": [0], "train/loss": [2.0]}), ax)
    assert lines(ax)[0] == ([0], [2])
    draw(ax)


@pytest.mark.parametrize("missing", [NAN, None])
def test_figures_without_any_finite_value(gradients: pd.DataFrame, missing: float | None, ax: Axes) -> None:
    empty = gradients.assign(log10_gmean=missing)
    draw_training_lag_curves(empty, ax)
    draw(ax)
    draw_time_heatmap(empty, ax.figure.add_axes((0, 0, 1, 1)))
    draw(ax)
    draw_loss(pd.DataFrame({"step": [0], "train/loss": [missing]}), ax.figure.add_axes((0, 0, 1, 1)))
    draw(ax)


def of_quantities(axis: str, **levels: float) -> pd.DataFrame:
    """Return quantities at steps 0 and 9, constant along 1 … 4, whose level rises by 1 from step 0 to step 9."""
    rows = [
        (step, name, i, level + (step == 9))
        for name, level in levels.items()
        for step in (0, 9)
        for i in range(1, 5)
    ]
    frame = pd.DataFrame(rows, columns=["step", "quantity", axis, "log10_gmean"])
    other = "lag" if axis == "timestep" else "timestep"
    return frame.assign(**{other: None}, target=None, mean=frame["log10_gmean"] / 10)


def test_contributions_of_all_and_of_each_gate(ax: Axes) -> None:
    frame = of_quantities("timestep", **{"dW_hh": 0.0, "dW_hh.f": -1.0, "dW_hh.i": -2.0, "h": 5.0})
    draw_contributions(frame, ax)
    assert lines(ax) == [([1, 2, 3, 4], [y] * 4) for y in (1, 0, 0, -1, -1, -2)]  # last step, then first
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["all", "f", "i"]
    assert legend.get_title().get_text() == "step 9\n(dashed: 0)"
    draw(ax)


def test_gates_by_their_mean_and_without_gates_saturation(ax: Axes) -> None:
    frame = of_quantities("timestep", gate_f=2.0, gate_f_open=7.0, gate_i=4.0, h_saturated=1.0)
    draw_gates(frame, ax)
    assert lines(ax) == [([1, 2, 3, 4], [y] * 4) for y in (0.3, 0.2, 0.5, 0.4)]
    alone = ax.figure.add_axes((0, 0, 1, 1))
    draw_gates(frame[frame["quantity"] == "h_saturated"], alone)
    assert lines(alone) == [([1, 2, 3, 4], [y] * 4) for y in (0.2, 0.1)]
    assert alone.get_ylabel() == "fraction of saturated units"


def test_singular_values_largest_and_smallest(ax: Axes) -> None:
    draw_singular_values(of_quantities("lag", sv_max=0.0, sv_min=-5.0), ax)
    per_step = [(1, 0.5, 1 / 3, 0.25), (0, 0, 0, 0), (-4, -2, -4 / 3, -1), (-5, -2.5, -5 / 3, -1.25)]
    assert [y for _, y in lines(ax)[:4]] == [pytest.approx(y) for y in per_step]
    assert ax.get_xscale() == "log"
    draw(ax)


@pytest.mark.parametrize(
    ("threshold", "end"), [(None, "clipping"), (2.0, "50.0% of steps above the threshold 2")]
)
def test_clip_histogram_and_its_threshold(ax: Axes, threshold: float | None, end: str) -> None:
    frame = pd.DataFrame({"step": range(5), "grad/norm": [0.1, 1.0, 10.0, 100.0, NAN]})
    draw_clip_histogram(frame, ax, threshold)
    assert ax.get_title(loc="left").endswith(end) or ax.get_title().endswith(end)
    assert sum(patch.get_height() for patch in ax.patches) == 4
    assert [line.get_xdata()[0] for line in ax.get_lines()] == ([] if threshold is None else [threshold])
    draw(ax)


def test_theory_and_bound_pass_through_lag_1_of_the_first_curve(gradients: pd.DataFrame, ax: Axes) -> None:
    draw_training_lag_curves(gradients, ax, "state", theory=-0.5, bound=0.25)
    limits = ax.get_ylim()
    theory, bound = lines(ax)[-2:]
    start = -2.0 + 1.0  # value of state at step 0 and lag 1
    assert theory == ([1, 3], [start, start - 1.0]) and bound == ([1, 3], [start, start + 0.5])
    draw_training_lag_curves(gradients, other := ax.figure.add_axes((0, 0, 1, 1)), "state")
    assert other.get_ylim() == limits, "a line must not squeeze the curves"


def test_other_targets_are_not_part_of_the_lag_curve(gradients: pd.DataFrame, ax: Axes) -> None:
    more = pd.concat([gradients.assign(target=None), gradients.assign(target=2, log10_gmean=9.0)])
    draw_training_lag_curves(more, ax, "state")
    assert all(9.0 not in y for _, y in lines(ax))


def test_the_verdict_with_its_baseline(ax: Axes) -> None:
    metrics = pd.DataFrame(
        {"step": [0, 1, 2], "val/error_rate": [0.5, NAN, 0.0], "steps_to_solve": [NAN, NAN, 2.0]}
    )
    draw_verdict(metrics, ax, "val/error_rate", 0.75)
    assert lines(ax) == [([0, 2], [0.5, 0]), ([0, 1], [0.75, 0.75]), ([2, 2], [0, 1])]
    assert ax.get_title("left").endswith("solved at step 2") or ax.get_title().endswith("solved at step 2")
    draw_verdict(
        metrics.drop(columns="steps_to_solve"), ax.figure.add_axes((0, 0, 1, 1)), "val/error_rate", 1
    )
    draw(ax)


DRAWN = ["lag_curves", "time_heatmap", "contributions", "gates", "clipping", "loss", "verdict"]


def test_a_run_is_drawn_into_its_folder(sweep: Done, tmp_path: Path) -> None:
    for name in ("metrics.jsonl", "gradients.parquet", "config.yaml", "run.json"):
        shutil.copy(sweep.runs["lstm"] / name, tmp_path)
    drawn = draw_run(tmp_path)
    assert [file.name for file in drawn] == [f"{name}.png" for name in DRAWN]
    for file in drawn:
        assert file.parent == tmp_path / "figures" and file.stat().st_size > 5000
        assert file.with_suffix(".svg").read_text(encoding="utf-8").startswith("<?xml")
    assert len(list((tmp_path / "figures" / "timeline").glob("*.png"))) == 5


def test_lags_time_steps_and_training_steps_have_whole_numbers_as_ticks(sweep: Done, tmp_path: Path) -> None:
    for name in ("metrics.jsonl", "gradients.parquet", "config.yaml", "run.json"):
        shutil.copy(sweep.runs["lstm"] / name, tmp_path)
    for file in draw_run(tmp_path):
        axis = re.search(r'id="matplotlib.axis_1".*?(?=id="matplotlib.axis_2")', file_text(file), re.DOTALL)
        assert axis is not None
        ticks = [tick for tick in re.findall(r">([^<>]+)</text>", axis[0]) if tick[0] in "−0123456789"]
        assert 2 <= len(ticks) <= 8, file.name
        assert file.stem == "clipping" or all(tick.isdecimal() for tick in ticks), (file.name, ticks)


def file_text(file: Path) -> str:
    return file.with_suffix(".svg").read_text(encoding="utf-8")


def test_unrecorded_quantities_are_not_drawn(sweep: Done, tmp_path: Path) -> None:
    shutil.copy(sweep.runs["rnn"] / "metrics.jsonl", tmp_path)
    frame = pd.read_parquet(sweep.runs["rnn"] / "gradients.parquet")
    frame[frame["lag"].notna()].to_parquet(tmp_path / "gradients.parquet")
    assert [file.stem for file in draw_run(tmp_path)] == ["lag_curves", "clipping", "loss"]
    shutil.rmtree(tmp_path / "figures")
    frame[:0].to_parquet(tmp_path / "gradients.parquet")
    (tmp_path / "metrics.jsonl").write_text("")
    assert draw_run(tmp_path) == []
    assert list((tmp_path / "figures").iterdir()) == []
