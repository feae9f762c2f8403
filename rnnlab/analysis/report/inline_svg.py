"""Conversion of a figure to an SVG element for an HTML page, whose curves have names."""

import re
from urllib.parse import unquote
from xml.etree import ElementTree

from markupsafe import Markup
from matplotlib.figure import Figure

from rnnlab.analysis.figures.grouping import CURVE
from rnnlab.analysis.figures.picture_files import picture_bytes

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_REFERENCE = re.compile(r"url\(#([^)]*)\)")
_INK = re.compile("#000000|#262626|#404040")
"""Colours of the text, axes and annotations in all figures."""
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_MIN_ROUNDED = 200
"""Minimum length of the path data whose coordinates are rounded to 0.01 points."""


def inline_svg(figure: Figure, prefix: str, description: str, is_sequential: bool = False) -> Markup:
    """Return a figure as an SVG element with text as outlines.

    Each group of a curve gets the class `curve`, and the attributes `data-hue` (label of its colour) and
    `data-name` (description of its runs), from the identifier given by `curve_id`.

    Args:
        figure: Figure to convert.
        prefix: Prefix that makes identifiers unique within the page.
        description: Alternative text.
        is_sequential: True if the colours of the figure form a sequence from dark to light. In dark mode,
            such a figure is inverted; in any other figure, only text and axes change their colour.
    """
    content = picture_bytes(figure, "svg", bbox_inches="tight", transparent=True)
    root = ElementTree.fromstring(content)
    for parent in root.iter():
        for child in [child for child in parent if child.tag == f"{{{SVG}}}metadata"]:
            parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{SVG}}}")
    _prefix_references(root, prefix)
    _name_curves(root, prefix)
    for element in root.iter("path"):
        path = element.get("d", "")
        if len(path) > _MIN_ROUNDED:
            element.set("d", _LONG_NUMBER.sub(lambda number: f"{float(number[0]):.2f}", path))
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    if is_sequential:
        root.set("class", "sequential")
    else:
        for element in root.iter():
            if "style" in element.attrib:
                element.set("style", _INK.sub("currentColor", element.attrib["style"]))
    root.attrib |= {"role": "img", "aria-label": description}
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _prefix_references(root: ElementTree.Element, prefix: str) -> None:
    for element in root.iter():
        target = element.attrib.pop(f"{{{XLINK}}}href", None)
        if target is not None:
            element.set("href", f"#{prefix}{target[1:]}" if target.startswith("#") else target)
        for key, value in element.attrib.items():
            if key != "id" and "url(#" in value:
                element.set(key, _REFERENCE.sub(rf"url(#{prefix}\1)", value))


def _name_curves(root: ElementTree.Element, prefix: str) -> None:
    """Replace the identifiers of curves by attributes, and remove all others without a reference."""
    targets = {element.get("href", "").removeprefix("#") for element in root.iter()}
    for element in root.iter():
        targets.update(target for value in element.attrib.values() for target in _REFERENCE.findall(value))
    for element in root.iter():
        name = element.attrib.pop("id", "")
        if prefix + name in targets:
            element.set("id", prefix + name)
        elif name.startswith(f"{CURVE}|"):
            _, hue, text = map(unquote, name.split("|", 2))
            element.attrib |= {"class": CURVE, "data-hue": hue, "data-name": text}
