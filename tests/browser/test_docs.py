"""The documentation in a real browser, checked against the accessibility rules of axe-core: `make test-browser`."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.browser.pages import NARROW, SCHEMES, WIDE, check_accessibility, opened
from tests.surroundings import ROOT

DOCS = ROOT / "docs"
NO_PAGES = ("_build", "figures")
FILES = [path.relative_to(DOCS) for path in DOCS.rglob("*.md")]
PAGES = sorted(str(path.with_suffix("")) for path in FILES if path.parts[0] not in NO_PAGES)
PAGES += ["search", "genindex"]  # Sphinx adds these


@pytest.fixture(scope="module")
def built(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the documentation as HTML; without a browser, nothing is built."""
    pytest.importorskip("furo", reason="Sphinx is not installed")
    folder = tmp_path_factory.mktemp("docs")
    subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", "docs", folder], cwd=ROOT, check=True
    )
    return folder


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_violation(browser: Any, built: Path, name: str, scheme: str) -> None:
    page = opened(browser, built / f"{name}.html", WIDE, scheme)
    check_accessibility(page)
    page.context.close()


@pytest.mark.parametrize("name", PAGES)
def test_it_fits_a_narrow_screen(browser: Any, built: Path, name: str) -> None:
    page = opened(browser, built / f"{name}.html", NARROW)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    check_accessibility(page)
    page.context.close()
