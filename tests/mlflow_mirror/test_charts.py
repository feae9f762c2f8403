"""The link to a sweep's charts and the shared view that the link names."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from rnnlab.mlflow_mirror.charts import FIRST_CHARTS, SECTION, charts_link, shared_view

LONG = "multirun_" + "x" * 200
SWEEPS = pytest.mark.parametrize("sweep", ["2026-01-31_12-00-00-abc123", LONG, "größer & kleiner"])


@SWEEPS
def test_the_view_fits_a_tag(sweep: str) -> None:
    key, value = shared_view(sweep)
    assert len(value) <= 5000 and len(key) <= 250  # MLflow's limits


@SWEEPS
def test_the_link_names_the_view(sweep: str) -> None:
    key, _ = shared_view(sweep)
    address, _, fragment = charts_link("http://127.0.0.1:5000/", "7", sweep).partition("#")
    assert address == "http://127.0.0.1:5000/"
    path, query = urlsplit(fragment).path, parse_qs(urlsplit(fragment).query)
    assert path == "/experiments/7/runs"
    assert query["compareRunsMode"] == ["CHART"] and query["workflowType"] == ["machine_learning"]
    assert key == "mlflow.sharedViewState." + query["viewStateShareKey"][0]


@SWEEPS
def test_the_view_shows_this_sweep_and_the_fading_gradient_first(sweep: str) -> None:
    state = json.loads(shared_view(sweep)[1])
    assert state["searchFilter"] == f"tags.sweep = '{sweep}'"
    assert (state["orderByKey"], state["orderByAsc"]) == ("attributes.start_time", True)
    assert state["compareRunSections"][0]["name"] == SECTION == "how far gradients reach"
    charts = [chart["metricKey"] for chart in state["compareRunCharts"]]
    assert charts == list(FIRST_CHARTS) and charts[0] == "log10_h_lag/first"
    section = state["compareRunSections"][0]["uuid"]
    assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} == {section}
    assert len({chart["uuid"] for chart in state["compareRunCharts"]}) == len(charts)
