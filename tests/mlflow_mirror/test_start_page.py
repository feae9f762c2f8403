"""The start page: what it stores in the browser, and that it neither changes data nor leads elsewhere."""

import json
import re
from typing import Any
from urllib.parse import urlencode

import pytest

from rnnlab.mlflow_mirror import start_page
from rnnlab.mlflow_mirror.charts import group_colors, view_state
from rnnlab.mlflow_mirror.start_page import SETTINGS, charts_page, run_page, script
from rnnlab.mlflow_mirror.store import open_experiment
from rnnlab.mlflow_mirror.summary_run import SUMMARY_TAG, open_summary
from tests.mlflow_mirror.test_charts import SIXTY, TWELVE
from tests.security.promises import keeps

NAME = "größer </script><script>alert(1)</script>"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, str]:
    """Return a client and an experiment with the runs of a sweep."""
    client, experiment = open_experiment(f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}", "a")
    from mlflow.entities import Param

    for number, params in enumerate(TWELVE):
        run = client.create_run(experiment, number, {"sweep": NAME, "rnnlab.id": str(number)})
        client.log_batch(run.info.run_id, params=[Param(key, value) for key, value in params.items()])
    open_summary(client, experiment, NAME)
    return client, experiment


@pytest.fixture(autouse=True)
def client(store: tuple[Any, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(start_page, "_client", lambda: store[0])
    return store[0]


def request(**query: str) -> Any:
    from starlette.requests import Request

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    return Request(scope | {"query_string": urlencode(query).encode()})


def content(response: Any) -> dict[str, Any]:
    """Return the settings in a page."""
    (text,) = re.findall(
        r'<script type="application/json" id="page">(.*?)</script>', response.body.decode(), re.S
    )
    return dict(json.loads(text))


def test_it_stores_the_view_of_the_sweep_and_opens_the_charts(store: tuple[Any, str]) -> None:
    client, experiment = store
    page = content(charts_page(request(experiment=experiment, sweep=NAME)))
    assert (
        page["address"]
        == f"/#/experiments/{experiment}/runs?workflowType=machine_learning&compareRunsMode=CHART"
    )
    assert page["fallback"].startswith(page["address"] + "&viewStateShareKey=")
    (summary,) = client.search_runs([experiment], f"tags.`{SUMMARY_TAG}` != ''")
    hidden = {"runsVisibilityMap": {summary.info.run_id: False}}
    assert page["view"]["state"] == view_state(NAME, TWELVE) | hidden
    assert page["view"]["colors"] == group_colors(TWELVE)
    assert (
        page["view"]["key"] == f'MLflowLocalStorage-1.1-ExperimentPage-["{experiment}"]-ReactComponentState'
    )


def test_it_closes_the_assistant_and_selects_model_training(store: tuple[Any, str]) -> None:
    run_id = store[0].search_runs([store[1]])[0].info.run_id
    for page in (charts_page(request(experiment=store[1], sweep=NAME)), run_page(request(id=run_id))):
        assert content(page)["settings"] == SETTINGS
    assert json.loads(SETTINGS["mlflow.assistant.fab.autoOpenedOnFirstLoad_v1"]) is True
    assert json.loads(SETTINGS["mlflow.assistant.panelOpen_v1"]) is False
    assert json.loads(SETTINGS["mlflow.workflowType_v1"]) == "machine_learning"


def test_it_opens_the_page_of_a_run(store: tuple[Any, str]) -> None:
    client, experiment = store
    run_id = client.search_runs([experiment])[0].info.run_id
    page = content(run_page(request(id=run_id)))
    assert page["address"] == f"/#/experiments/{experiment}/runs/{run_id}?workflowType=machine_learning"
    assert page["view"] is None


def test_another_view_has_another_digest() -> None:
    views = [start_page.browser_view("7", name, runs) for name in "ab" for runs in (TWELVE, SIXTY)]
    assert len({view["digest"] for view in views}) == 4


@pytest.mark.parametrize(
    "query",
    [{}, {"experiment": "1"}, {"experiment": "1", "sweep": "no"}, {"experiment": "x' y", "sweep": NAME}],
)
def test_an_unknown_sweep_is_not_found(query: dict[str, str]) -> None:
    assert charts_page(request(**query)).status_code == 404


@pytest.mark.parametrize("run_id", ["", "no", "a" * 32, "../x"])
def test_an_unknown_run_is_not_found(run_id: str) -> None:
    assert run_page(request(id=run_id)).status_code == 404


@keeps("text-stays-text")
def test_names_are_escaped(store: tuple[Any, str]) -> None:
    text = charts_page(request(experiment=store[1], sweep=NAME)).body.decode()
    assert re.findall(r"<script[^>]*>", text) == [
        '<script type="application/json" id="page">',
        '<script src="/rnnlab/start_page.js">',
    ]


@keeps("text-stays-text")
def test_only_the_script_of_the_page_may_run(store: tuple[Any, str]) -> None:
    page = charts_page(request(experiment=store[1], sweep=NAME))
    for response in (page, script(request()), charts_page(request())):
        policy = response.headers["content-security-policy"]
        assert policy == "default-src 'none'; script-src 'self'; frame-ancestors 'none'"
    code = script(request())
    assert code.media_type == "text/javascript"
    text = code.body.decode()
    assert "localStorage" in text and not re.search(r"\beval\b|Function\(|innerHTML|fetch|https?:", text)


def test_the_runs_are_unchanged(store: tuple[Any, str], monkeypatch: pytest.MonkeyPatch) -> None:
    class ReadOnly:
        def __getattr__(self, name: str) -> Any:
            assert name in ("search_runs", "get_run"), name
            return getattr(store[0], name)

    monkeypatch.setattr(start_page, "_client", ReadOnly)
    assert charts_page(request(experiment=store[1], sweep=NAME)).status_code == 200
