"""The view of a sweep on MLflow's chart page."""

import json
from collections.abc import Mapping, Sequence
from colorsys import rgb_to_hls
from itertools import product
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb

from rnnlab.analysis.figures import style
from rnnlab.metric_table import is_shown
from rnnlab.mlflow_mirror.charts import (
    CELL_COLORS,
    LARGEST_LAYOUT,
    LAYOUTS,
    MAX_TAG,
    SECTION,
    group_axes,
    group_colors,
    run_colors,
    shared_view,
    swept_axes,
    view_state,
)

LONG = "multirun_" + "x" * 191
SWEEPS = pytest.mark.parametrize("sweep", ["2026-01-31_12-00-00-abc123", LONG, "größer & kleiner"])
FIXED = {"cell": "rnn", "task": "char_lm", "seq_len": "50", "lr": "0.002", "seed": "0"}
CELLS, SEEDS = ("rnn", "lstm", "gru"), ("0", "1", "2", "3", "4")


def runs_of(**axes: Sequence[str]) -> list[Mapping[str, str]]:
    """Return the parameters of the runs of a sweep over the product of axes."""
    return [FIXED | dict(zip(axes, values, strict=True)) for values in product(*axes.values())]


TWO = runs_of(cell=CELLS[:2])
TWELVE = runs_of(cell=CELLS, seed=SEEDS[:4])
SIXTY = runs_of(cell=CELLS, seed=SEEDS, seq_len=("20", "50"), lr=("0.01", "0.1"))
MANY = runs_of(cell=CELLS, lr=[str(number) for number in range(100)], seed=SEEDS)


def lightness(color: str) -> float:
    return rgb_to_hls(*to_rgb(color))[1]


def hue_of(color: str) -> float:
    return rgb_to_hls(*to_rgb(color))[0]


def keys_of(state: Mapping[str, Any]) -> list[str]:
    return [key["groupByData"] for key in state["groupBy"]["groupByKeys"]]


@SWEEPS
@pytest.mark.parametrize("runs", [[], TWO, TWELVE, SIXTY, MANY])
def test_the_view_fits_a_tag(sweep: str, runs: list[Mapping[str, str]]) -> None:
    key, value = shared_view(sweep, runs)
    assert len(value) <= MAX_TAG == 5000 and len(key) <= 250  # limits of any MLflow server
    state, stored = view_state(sweep, runs), json.loads(value)
    assert stored == state or stored == state | {"groupsExpanded": {}}


@SWEEPS
def test_the_view_shows_the_runs_of_this_sweep_in_order(sweep: str) -> None:
    key, _ = shared_view(sweep, TWO)
    state = view_state(sweep, TWO)
    assert key == f"mlflow.sharedViewState.{sweep}"
    assert state["searchFilter"] == f"tags.sweep = '{sweep}'"
    assert (state["orderByKey"], state["orderByAsc"]) == ("attributes.start_time", True)


def test_the_first_charts_show_the_vanishing_gradient() -> None:
    state = view_state("a", TWO)
    charts = {chart["metricKey"]: chart for chart in state["compareRunCharts"]}
    first = list(charts)[:4]
    assert first == ["log10_h_lag/last", "log10_h_time/last", "grad/horizon", "grad/log10_gain"]
    for name in ("lag", "time"):  # untrained and trained on one scale
        shown = charts[f"log10_h_{name}/last"]
        assert shown["selectedMetricKeys"] == [f"log10_h_{name}/last", f"log10_h_{name}/first"]
        assert shown["displayPoints"] is False
    assert charts["grad/horizon"]["type"] == "BAR"
    assert {chart["type"] for name, chart in charts.items() if name != "grad/horizon"} == {"LINE"}
    (section,) = state["compareRunSections"]
    assert section["name"] == SECTION == "how far gradients reach"
    assert {chart["metricSectionId"] for chart in charts.values()} == {section["uuid"]}
    assert len({chart["uuid"] for chart in charts.values()}) == len(charts)
    assert all(is_shown(key) for chart in charts.values() for key in chart.get("selectedMetricKeys", ()))


@pytest.mark.parametrize("runs", [TWO, TWELVE, SIXTY, MANY])
def test_every_run_is_shown(runs: list[Mapping[str, str]]) -> None:
    assert view_state("a", runs)["runsHiddenMode"] == "SHOW_ALL"


@pytest.mark.parametrize(
    ("runs", "axes"),
    [
        (TWELVE, ["cell"]),
        (SIXTY, ["cell", "seq_len", "lr"]),
        (runs_of(lr=("1", "2"), seed=SEEDS[:3]), ["lr"]),
        (runs_of(lr=("1", "2"), cell=CELLS, seed=SEEDS), ["cell", "lr"]),
        (runs_of(seed=SEEDS), ["cell"]),
    ],
)
def test_many_seeds_are_grouped_cell_first(runs: list[Mapping[str, str]], axes: list[str]) -> None:
    state = view_state("a", runs)
    assert keys_of(state) == group_axes(runs) == axes
    assert state["groupBy"]["aggregateFunction"] == "average"
    assert set(state["groupsExpanded"]) == set(group_colors(runs))
    assert not any(state["groupsExpanded"].values())


@pytest.mark.parametrize("runs", [TWELVE, SIXTY, MANY])
def test_a_group_holds_one_configuration(runs: list[Mapping[str, str]]) -> None:
    """Only seeds are averaged: nothing is pooled over an axis that was swept for its own sake."""
    axes = group_axes(runs)
    groups: dict[tuple[str, ...], set[tuple[tuple[str, str], ...]]] = {}
    for run in runs:
        rest = tuple(sorted((key, value) for key, value in run.items() if key != "seed"))
        groups.setdefault(tuple(run[axis] for axis in axes), set()).add(rest)
    assert all(len(configurations) == 1 for configurations in groups.values())


@pytest.mark.parametrize(
    "runs", [TWO, runs_of(cell=CELLS, seed=SEEDS[:2]), runs_of(cell=CELLS, lr=SEEDS, seq_len=SEEDS)]
)
def test_fewer_than_three_seeds_stay_single_runs(runs: list[Mapping[str, str]]) -> None:
    state = view_state("a", runs)
    assert state["groupBy"] is None and state["groupsExpanded"] == {}


def test_the_ids_of_groups_are_those_of_mlflow() -> None:
    assert group_colors(TWELVE) == {f"param.cell.{cell}": CELL_COLORS[cell] for cell in CELLS}
    assert set(group_colors(SIXTY)) == {
        f"param.cell.{cell},param.seq_len.{length},param.lr.{lr}"
        for cell, length, lr in product(CELLS, ("20", "50"), ("0.01", "0.1"))
    }
    unequal = [{"cell": "rnn", "own": "1", "seed": seed} for seed in SEEDS] + [{"cell": "rnn"}]
    assert set(group_colors(unequal)) == {"param.own.1", "param.own.null"}


def test_each_cell_has_the_colour_of_our_figures() -> None:
    assert {cell: to_hex(color) for cell, color in style.CELL_COLORS.items()} == CELL_COLORS
    assert run_colors(TWELVE) == [CELL_COLORS[run["cell"]] for run in TWELVE]
    assert run_colors([FIXED | {"cell": "lstm"}]) == [CELL_COLORS["lstm"]]  # a single run
    own = run_colors(runs_of(cell=("leaky", "rnn", "other")))
    assert own[1] == CELL_COLORS["rnn"] and len(set(own)) == 3


def test_groups_of_one_cell_are_shades_of_its_colour() -> None:
    assert len(set(group_colors(SIXTY).values())) == 12
    for cell, color in CELL_COLORS.items():
        shades = [
            shade for name, shade in group_colors(SIXTY).items() if name.startswith(f"param.cell.{cell},")
        ]
        assert shades == sorted(shades, key=lightness), "from dark to light, in the order of the sweep"
        steps = np.diff([lightness(shade) for shade in shades])
        assert min(steps) > 0.08
        assert np.ptp([hue_of(shade) for shade in [*shades, color]]) < 0.01
        assert lightness(shades[0]) > 0.1 and lightness(shades[-1]) < 0.8, "visible on white and on black"
    three = list(group_colors(runs_of(cell=CELLS[:2], lr=("1", "2", "3"), seed=SEEDS)).values())
    assert three[1] == CELL_COLORS["rnn"] and three[4] == CELL_COLORS["lstm"]


def test_single_runs_of_one_cell_have_shades_too() -> None:
    runs = runs_of(cell=CELLS, lr=("1", "2"), seed=SEEDS[:2])
    shades = dict(zip(((run["cell"], run["lr"]) for run in runs), run_colors(runs), strict=True))
    assert len(set(shades.values())) == 6
    assert run_colors(runs) == [shades[run["cell"], run["lr"]] for run in runs], "seeds have the same shade"


def test_without_several_cells_the_first_axis_has_the_colours() -> None:
    colors = run_colors(runs_of(lr=("1", "2", "3"), seed=SEEDS[:2]))
    assert colors[0] == colors[1] != colors[2] == colors[3] and len(set(colors)) == 3


def test_the_first_page_of_many_runs_includes_every_cell() -> None:
    """MLflow loads 100 runs at once, in the order of the view."""
    key = view_state("a", MANY)["orderByKey"]
    assert key == "params.`seed`" and swept_axes(MANY)[-1] == "seed"
    page = sorted(MANY, key=lambda run: run["seed"])[:100]  # a stable sort, as the runs started
    assert len(page) == 100 and {run["seed"] for run in page} == {"0"}
    mixed = runs_of(cell=CELLS, lr=[str(number) for number in range(50)])
    assert view_state("a", mixed)["orderByKey"] == "params.`lr`"
    assert {run["cell"] for run in sorted(mixed, key=lambda run: run["lr"])[:100]} == set(CELLS)


def test_the_table_of_runs_has_the_main_columns() -> None:
    state = view_state("a", SIXTY)
    params = [f"params.`{name}`" for name in ("cell", "task", "seq_len", "lr")]
    results = ["metrics.`grad/horizon`", "metrics.`grad/log10_gain`", "metrics.`val/loss`", "tags.`outcome`"]
    seed = ["params.`seed`"]
    assert state["selectedColumns"] == params + results + seed, "MLflow averages the seeds of a group"
    assert state["columnOrder"] == state["selectedColumns"]
    single = view_state("a", runs_of(cell=CELLS, lr=("1", "2"), seed=SEEDS[:2]))
    assert single["selectedColumns"] == params + seed + results


@pytest.mark.parametrize(
    ("runs", "layout"),
    [(TWO, LAYOUTS[8]), (TWELVE, LAYOUTS[8]), (SIXTY, LAYOUTS[14]), (MANY, LARGEST_LAYOUT)],
)
def test_many_bars_have_taller_charts(runs: list[Mapping[str, str]], layout: dict[str, int]) -> None:
    (section,) = view_state("a", runs)["compareRunSections"]
    assert layout.items() <= section.items()
