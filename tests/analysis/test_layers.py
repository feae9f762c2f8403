"""Figures and reports of networks with several layers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnlab.analysis import (
    draw_lag_curves,
    draw_layer_curves,
    draw_layer_heatmap,
    draw_time_heatmap,
    draw_unit_heatmap,
    load_gradients,
)
from rnnlab.analysis.figures.selection import describe_layer, select_layer
from rnnlab.analysis.report.page import report_html
from tests.processes import TINY, Done, run

SWEEP = ("-m", "layers=1,2", "seed=0,1,2", *TINY, "probe=standard", "+measurement=units", "tracking=none")


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Done:
    done = run(tmp_path_factory.mktemp("deep"), *SWEEP, "figures=false")
    assert done.code == 0, done.err
    return done


@pytest.fixture(scope="module")
def gradients(deep: Done) -> pd.DataFrame:
    return load_gradients(deep.folder / "multirun")


def title_of(ax: Axes) -> str:
    return ax.get_title("left") or ax.get_title()


def test_each_run_has_all_layers_together_or_the_top_layer(gradients: pd.DataFrame) -> None:
    by_lag = gradients[gradients["lag"].notna()]
    whole = select_layer(by_lag, "state")
    assert whole.groupby("layers")["layer"].unique().map(list).to_dict() == {1: [1], 2: [0]}
    top = select_layer(by_lag, "h")
    assert top.groupby("layers")["layer"].unique().map(list).to_dict() == {1: [1], 2: [2]}
    assert (
        len(top) == by_lag[by_lag["quantity"] == "h"].groupby(["run", "step", "lag"], observed=True).ngroups
    )
    assert describe_layer(by_lag, "state") == ", all layers" and describe_layer(by_lag, "h") == ", top layer"
    single = by_lag[by_lag["layers"] == 1]
    assert describe_layer(single, "h") == ""
    plain = single.drop(columns="layer")
    assert len(select_layer(plain, "h")) == len(select_layer(single, "h")) > 0


def test_a_sweep_over_layers_has_a_report(deep: Done) -> None:
    page = report_html(next((deep.folder / "multirun").glob("*/*")))
    assert "Gradient by time step" in page and "top layer" not in page.split("<svg")[0]


def test_titles_name_the_layer_that_is_shown(gradients: pd.DataFrame) -> None:
    two = gradients[gradients["layers"] == 2]
    title = title_of(draw_lag_curves(two, Figure().subplots(), "h", hue=None))
    assert title.startswith("Lag curve of h, top layer, ")
    title = title_of(draw_lag_curves(two, Figure().subplots(), "h", hue="layer"))
    assert title.startswith("Lag curve of h, step")
    title = title_of(draw_time_heatmap(two, Figure().subplots(), run="mean"))
    assert title == "Gradient w.r.t. h by time step, top layer, mean of 3 runs"
    one = gradients[gradients["layers"] == 1]
    assert "layer" not in title_of(draw_time_heatmap(one, Figure().subplots(), run="mean"))


def test_layers_by_lag_are_those_of_the_table(gradients: pd.DataFrame) -> None:
    two = gradients[gradients["layers"] == 2]
    rows = two[(two["quantity"] == "h") & two["lag"].notna() & (two["step"] == two["step"].max())]
    right = rows.groupby(["layer", "lag"], observed=True)["log10_gmean"].mean().unstack()
    ax = draw_layer_heatmap(two, Figure().subplots(), run="mean")
    np.testing.assert_allclose(ax.collections[0].get_array(), right.to_numpy())
    assert title_of(ax).endswith(", trained, mean of 3 runs")
    lines = draw_layer_curves(two, Figure().subplots(), run="mean").lines
    solid = [line.get_ydata() for line in lines if line.get_linestyle() == "-"]
    np.testing.assert_allclose(solid, right.to_numpy())
    with pytest.raises(ValueError, match=r"^run=None: the frame has 3 runs; choose one"):
        draw_layer_heatmap(two)
    with pytest.raises(ValueError, match=r"^step='ends': must be \"first\", \"last\" or a training step$"):
        draw_layer_heatmap(two, run="mean", step="ends")


def test_units_by_time_step_are_those_of_the_table(gradients: pd.DataFrame) -> None:
    two = gradients[(gradients["layers"] == 2) & (gradients["seed"] == 0)]
    rows = two[(two["quantity"] == "h_by_unit") & (two["layer"] == 1)]
    right = rows[rows["step"] == 0].pivot(index="unit", columns="timestep", values="log10_gmean")
    ax = draw_unit_heatmap(two, Figure().subplots(), layer=1, step="first")
    np.testing.assert_allclose(ax.collections[0].get_array(), right.to_numpy(dtype=float))
    assert right.shape == (8, 9) and title_of(ax).startswith("Gradient by unit and time step, layer 1")
    with pytest.raises(ValueError, match=r"^layer=3: must be one of 1, 2$"):
        draw_unit_heatmap(two, layer=3)


def test_figures_of_a_run_include_its_layers(tmp_path: Path) -> None:
    done = run(tmp_path, "layers=2", *TINY, "tracking=none")
    (folder,) = done.runs.values()
    assert {"layer_heatmap.png", "layer_curves.svg"} <= {path.name for path in (folder / "figures").iterdir()}
