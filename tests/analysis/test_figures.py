"""Figures show the numbers of their frame."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh

from rnnlab.analysis.figures import draw_lag_curves, draw_losses, draw_run, draw_time_heatmap
from tests.commands import Done

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
    ax.figure.canvas.draw()  # where values that cannot be drawn would raise


@pytest.mark.parametrize(("quantity", "level"), [("h", 0.0), ("state", 1.0)])
def test_lag_curves(gradients: pd.DataFrame, ax: Axes, quantity: str, level: float) -> None:
    assert draw_lag_curves(gradients, ax, quantity) is ax
    expected = [[level - step, level - 2 - step, level - 4 - step, NAN] for step in (0, 1, 100)]
    assert [x for x, _ in lines(ax)] == [[0, 1, 2, 3]] * 3
    np.testing.assert_allclose([y for _, y in lines(ax)], expected)
    assert "lag k" in ax.get_xlabel() and r"\log_{10}" in ax.get_ylabel()
    assert quantity in ax.get_title(loc="left") + ax.get_title()
    assert colorbar_label(ax) == "training step"
    draw(ax)


def test_lag_curves_of_many_steps_show_the_first_and_the_last(ax: Axes) -> None:
    frame = pd.DataFrame(
        [(step, "state", None, lag, float(-lag * step)) for step in range(40) for lag in range(3)],
        columns=["step", "quantity", "timestep", "lag", "log10_gmean"],
    )
    draw_lag_curves(frame, ax)
    shown = [y[1] for _, y in lines(ax)]
    assert 5 <= len(shown) <= 20 and shown[0] == 0 and shown[-1] == -39
    assert len({line.get_color() for line in ax.lines}) == len(shown)


def test_the_heat_map(gradients: pd.DataFrame, ax: Axes) -> None:
    assert draw_time_heatmap(gradients, ax) is ax
    expected = [[-t - step / 10 for t in range(3)] + [NAN] for step in (0, 1, 100)]
    np.testing.assert_allclose(mesh(ax), expected)
    assert ax.get_xlabel() == "time step t" and ax.get_ylabel().startswith("training step")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["0", "1", "100"]
    assert "total gradient at h" in colorbar_label(ax)
    draw(ax)


def test_losses(ax: Axes) -> None:
    metrics = pd.DataFrame(
        {"step": [0, 1, 2, 3], "train/loss": [4.0, 2.0, 3.0, NAN], "val/loss": [4.5, NAN, NAN, 2.5]}
    )
    assert draw_losses(metrics, ax) is ax
    assert lines(ax) == [([0, 1, 2], [4, 2, 3]), ([0, 1, 2], [3, 3, 3]), ([0, 3], [4.5, 2.5])]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("training step", "loss (nats)")
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "training",
        "training, mean of 50 steps",
        "validation",
    ]
    draw(ax)


def test_figures_of_a_single_step(gradients: pd.DataFrame, ax: Axes) -> None:
    draw_lag_curves(gradients.query("step == 0"), ax)
    assert len(lines(ax)) == 1
    draw(ax)


def test_a_heat_map_of_a_single_step_and_time_step(gradients: pd.DataFrame, ax: Axes) -> None:
    draw_time_heatmap(gradients.query("step == 0 and timestep == 1"), ax)
    assert mesh(ax).tolist() == [[0.0]]
    draw(ax)


def test_losses_of_a_single_step(ax: Axes) -> None:
    draw_losses(pd.DataFrame({"step": [0], "train/loss": [2.0]}), ax)
    assert lines(ax)[0] == ([0], [2])
    draw(ax)


@pytest.mark.parametrize("missing", [NAN, None])
def test_figures_without_any_finite_value(gradients: pd.DataFrame, missing: float | None, ax: Axes) -> None:
    empty = gradients.assign(log10_gmean=missing)
    draw_lag_curves(empty, ax)
    draw(ax)
    draw_time_heatmap(empty, ax.figure.add_axes((0, 0, 1, 1)))
    draw(ax)
    draw_losses(pd.DataFrame({"step": [0], "train/loss": [missing]}), ax.figure.add_axes((0, 0, 1, 1)))
    draw(ax)


def test_a_run_is_drawn_into_its_folder(sweep: Done, tmp_path: Path) -> None:
    for name in ("metrics.jsonl", "gradients.parquet"):
        shutil.copy(sweep.runs["lstm"] / name, tmp_path)
    drawn = draw_run(tmp_path)
    assert [file.name for file in drawn] == ["lag_curves.png", "time_heatmap.png", "loss.png"]
    assert all(file.parent == tmp_path / "figures" and file.stat().st_size > 5000 for file in drawn)


def test_what_was_not_recorded_is_not_drawn(sweep: Done, tmp_path: Path) -> None:
    shutil.copy(sweep.runs["rnn"] / "metrics.jsonl", tmp_path)
    frame = pd.read_parquet(sweep.runs["rnn"] / "gradients.parquet")
    frame[frame["lag"].notna()].to_parquet(tmp_path / "gradients.parquet")
    assert [file.stem for file in draw_run(tmp_path)] == ["lag_curves", "loss"]
    frame[:0].to_parquet(tmp_path / "gradients.parquet")
    (tmp_path / "metrics.jsonl").write_text("")
    assert draw_run(tmp_path) == []
