"""Figures and reports of networks with several layers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnlab.analysis import (
    draw_lag_curves,
    draw_layer_curves,
    draw_layer_heatmap,
    draw_phase_diagram,
    draw_time_heatmap,
    draw_unit_heatmap,
    load_gradients,
    load_runs,
)
from rnnlab.analysis.figures.selection import describe_layer, select_layer
from rnnlab.analysis.frames.run_collection import RunCollection
from rnnlab.analysis.report.encodings import Encodings
from rnnlab.analysis.report.layer_figures import (
    describe_networks,
    draw_curves_of_layers,
    draw_layer_maps,
    find_deep_networks,
)
from rnnlab.analysis.report.page import report_html
from rnnlab.records import Curve, Outcome, StepRecord
from rnnlab.runs.folder import RunFolder
from tests.analysis.drawn import cells
from tests.processes import TINY, Done, run
from tests.runs.small_runs import config_of, info_of

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


def test_a_report_shows_layers_by_lag_untrained_and_trained(deep: Done, gradients: pd.DataFrame) -> None:
    page = report_html(next((deep.folder / "multirun").glob("*/*")))
    assert "Gradient by time step" in page and "top layer" not in page.split("<svg")[0]
    assert "<h3>Lag curve of each layer</h3>" in page
    rows = gradients[(gradients["layers"] == 2) & (gradients["quantity"] == "h") & gradients["lag"].notna()]
    means = (
        rows[rows["step"] == rows["step"].max()]
        .groupby(["layer", "lag"], observed=True)["log10_gmean"]
        .mean()
    )
    one, two = (f"{means[layer, 8] - means[layer, 1]:.1f}".replace("-", "−") for layer in (1, 2))
    caption = page.split("<h3>Gradient by layer and lag</h3><figcaption>")[1].split("</figcaption>")[0]
    assert (
        f"Shown: layers=2. Change after training from lag 1 to lag 8, in decades: {one} in layer 1, {two} in layer 2."
        in caption
    )


def test_a_report_of_one_layer_shows_no_layers(deep: Done) -> None:
    collection = RunCollection.find(deep.folder / "multirun", "layers == 1")
    assert find_deep_networks(collection, Encodings([]), {}) == []


def deep_run(folder: Path, number: int, outcome: Outcome, factor: float, **params: str) -> None:
    """Write the folder of a run in which the gradient of layer ℓ falls by ℓ decades per lag, later by less."""
    info = info_of(str(number)) | {"number": number, "params": params}
    with RunFolder(folder / str(number), info, config_of() | {"layers": int(params["layers"])}) as run_folder:
        for step, slope in ((0, -1.0), (10, -factor)):
            curves = []
            for layer in range(1, int(params["layers"]) + 1):
                log10 = slope * layer * np.arange(4.0)
                curves.append(
                    Curve("h", "lag", np.arange(4), *[10**log10] * 3, log10, 0 * log10, layer=layer)
                )
            run_folder.write(StepRecord(step, {}, tuple(curves)))
        run_folder.close()
        run_folder.finish(outcome, {})


def test_layers_are_those_of_the_best_condition_of_each_colour(tmp_path: Path) -> None:
    runs: list[tuple[Outcome, float, dict[str, str]]] = [
        ("finished", 0.9, {"cell": "rnn", "layers": "1", "lr": "0.1"}),
        ("finished", 0.8, {"cell": "rnn", "layers": "2", "lr": "0.1"}),
        ("finished", 0.5, {"cell": "rnn", "layers": "3", "lr": "0.1", "seed": "0"}),
        ("finished", 0.3, {"cell": "rnn", "layers": "3", "lr": "0.1", "seed": "1"}),
        ("diverged", 0.1, {"cell": "rnn", "layers": "3", "lr": "0.1", "seed": "2"}),
        ("finished", 0.7, {"cell": "rnn", "layers": "3", "lr": "0.2"}),
        ("finished", 0.2, {"cell": "gru", "layers": "2", "lr": "0.1"}),
        ("finished", 0.6, {"cell": "gru", "layers": "3", "lr": "0.2"}),
    ]
    for number, (outcome, factor, params) in enumerate(runs):
        deep_run(tmp_path, number, outcome, factor, **params)
    encodings = Encodings(["cell", "layers", "lr"], hue="cell")
    collection = RunCollection.find(tmp_path)
    networks = find_deep_networks(collection, encodings, {"cell": "rnn", "layers": 1, "lr": 0.1})
    assert [dict(network.values) for network in networks] == [
        {"cell": "rnn", "layers": "3", "lr": "0.1"},
        {"cell": "gru", "layers": "2", "lr": "0.1"},
    ]
    assert networks[0].descriptions == (
        "step 0, untrained, mean of 2 runs",
        "step 10, trained, mean of 2 runs",
    )
    np.testing.assert_allclose(networks[0].maps[1].loc[2], -0.8 * np.arange(4))
    assert describe_networks(networks) == (
        "Shown: lr=0.1. Change after training from lag 1 to lag 3, in decades: cell=rnn layers=3: −0.8 in layer 1, "
        "−1.6 in layer 2, −2.4 in layer 3; cell=gru layers=2: −0.4 in layer 1, −0.8 in layer 2."
    )
    axes = draw_layer_maps(networks)
    scales = {ax.collections[0].get_clim() for ax in axes.flat}
    assert axes.shape == (2, 2) and scales == {(-9.0, 0.0)}
    curves = draw_curves_of_layers(networks)
    assert len({ax.get_ylim() for ax in curves.flat}) == 1
    assert [len(ax.lines) for ax in curves.flat] == [6, 4]
    plt.close("all")


def test_a_phase_diagram_has_layers_as_an_axis(deep: Done) -> None:
    runs = load_runs(deep.folder / "multirun")
    ax = draw_phase_diagram(runs, Figure().subplots(), x="layers", y="seed", color="gain")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "2"]
    assert ax.get_xlabel() == "layers"
    right = runs.pivot(index="seed", columns="layers", values="grad/log10_gain_tail")
    np.testing.assert_allclose(cells(ax), right.to_numpy(dtype=float))


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
    limited = draw_layer_heatmap(two, Figure().subplots(), run="mean", limits=(-4, 1))
    assert limited.collections[0].get_clim() == (-4, 1)
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
