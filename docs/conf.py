"""How Sphinx makes the pages: Markdown by MyST, formulas as MathML, which browsers draw without a script."""

import os
import re
import sys
from pathlib import Path

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path.insert(0, str(ROOT))

from docs import keys, metric_tables  # noqa: E402

project = "rnnlab"
extensions = ["myst_parser"]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "rnnlab"
html_show_copyright = False
html_copy_source = False
html_static_path = ["static"]
html_css_files = ["wide.css"]
exclude_patterns = ["_build", "figures/README.md"]

WHOLE = re.compile(r"\[[^]]*\]\(([^)#]+\.md)\)\s*")
"""A page that is nothing but a link stands for the file that it leads to."""
LINK = re.compile(r"(\]\()([^)#:\s]+)(#[^)\s]*)?(\))")
KEYS = re.compile(r"<!-- keys: (\w+) -->")
METRICS = re.compile(r"<!-- metrics: (\w+) -->")


def _read(app: Sphinx, docname: str, content: list[str]) -> None:
    """Put in the tables of keys and metrics, and files of the repository that are pages here."""
    page = DOCS / f"{docname}.md"
    origin, text = page, content[0]
    if stands_for := WHOLE.fullmatch(text):
        origin = (page.parent / stands_for[1]).resolve()
        text = origin.read_text(encoding="utf-8")
        app.env.note_dependency(str(origin))
    if KEYS.search(text) or METRICS.search(text):
        app.env.note_reread()  # the schema or the table may have changed, and the page has not
    text = KEYS.sub(lambda found: keys.page(found[1]), text)
    text = METRICS.sub(lambda found: metric_tables.table(found[1]), text)

    def relinked(link: re.Match[str]) -> str:
        linked = (origin.parent / link[2]).resolve()
        place = _pages().get(linked, linked)
        return f"{link[1]}{os.path.relpath(place, page.parent)}{link[3] or ''}{link[4]}"

    content[0] = LINK.sub(relinked, text)


def _pages() -> dict[Path, Path]:
    """The pages that stand for a file elsewhere, by that file."""
    found = {}
    for page in DOCS.rglob("*.md"):
        if stands_for := WHOLE.fullmatch(page.read_text(encoding="utf-8")):
            found[(page.parent / stands_for[1]).resolve()] = page
    return found


def _inline(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(convert(node.astext()))
    raise nodes.SkipNode


def _block(translator: HTML5Translator, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math">{convert(node.astext(), display="block")}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Draw formulas as MathML, and fill in what comes from elsewhere."""
    app.connect("source-read", _read)
    app.add_node(nodes.math, override=True, html=(_inline, None))
    app.add_node(nodes.math_block, override=True, html=(_block, None))
