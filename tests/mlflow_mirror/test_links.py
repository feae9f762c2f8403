"""Links to pages of MLflow, for local stores and for tracking servers."""

from email.message import Message
from urllib.parse import parse_qs, urlsplit

import pytest

from rnnlab.mlflow_mirror import links
from rnnlab.mlflow_mirror.links import charts_link, charts_route, metrics_page, run_link, run_route

LOCAL = "sqlite:////somewhere/mlflow.db"
SWEEPS = pytest.mark.parametrize("sweep", ["2026-01-31_12-00-00-abc123", "größer & kleiner"])


@pytest.fixture(params=[True, False], ids=["start page", "no start page"])
def has_start_page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(links, "has_start_page", lambda: request.param)
    return bool(request.param)


@SWEEPS
def test_a_link_to_a_local_store_leads_through_the_start_page(sweep: str, has_start_page: bool) -> None:
    link = charts_link(LOCAL, "7", sweep, 5001)
    if has_start_page:
        parts = urlsplit(link)
        assert (parts.scheme, parts.netloc, parts.path) == ("http", "127.0.0.1:5001", "/rnnlab/charts")
        assert parse_qs(parts.query) == {"experiment": ["7"], "sweep": [sweep]} and not parts.fragment
    else:
        assert link == f"http://127.0.0.1:5001/{charts_route('7', sweep)}"


@SWEEPS
@pytest.mark.parametrize("server", ["http://lab.example:5000", "https://lab.example/mlflow/"])
def test_a_link_to_a_server_names_the_shared_view(sweep: str, server: str, has_start_page: bool) -> None:
    address, _, fragment = charts_link(server, "7", sweep).partition("#")
    assert address == server.rstrip("/") + "/"
    path, query = urlsplit(fragment).path, parse_qs(urlsplit(fragment).query)
    assert path == "/experiments/7/runs" and query["compareRunsMode"] == ["CHART"]
    assert query["viewStateShareKey"] == [sweep]


def test_the_page_of_a_run(has_start_page: bool) -> None:
    run_id = "a" * 32
    own = f"http://127.0.0.1:5000/rnnlab/run?id={run_id}"
    route = f"#/experiments/7/runs/{run_id}?workflowType=machine_learning"
    assert run_link(LOCAL, "7", run_id) == (own if has_start_page else f"http://127.0.0.1:5000/{route}")
    assert run_link("http://lab:9", "7", run_id) == f"http://lab:9/{route}"


def test_no_link_contains_a_password() -> None:
    for uri in ("https://me:secret@lab.example", "postgresql://me:secret@lab/db"):
        assert "secret" not in charts_link(uri, "7", "a") + run_link(uri, "7", "b")


@pytest.mark.parametrize(
    "route", [charts_route("7", "a"), charts_route("7", None), run_route("7", "b", "c.html")]
)
def test_every_route_selects_model_training(route: str) -> None:
    assert parse_qs(route.partition("?")[2])["workflowType"] == ["machine_learning"]


@pytest.mark.parametrize(
    ("addresses", "page"),
    [
        ([], "documentation of the metrics: `docs/metrics.md`"),
        (["Source, https://a.example"], "documentation of the metrics: `docs/metrics.md`"),
        (
            ["Source, https://a.example", "Documentation, https://docs.example/rnnlab/"],
            "[documentation of the metrics](https://docs.example/rnnlab/metrics.html)",
        ),
    ],
)
def test_the_documentation_is_a_link_if_its_address_is_declared(
    addresses: list[str], page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = Message()
    for address in addresses:
        declared["Project-URL"] = address
    monkeypatch.setattr(links, "metadata", lambda _: declared)
    assert metrics_page() == page
