"""The report of a sweep, opened as a file without a network in a real browser: `make test-browser`."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rnnlab.analysis.report.page import write_report
from tests.browser.test_charts import CHROMIUM, FLAGS, playwright
from tests.processes import TINY, run, run_info

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no {CHROMIUM}")
WIDE, NARROW = 1400, 380
ATTACK = "<img src=x onerror=document.title='attacked'><script>document.title='attacked'</script>"


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the report of a sweep with hostile run names and a hostile error message."""
    folder = tmp_path_factory.mktemp("attacked")
    sweep_result = run(folder, "-m", *TINY, "cell=rnn,lstm", "seq_len=9,20", "figures=false", "tracking=none")
    assert sweep_result.code == 0, sweep_result.err
    for path in sweep_result.runs.values():
        info = run_info(path)
        info["name"] += ATTACK
        if info["number"] == 3:
            info |= {"outcome": "failed", "summary": {"error": f"ValueError: {ATTACK}"}}
        (path / "run.json").write_text(json.dumps(info))
    write_report(folder, folder / "report.html")
    return shutil.move(folder / "report.html", tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture
def page(attacked: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Yield the page with its error messages as `complaints` and its requests as `requests`."""
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        context = browser.new_context(viewport={"width": getattr(request, "param", WIDE), "height": 900})
        context.set_offline(True)
        page = context.new_page()
        page.complaints, page.requests = [], []
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: page.requests.append(request.url))
        page.goto(f"file://{attacked}")
        yield page
        browser.close()


def test_it_needs_nothing_but_itself(page: Any, attacked: Path) -> None:
    assert page.complaints == []
    assert {url for url in page.requests if not url.startswith("data:")} == {f"file://{attacked}"}
    pictures = page.locator("figure img")
    widths = pictures.evaluate_all("images => images.map(image => image.complete && image.naturalWidth)")
    assert len(widths) >= 6 and all(width > 200 for width in widths)


def test_names_and_reasons_stay_text(page: Any) -> None:
    assert page.title().endswith("· rnnlab") and page.locator("img[src=x]").count() == 0
    assert page.locator("#failures td", has_text=f"ValueError: {ATTACK}").count() == 1
    assert page.locator("#runs td", has_text=ATTACK).count() == 4


@pytest.mark.parametrize("page", [WIDE, 800, NARROW], indirect=True)
def test_it_fits_any_width(page: Any) -> None:
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    for box in page.locator("figure img").evaluate_all(
        "all => all.map(i => i.getBoundingClientRect().toJSON())"
    ):
        assert box["width"] > 300


def natural(text: str) -> list[Any]:
    """Return a sort key that orders the numbers in a name by value."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text)]


def column(page: Any, name: str) -> list[str]:
    """Return the cells of a column of the table of runs, from top to bottom."""
    heads = page.locator("#runs th button").all_inner_texts()
    at = heads.index(name) + 1
    return page.locator(f"#runs tbody td:nth-child({at})").all_inner_texts()


@pytest.mark.parametrize("name", ["run", "seq_len", "value", "outcome"])
def test_a_click_on_a_heading_sorts_and_another_turns_it_round(page: Any, name: str) -> None:
    def in_order(values: list[str]) -> list[Any]:
        return sorted(values, key=float if name in ("seq_len", "value") else natural)

    def known(values: list[str]) -> list[str]:
        return [value for value in values if value != "–"]

    before = column(page, name)
    head = page.locator("#runs th button", has_text=name).first
    head.click()
    up = column(page, name)
    assert sorted(up) == sorted(before) and known(up) == in_order(known(up))
    head.click()
    down = column(page, name)
    assert known(down) == known(up)[::-1]
    assert down[len(known(down)) :] == ["–"] * before.count("–")  # runs without a value remain last
    assert head.locator("..").get_attribute("aria-sort") == "descending"


def test_the_keyboard_sorts_too(page: Any) -> None:
    page.locator("#runs th button").first.focus()
    page.keyboard.press("Enter")
    names = column(page, "run")
    assert names == sorted(names, key=natural)
