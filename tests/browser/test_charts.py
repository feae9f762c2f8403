"""MLflow's pages at the links of rnnlab, in a real browser: `make test-browser`."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from rnnlab.analysis import load_runs
from rnnlab.metric_table import MAIN_METRICS
from rnnlab.mlflow_mirror.charts import CELL_COLORS, group_colors
from rnnlab.mlflow_mirror.links import charts_route
from tests.commands.test_ui import free_port
from tests.entry_points import declare
from tests.processes import TINY, Done, end, finish, run, run_info, start

WIDTH, FIRST_SCREEN = 1400, 900  # pixels
MINUTE = 60_000
SECTION_HEADER = "[data-testid=experiment-view-compare-runs-section-header]"
CARD = "[data-testid=experiment-view-compare-runs-card]"
FIRST_TITLES = [
    "log10_h_lag/last vs log10_h_lag/first",
    "log10_h_time/last vs log10_h_time/first",
    "grad/horizon",
    "grad/log10_gain",
]
GENAI = {"mlflow.workflowType_v1": '"genai"', "mlflow.assistant.panelOpen_v1": "true"}


@contextmanager
def served(sweep: Done, metadata: Path) -> Iterator[str]:
    """Yield the link that `rnnlab.ui` prints while it serves a sweep."""
    settings = {"PYTHONUNBUFFERED": "1", "PYTHONPATH": declare(metadata)}
    process = start(sweep.folder, "--port", str(free_port()), module="rnnlab.ui", **settings)
    assert process.stdout is not None
    try:
        output = next(line for line in process.stdout if "Newest sweep" in line)
        yield output.partition(": ")[2].strip()
        process.send_signal(signal.SIGINT)
        finish(sweep.folder, process)
    finally:
        end(process)


@pytest.fixture(scope="module")
def few(sweep: Done, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the link to a sweep of two runs."""
    with served(sweep, tmp_path_factory.mktemp("metadata")) as link:
        yield link


@pytest.fixture(scope="module")
def many_runs(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Return a sweep of 24 runs with a report: more than MLflow shows by default."""
    settings = [key for key in TINY if not key.startswith(("seq_len", "report"))]
    axes = ("cell=rnn,lstm,gru", "seed=0,1,2,3", "seq_len=5,9")
    done = run(tmp_path_factory.mktemp("many"), "-m", *axes, *settings, "figures=false")
    assert done.code == 0, done.err
    return done


@pytest.fixture(scope="module")
def many(many_runs: Done, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the link to the sweep of many runs."""
    with served(many_runs, tmp_path_factory.mktemp("metadata")) as link:
        yield link


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """Yield a page of a browser that has never opened MLflow."""
    context = browser.new_context(viewport={"width": WIDTH, "height": FIRST_SCREEN})
    yield context.new_page()
    context.close()


def open_charts(page: Any, link: str) -> None:
    """Open a link and wait until the first chart is drawn."""
    page.goto("about:blank")
    page.goto(link)
    wait_for_charts(page)


def wait_for_charts(page: Any) -> None:
    page.locator(f"{CARD} svg path.js-line").first.wait_for(state="attached", timeout=MINUTE)
    page.locator(f"{CARD} svg g.bars path").first.wait_for(state="attached", timeout=MINUTE)


def titles(page: Any) -> list[str]:
    """Return the titles of the charts that are entirely on the first screen."""
    cards = [(card, card.bounding_box()) for card in page.locator(CARD).all()]
    return [
        card.locator("h4").inner_text()
        for card, box in cards
        if box and box["y"] > 0 and box["y"] + 0.95 * box["height"] < FIRST_SCREEN
    ]


def card_of(page: Any, title: str) -> Any:
    return page.locator(CARD).filter(has=page.locator("h4", has_text=title)).first


def colors_in(card: Any, elements: str) -> set[str]:
    colors = card.locator(f"svg {elements}").evaluate_all(
        "all => all.map(one => getComputedStyle(one)).map(style => [style.stroke, style.fill])"
    )
    return {color for pair in colors for color in pair}


def rgb(color: str) -> str:
    return f"rgb({', '.join(str(int(color[at : at + 2], 16)) for at in (1, 3, 5))})"


def check_first_look(page: Any) -> None:
    """Check that the page shows the charts of model training and nothing in their way."""
    assert page.locator(SECTION_HEADER).first.inner_text().startswith("how far gradients reach")
    assert page.get_by_text("viewing a shared view").count() == 0
    assert page.get_by_text("Ask questions about your").count() == 0  # MLflow's assistant
    assert page.get_by_role("link", name="Evaluation runs").count() == 0  # in the mode for language models
    assert page.get_by_role("link", name="Runs", exact=True).count() > 0


def test_the_first_screen_of_few_runs(page: Any, few: str) -> None:
    open_charts(page, few)
    check_first_look(page)
    assert titles(page) == FIRST_TITLES
    lags = card_of(page, FIRST_TITLES[0])
    wanted = {rgb(CELL_COLORS[cell]) for cell in ("rnn", "lstm")}
    assert wanted <= colors_in(lags, "path.js-line")
    styles = lags.locator("svg path.js-line").evaluate_all(
        "all => all.map(line => [line.style.stroke, line.style.strokeDasharray])"
    )
    assert len(set(map(tuple, styles))) == 4  # trained: solid; untrained: dashed
    text = lags.inner_text()
    assert "rnn (log10_h_lag/last)" in text and "lstm (log10_h_lag/first)" in text
    assert wanted <= colors_in(card_of(page, "grad/horizon"), "g.bars path")
    for name in ("rnn", "lstm"):
        assert page.get_by_role("link", name=name, exact=True).first.is_visible()


def test_the_first_screen_of_many_runs(page: Any, many: str, many_runs: Done) -> None:
    open_charts(page, many)
    check_first_look(page)
    assert titles(page) == FIRST_TITLES
    groups = page.get_by_text("Group: cell:")
    assert groups.count() == 6  # three cells × two lengths, each over four seeds
    colors = group_colors([run_info(folder)["params"] for folder in many_runs.runs.values()])
    assert len(set(colors.values())) == 6
    for title in FIRST_TITLES[:2]:
        lines = card_of(page, title)
        assert {rgb(color) for color in colors.values()} <= colors_in(lines, "path.js-line")
        assert lines.locator("svg path.js-fill").count() >= 6  # bands
    runs = load_runs(many_runs.folder)
    means = runs.groupby(["cell", "seq_len"], observed=True)["grad/horizon"].mean()
    labels = card_of(page, "grad/horizon").locator("svg g.bars text").all_text_contents()
    assert sorted(labels) == sorted(f"{mean:.2f}" for mean in means)


def test_a_second_visit_and_a_reload_show_the_same_page(page: Any, many: str) -> None:
    open_charts(page, many)
    page.reload()
    wait_for_charts(page)
    check_first_look(page)
    assert titles(page) == FIRST_TITLES
    page.evaluate("all => Object.entries(all).map(([key, value]) => localStorage.setItem(key, value))", GENAI)
    open_charts(page, many)
    check_first_look(page)
    assert titles(page) == FIRST_TITLES


def test_changes_by_the_reader_are_kept(page: Any, few: str) -> None:
    open_charts(page, few)
    key = next(key for key in page.evaluate("Object.keys(localStorage)") if "ExperimentPage" in key)
    saved = json.loads(page.evaluate("key => localStorage.getItem(key)", key))
    assert saved["selectedColumns"][0] == "params.`cell`"
    page.goto("about:blank")
    page.goto(few.partition("/rnnlab")[0] + "/version")
    changed = json.dumps(saved | {"selectedColumns": ["params.`lr`"]})
    page.evaluate("([key, value]) => localStorage.setItem(key, value)", [key, changed])
    open_charts(page, few)
    again = json.loads(page.evaluate("key => localStorage.getItem(key)", key))
    assert again["selectedColumns"] == ["params.`lr`"]
    changed = json.dumps(again | {"searchFilter": "tags.sweep = 'another'"})
    page.goto(few.partition("/rnnlab")[0] + "/version")
    page.evaluate("([key, value]) => localStorage.setItem(key, value)", [key, changed])
    open_charts(page, few)  # the link names this sweep
    assert page.get_by_role("link", name="lstm", exact=True).first.is_visible()


def test_the_shared_view_works_without_the_start_page(page: Any, many: str) -> None:
    """A link to a tracking server cannot change the settings of the browser."""
    query = parse_qs(urlsplit(many).query)
    route = charts_route(query["experiment"][0], query["sweep"][0])
    open_charts(page, f"{many.partition('/rnnlab')[0]}/{route}")
    assert page.locator(CARD).first.locator("h4").inner_text() == FIRST_TITLES[0]
    assert page.get_by_text("Group: cell:").count() == 6
    assert page.get_by_role("link", name="Evaluation runs").count() == 0


def test_the_table_of_runs_has_the_main_columns(page: Any, few: str) -> None:
    open_charts(page, few)
    page.goto(page.url.replace("compareRunsMode=CHART", "compareRunsMode=TABLE"))
    page.locator(".ag-header-cell", has_text="outcome").wait_for(timeout=MINUTE)
    heads = [
        (cell.bounding_box(), cell.inner_text().strip()) for cell in page.locator(".ag-header-cell").all()
    ]
    shown = [name for box, name in sorted(heads, key=lambda head: head[0]["x"] if head[0] else 0)]
    columns = ["cell", "task", "seq_len", "grad/horizon", "grad/log10_gain", "val/loss", "outcome"]
    at = shown.index("cell")
    assert shown[at : at + len(columns)] == columns


@pytest.fixture
def run_page(page: Any, many: str, many_runs: Done, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Open the page of a run at the address in the frame of runs."""
    monkeypatch.setattr("rnnlab.mlflow_mirror.links.has_start_page", lambda: True)
    row = load_runs(many_runs.folder, "cell == 'lstm'").iloc[0]
    page.goto(f"{many.partition('/rnnlab')[0]}/rnnlab/run?id={row['mlflow_run_id']}")
    page.get_by_text("About this run").wait_for(timeout=MINUTE)
    return page


def test_the_page_of_a_run_begins_with_the_run_and_its_result(run_page: Any) -> None:
    assert run_page.get_by_role("link", name="Evaluation runs").count() == 0
    assert run_page.get_by_text("Ask questions about your").count() == 0
    for text in ("task", "Outcome", "baseline", "per time step", "horizon"):
        box = run_page.get_by_text(text).first.bounding_box()
        assert box["y"] < 300, text
    table = run_page.get_by_role("table").filter(has_text="Metric").last
    names = run_page.locator("a[href*='/metric']").all_inner_texts() or table.locator("a").all_inner_texts()
    first = [name for name in MAIN_METRICS if name in names]
    assert names[: len(first)] == first and len(first) >= 10


def test_the_page_of_a_run_opens_the_report(run_page: Any) -> None:
    with run_page.expect_popup() as opened:
        run_page.get_by_role("link", name="report of the sweep").first.click()
    report = opened.value
    report.get_by_text("report.html").first.wait_for(timeout=MINUTE)
    frame = report.frame_locator("iframe")
    assert frame.locator("h1").inner_text(timeout=MINUTE)
    assert report.get_by_role("link", name="Evaluation runs").count() == 0
