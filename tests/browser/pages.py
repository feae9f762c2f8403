"""Pages opened as files in a browser without a network, and their check against the rules of axe-core."""

from pathlib import Path
from typing import Any

import pytest

WIDE, NARROW = 1400, 380
SCHEMES = ("light", "dark")
MIN_PASSES = 30
"""Minimum number of rules of axe-core that apply to a page; fewer mean that the page was not loaded."""


def opened(browser: Any, path: Path, width: int = WIDE, scheme: str = "light") -> Any:
    """Return a page with its error messages as `complaints` and its requests as `requests`."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    context.set_offline(True)
    page = context.new_page()
    page.complaints, page.requests = [], []
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda request: page.requests.append(request.url))
    page.goto(f"file://{path}")
    return page


def check_accessibility(page: Any) -> None:
    """Check a page against the accessibility rules of axe-core."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert len(found.response["passes"]) > MIN_PASSES
