"""Phase diagrams and heat maps of many runs show every axis, or refuse runs that differ in more axes."""

import itertools

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_rgb

from rnnlab.analysis.figures.phase_diagram import MIXED, OTHER_COLORS, REGIME_COLORS, draw_phase_diagram
from rnnlab.analysis.figures.single_run import draw_time_heatmap
from tests.analysis.drawn import (
    cells,
    colors_of_cells,
    legend,
    new_figure,
    notes,
    title,
)
from tests.analysis.many_runs import (
    NAN,
    gradients_frame,
    runs_frame,
    sweep_layout,
    typed,
    with_zeros,
)

RUNS = runs_frame()
TAIL = "grad/log10_gain_tail"


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
    assert "runs per cell: 3, most frequent regime" in title(ax)


def test_a_phase_diagram_shows_every_axis_or_is_refused() -> None:
    grid = draw_phase_diagram(RUNS.assign(regime="stable"), x="seq_len", y="clip")
    assert [title(ax) for ax in grid.axes.flat] == ["cell rnn", "cell lstm"]
    plt.close(grid.figure)
    frame = RUNS.assign(lr=RUNS["clip"].isna() + 1.0)
    grid = draw_phase_diagram(frame, x="seq_len", y="seed", color="gain")
    assert [title(ax) for ax in grid.axes[0]] == ["cell rnn, clip 0.1", "cell lstm, clip 0.1"]
    for ax, (cell, clip) in zip(grid.axes.flat, itertools.product((0.1, NAN), ("rnn", "lstm")), strict=True):
        part = frame[
            (frame["cell"] == clip) & (frame["clip"].isna() if np.isnan(cell) else frame["clip"] == cell)
        ]
        expected = part.pivot(index="seed", columns="seq_len", values=TAIL)
        np.testing.assert_allclose(cells(ax), expected)
    plt.close(grid.figure)
    message = r"runs: also differ in cell and seq_len, .*runs\[runs\['cell'\] == VALUE\]"
    with pytest.raises(ValueError, match=message):
        draw_phase_diagram(RUNS, new_figure().subplots(), x="seed", y="clip")
    many = pd.concat([phases().assign(depth=depth) for depth in range(10)])
    with pytest.raises(ValueError, match="also differ in depth"):
        draw_phase_diagram(sweep_layout(many, "cell", "lr", "clip", "seed", "depth"))


def test_runs_without_a_further_axis_remain_in_a_phase_diagram() -> None:
    more = [phases(), phases().assign(cell="lstm")]
    frame = pd.concat([more[0].assign(bias="on"), more[0].assign(bias="off"), more[1].assign(bias=None)])
    laid_out = sweep_layout(frame, "cell", "lr", "clip", "seed", "bias")
    grid = draw_phase_diagram(laid_out, color="gain")
    assert [title(ax) for ax in grid.axes.flat if "nothing to show" not in notes(ax)] == [
        "cell rnn, bias on",
        "cell rnn, bias off",
        "cell lstm, bias –",
    ]
    plt.close(grid.figure)


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


def test_grid_cells_with_gain_0_are_marked_and_have_the_lowest_colour(ax: Axes) -> None:
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


@pytest.mark.parametrize("columns", [3, 20])
def test_a_phase_diagram_names_all_columns_that_fit(columns: int) -> None:
    frame = pd.concat([phases().assign(lr=0.001 * (i + 1)) for i in range(columns)], ignore_index=True)
    ax = new_figure(figsize=(3.5, 3)).subplots()
    draw_phase_diagram(frame, ax)
    named = [label.get_text() for label in ax.get_xticklabels()]
    assert len(named) == 3 if columns == 3 else 3 < len(named) < 20 and named[-1] == "0.02"
    shares = [text.get_text() for text in ax.texts]
    assert all("/" in text for text in shares) == (columns == 3), "where there is no room, the marks alone"


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
    with pytest.raises(
        ValueError, match=r"run='mean': the runs also differ in seq_len.*\['seq_len'\] == VALUE"
    ):
        draw_time_heatmap(gradients_frame(RUNS[RUNS["cell"] == "rnn"].assign(clip=1.0)), ax, run="mean")
    mean = new_figure().subplots()
    draw_time_heatmap(frame, mean, run="mean")
    np.testing.assert_allclose(cells_of(mean), np.mean(tables, axis=0))
    assert mean.get_title().endswith("mean of 3 runs")


def cells_of(ax: Axes) -> np.ndarray:
    (mesh,) = (found for found in ax.collections if isinstance(found, QuadMesh))
    return np.ma.filled(mesh.get_array().astype(float), np.nan)
