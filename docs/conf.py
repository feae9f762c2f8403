"""Sphinx configuration: Markdown pages with MyST, and formulas as MathML, which needs no scripts."""

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
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
default_role = "code"  # names in docstrings are in single backticks
napoleon_use_ivar = True  # attributes of dataclasses are described once
napoleon_attr_annotations = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "rnnlab"
html_show_copyright = False
html_copy_source = False
html_static_path = ["static"]
html_css_files = ["wide.css"]
exclude_patterns = ["_build", "figures/README.md"]

LINK_ONLY = re.compile(r"\[[^]]*\]\(([^)#]+\.md)\)\s*")
"""Pattern of a page that consists of a single link; the build replaces the page with the link's target."""
LINK = re.compile(r"(\]\()([^)#:\s]+)(#[^)\s]*)?(\))")
ACCESSIBLE = {
    '<p class="caption" role="heading">': '<p class="caption" role="heading" aria-level="2">',
    '<aside class="sidebar-drawer">': '<aside aria-label="All pages" class="sidebar-drawer">',
    '<aside class="toc-drawer': '<aside aria-label="Sections of this page" class="toc-drawer',
    '<div id="search-results"></div>': '<h1>Search</h1><div id="search-results" class="results"></div>',
    '<div class="table-wrapper': '<div tabindex="0" role="group" aria-label="Table" class="table-wrapper',
    '<div class="math-wrapper': '<div tabindex="0" role="group" aria-label="Formula" class="math-wrapper',
    '<div class="highlight-text notranslate"><div class="highlight"><pre>': (
        '<div class="highlight-text notranslate"><div class="highlight"><pre tabindex="0">'
    ),
}
"""Replacements in the theme's HTML: names of landmarks, headings, and scrollable blocks in the tab order."""
KEYS = re.compile(r"<!-- keys: (\w+) -->")
METRICS = re.compile(r"<!-- metrics: (\w+) -->")


def _read(app: Sphinx, docname: str, content: list[str]) -> None:
    """Insert the tables of keys and metrics, and the repository files that pages include."""
    page = DOCS / f"{docname}.md"
    origin, text = page, content[0]
    if link_only := LINK_ONLY.fullmatch(text):
        origin = (page.parent / link_only[1]).resolve()
        text = origin.read_text(encoding="utf-8")
        app.env.note_dependency(str(origin))
    if KEYS.search(text) or METRICS.search(text):
        app.env.note_reread()  # the schema or the metrics may have changed although the page has not
    text = KEYS.sub(lambda match: keys.page(match[1]), text)
    text = METRICS.sub(lambda match: metric_tables.table(match[1]), text)

    def adapt_link(link: re.Match[str]) -> str:
        target = (origin.parent / link[2]).resolve()
        target = _included_pages().get(target, target)
        return f"{link[1]}{os.path.relpath(target, page.parent)}{link[3] or ''}{link[4]}"

    content[0] = LINK.sub(adapt_link, text)


def _included_pages() -> dict[Path, Path]:
    """Return the pages that include a file from outside docs/, by the path of that file."""
    pages = {}
    for page in DOCS.rglob("*.md"):
        if link_only := LINK_ONLY.fullmatch(page.read_text(encoding="utf-8")):
            pages[(page.parent / link_only[1]).resolve()] = page
    return pages


def _inline(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(convert(node.astext()))
    raise nodes.SkipNode


def _block(translator: HTML5Translator, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math">{convert(node.astext(), display="block")}</div>')
    raise nodes.SkipNode


def _make_accessible(app: Sphinx, exception: Exception | None) -> None:
    """Add the attributes that the HTML of the theme lacks."""
    if exception is not None or app.builder.format != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        html = page.read_text(encoding="utf-8")
        for found, replacement in ACCESSIBLE.items():
            html = html.replace(found, replacement)
        page.write_text(html, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Register the MathML output of formulas, the insertion of tables and files, and the changes of HTML."""
    app.connect("source-read", _read)
    app.connect("build-finished", _make_accessible)
    app.add_node(nodes.math, override=True, html=(_inline, None))
    app.add_node(nodes.math_block, override=True, html=(_block, None))
