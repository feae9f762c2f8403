"""A figure that is drawn once for both formats looks as if it were drawn for each."""

import io
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from rnnlab.analysis.figures.picture_files import picture_bytes
from rnnlab.analysis.figures.style import figure_style
from rnnlab.analysis.figures.two_formats import draw_png_and_svg

DPI = 120
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def figure() -> Figure:
    with matplotlib.rc_context(figure_style()):
        figure = Figure(figsize=(7, 4.2))
        left, right = figure.subplots(1, 2)
        left.plot([0, 1, 2], [0, 30, 1], "--", label="clipped")
        left.plot([0, 1, 2], [3, 2, 1], "o-", color="C3", linewidth=3, label="marked")
        left.scatter([0.5, 1.5], [4, 4], s=400, color=["C0", "C2"])
        left.text(1, 5, "turned", rotation=90)
        left.set(ylim=(0, 6), xlabel="x", title="$a_1$ and b")
        left.legend(loc="upper right")
        mesh = right.pcolormesh(np.arange(20.0).reshape(4, 5), rasterized=True)
        figure.colorbar(mesh, ax=right)
    return figure


def pixels(png: bytes) -> np.ndarray:
    """Return the mean colour of blocks of 12 × 12 pixels, which a letter shifted by a pixel hardly changes."""
    image = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), float)
    return image.reshape(504 // 12, 12, 840 // 12, 12, 3).mean(axis=(1, 3))


def test_both_files_show_what_separate_files_show(figure: Figure) -> None:
    with matplotlib.rc_context(figure_style()):
        expected = [picture_bytes(figure, form, dpi=DPI) for form in ("png", "svg")]
        png, svg = draw_png_and_svg(figure, DPI)
    difference = np.abs(pixels(png) - pixels(expected[0])).max(axis=2)
    assert difference.max() < 30  # 19 for letters, 43 for markers of another size
    with Image.open(io.BytesIO(png)) as image:
        assert image.size == (840, 504) and round(image.info["dpi"][0]) == DPI
    drawn, separate = (ElementTree.fromstring(content) for content in (svg, expected[1]))
    assert drawn.attrib == separate.attrib
    for tag in ("image", "text"):
        there, expected_there = (list(tree.iter(f"{SVG}{tag}")) for tree in (drawn, separate))
        assert [node.text for node in there] == [node.text for node in expected_there]
        for name in ("x", "y", "width", "height", "transform"):
            assert [n.get(name) for n in there] == [n.get(name) for n in expected_there], (tag, name)
    assert figure.dpi == matplotlib.rcParamsDefault["figure.dpi"]


def test_the_same_figure_gives_the_same_files(figure: Figure) -> None:
    with matplotlib.rc_context(figure_style()):
        assert draw_png_and_svg(figure, DPI) == draw_png_and_svg(figure, DPI)
