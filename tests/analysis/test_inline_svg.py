"""Figures in a report: SVG elements with unique identifiers, named curves and no reference to another file."""

import itertools
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from rnnlab.analysis.figures.grouping import curve_id
from rnnlab.analysis.figures.picture_files import picture_bytes
from rnnlab.analysis.figures.style import figure_style
from rnnlab.analysis.report.inline_svg import inline_svg
from rnnlab.analysis.report.page import report_html, write_report
from tests.analysis.synthetic_sweeps import write_sweep

HOSTILE = (
    "a|b",
    "100 %7C",
    "$x_{1}$",
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "&lt;b&gt;",
    "]]>--><!--",
    "url(#clip)",
)
MAX_PAGE = 1_500_000
"""Largest size of the report of 60 runs in bytes."""


class Elements(HTMLParser):
    """The start tags of a page with their attributes, and for each whether an SVG element contains it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str], bool]] = []
        self._depth = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._depth += tag == "svg"
        self.found.append((tag, {name: value or "" for name, value in attrs}, self._depth > 0))

    def handle_endtag(self, tag: str) -> None:
        self._depth -= tag == "svg"


def references(attributes: dict[str, str]) -> list[str]:
    """Return the targets of all references in the attributes of an element."""
    targets = [value for name, value in attributes.items() if name in ("href", "xlink:href", "src")]
    return targets + [
        found for name, value in attributes.items() if not name.startswith(("data-", "aria-"))
        for found in re.findall(r"url\(([^)]*)\)", value)
    ]  # fmt: skip


def check_page(page: str) -> list[dict[str, str]]:
    """Check the identifiers and references of a page, and return the attributes of its curves."""
    elements = Elements(page).found
    ids = Counter(attributes["id"] for _, attributes, _ in elements if "id" in attributes)
    assert [name for name, count in ids.items() if count > 1] == []
    inside = [(tag, attributes) for tag, attributes, in_figure in elements if in_figure]
    assert {tag for tag, _ in inside} <= {
        "svg",
        "defs",
        "style",
        "g",
        "path",
        "use",
        "clippath",
        "rect",
        "image",
    }
    for _, attributes in inside:
        assert not any(name.startswith("on") for name in attributes)
        for target in references(attributes):
            assert target.startswith("data:image/png;base64,") or target[:1] == "#", target
            assert target[:1] != "#" or target[1:] in ids, f"{target} is not on the page"
    assert "http://" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)
    assert "https://" not in page and "@import" not in page
    return [attributes for _, attributes in inside if attributes.get("class") == "curve"]


def named_figure(hue: str, text: str) -> Figure:
    """Return a figure with two named curves and a legend."""
    with matplotlib.rc_context(figure_style() | {"svg.fonttype": "path"}):
        figure = Figure()
        ax = figure.subplots()
        for shift in (0, 1):
            part = pd.DataFrame({"hue": [hue]})
            ax.plot(
                np.arange(300),
                np.sin(np.arange(300)) + shift,
                gid=curve_id(part, f"{text} {shift}"),
                label="a",
            )
        ax.legend()
    return figure


@pytest.mark.parametrize("name", HOSTILE)
def test_a_curve_keeps_its_name_and_colour_label(name: str) -> None:
    svg = str(inline_svg(named_figure(name, f"cell {name}"), "p-", name))
    curves = check_page(svg)
    assert [(curve["data-hue"], curve["data-name"]) for curve in curves] == [
        (name, f"cell {name} 0"),
        (name, f"cell {name} 1"),
    ]
    root = ElementTree.fromstring(svg)
    assert root.attrib["aria-label"] == name and root.attrib["role"] == "img"


def test_coordinates_are_rounded_to_a_hundredth_of_a_point() -> None:
    figure = named_figure("a", "b")
    exact = ElementTree.fromstring(picture_bytes(figure, "svg", bbox_inches="tight", transparent=True))
    rounded = ElementTree.fromstring(str(inline_svg(figure, "p-", "text")))
    pairs = [
        (one.attrib["d"], other.attrib["d"])
        for one, other in zip(
            exact.iter("{http://www.w3.org/2000/svg}path"), rounded.iter("path"), strict=True
        )
        if len(one.attrib["d"]) > 1000
    ]
    assert len(pairs) >= 2
    for before, after in pairs:
        numbers = [np.array(re.findall(r"-?\d+\.?\d*", path), dtype=float) for path in (before, after)]
        np.testing.assert_allclose(*numbers, atol=0.00501)
        assert not re.search(r"\d\.\d{3}", after) and len(after) < len(before)


def test_two_figures_on_one_page_share_no_identifier() -> None:
    figure = named_figure("a", "b")
    one, other = (inline_svg(figure, prefix, "text") for prefix in ("f1-", "f2-"))
    check_page(f"<main>{one}{other}</main>")
    same = Counter(re.findall(r' id="([^"]*)"', f"{one}{one}"))
    assert max(same.values()) == 2, "the prefix is what keeps them apart"


def test_only_a_figure_with_a_sequence_of_colours_is_inverted_in_dark_mode() -> None:
    plain, inverted = (str(inline_svg(named_figure("a", "b"), "p-", "t", kind)) for kind in (False, True))
    assert 'class="sequential"' in inverted and 'class="sequential"' not in plain
    assert "currentColor" in plain and "#262626" not in plain
    assert "#262626" in inverted and "currentColor" not in inverted


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of a sweep whose cells and further axis have hostile names."""
    folder = tmp_path_factory.mktemp("hostile")
    write_sweep(folder, {"cell": HOSTILE[:5], "init": HOSTILE[5:], "seed": ("0", "1", "2")}, steps=20)
    return report_html(folder)


def test_every_curve_of_a_page_has_a_name_and_a_button(hostile_page: str) -> None:
    curves = check_page(hostile_page)
    in_main = [curve for curve in curves if re.search(r"mean of 3 runs, cell ", curve["data-name"])]
    pairs = {(cell, init) for cell, init in itertools.product(HOSTILE[:5], HOSTILE[5:])}
    names = {curve["data-name"] for curve in in_main}
    for cell, init in pairs:
        assert any(f"cell {cell}" in name and f"init {init}" in name for name in names), (cell, init)
    buttons = {attributes["data-hue"] for tag, attributes, _ in Elements(hostile_page).found if tag == "button" and "data-hue" in attributes}  # fmt: skip
    assert buttons == set(HOSTILE[:5]) and {curve["data-hue"] for curve in curves} == buttons


def test_hostile_names_are_text_on_the_page(hostile_page: str) -> None:
    elements = Elements(hostile_page).found
    assert [attributes for tag, attributes, _ in elements if tag == "script"] == [{}]
    assert not any(tag == "img" for tag, _, _ in elements)
    assert "<script>alert(1)</script>" not in hostile_page
    assert not any(name.startswith("on") for _, attributes, _ in elements for name in attributes)


@pytest.mark.parametrize(
    "axes",
    [
        {
            "cell": ("rnn", "lstm", "gru"),
            "lr": ("0.1", "0.01"),
            "clip": ("1", "null"),
            "seed": tuple("01234"),
        },
        {"cell": ("rnn", "lstm"), "lr": tuple(f"{0.001 * (number + 1):g}" for number in range(30))},
    ],
    ids=["12 conditions of 5 seeds", "60 conditions of 1 run"],
)
def test_the_page_of_60_runs_has_at_most_a_megabyte_and_a_half(tmp_path: Path, axes: Any) -> None:
    write_sweep(tmp_path / "sweep", axes, length=100, steps=400, every=5)
    write_report(tmp_path / "sweep", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    curves = check_page(page)
    assert "60 runs in total" in page and len(curves) >= (24 if "seed" in axes else 120)
    if "seed" not in axes:
        names = {f"cell={cell} lr={lr}" for cell in axes["cell"] for lr in axes["lr"]}
        both_ends = {
            f"run {name}, step {step}" for name in names for step in ("0, untrained", "400, trained")
        }
        assert both_ends <= {curve["data-name"] for curve in curves}
    assert (tmp_path / "page.html").stat().st_size <= MAX_PAGE
