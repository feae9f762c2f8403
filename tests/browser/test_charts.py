"""The chart page at the printed link, in a real browser: `make test-browser`."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.test_ui import free_port
from tests.processes import Done, end, finish, start

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
FIRST_SCREEN = 1000  # pixels
MINUTE = 60_000
SECTION_HEADER = "[data-testid=experiment-view-compare-runs-section-header]"
CARD = "[data-testid=experiment-view-compare-runs-card]"

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no {CHROMIUM}")


@pytest.fixture(scope="module")
def link(sweep: Done) -> Iterator[str]:
    """Yield the link that `rnnlab.ui` prints while it serves the session's sweep."""
    process = start(sweep.folder, "--port", str(free_port()), module="rnnlab.ui", PYTHONUNBUFFERED="1")
    assert process.stdout is not None
    try:
        output = next(line for line in process.stdout if "Newest sweep" in line)
        yield output.partition(": ")[2].strip()
        process.send_signal(signal.SIGINT)
        finish(sweep.folder, process)
    finally:
        end(process)


@pytest.fixture(scope="module")
def page(link: str) -> Iterator[object]:
    """Yield the page after its first chart is drawn."""
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": FIRST_SCREEN})
        page.goto(link)
        page.locator(f"{CARD} svg path.js-line").first.wait_for(state="attached", timeout=MINUTE)
        yield page
        browser.close()


def test_the_first_section_is_the_fading_gradient(page) -> None:  # type: ignore[no-untyped-def]
    assert page.locator(SECTION_HEADER).first.inner_text().startswith("how far gradients reach")


def test_a_fading_curve_of_every_run_is_on_the_first_screen(page) -> None:  # type: ignore[no-untyped-def]
    card = page.locator(CARD).first
    assert card.locator("h4").inner_text() == "log10_h_lag/first"
    box = card.bounding_box()
    assert box["y"] > 0 and box["y"] + box["height"] < FIRST_SCREEN and box["height"] > 200
    colours = card.locator("svg path.js-line").evaluate_all("lines => lines.map(line => line.style.stroke)")
    assert len(set(colours)) == 2
    assert "rnn (log10_h_lag/first)" in card.inner_text() and "lstm (log10_h_lag/first)" in card.inner_text()


def test_both_runs_are_listed(page) -> None:  # type: ignore[no-untyped-def]
    for name in ("rnn", "lstm"):
        assert page.get_by_role("link", name=name, exact=True).first.is_visible()
