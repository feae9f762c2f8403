r"""Literal text in figures, without formulas or control characters.

A column name such as `$x_$` is drawn literally rather than as a formula.

Matplotlib parses text between two dollar signs as a mathtext formula and raises an error if the formula is
invalid. The decorator `with_literal_text` turns off mathtext parsing for all text in a figure. Because
Matplotlib recreates the tick labels each time a figure is drawn, dollar signs in tick labels are escaped
instead. Powers of ten on logarithmic axes are still drawn as formulas.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.category import StrCategoryFormatter
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, Formatter, FuncFormatter

from rnnlab.text import sanitize

MAX_LINE_LENGTH = 80
"""Maximum length, in characters, of a line in a title or axis label."""
MAX_NAME_LENGTH = 40
"""Maximum length, in characters, of a name in a tick label or legend."""
P = ParamSpec("P")
R = TypeVar("R")


def with_literal_text(draw: Callable[P, R]) -> Callable[P, R]:
    """Wrap a drawing function so that the text of the returned Axes, Figure or FacetGrid is literal."""

    @wraps(draw)
    def draw_with_literal_text(*args: P.args, **kwargs: P.kwargs) -> R:
        drawn = draw(*args, **kwargs)
        make_text_literal(drawn)
        return drawn

    return draw_with_literal_text


def make_text_literal(drawn: Any) -> None:
    """Turn off mathtext parsing for all text in an Axes, Figure or FacetGrid, and shorten long lines."""
    for artist in drawn.flat if isinstance(drawn, np.ndarray) else [drawn]:
        root = artist if isinstance(artist, Axes) else getattr(artist, "figure", None) or artist
        axes = [root] if isinstance(root, Axes) else root.axes
        parts = list(_parts(root))
        legends = [part for part in parts if isinstance(part, Legend)]
        names = {id(text) for legend in legends for text in legend.get_texts()}
        for text in parts:
            if isinstance(text, Text):
                length = MAX_NAME_LENGTH if id(text) in names else MAX_LINE_LENGTH
                text.set_parse_math(False)
                text.set_text(_shorten_lines(text.get_text(), length))
        for axis in (axis for ax in axes for axis in (ax.xaxis, ax.yaxis)):
            formatter = axis.get_major_formatter()
            if isinstance(formatter, FixedFormatter | FuncFormatter | StrCategoryFormatter):
                axis.set_major_formatter(_NameFormatter(formatter))


@contextmanager
def allow_odd_names() -> Iterator[None]:
    """Suppress matplotlib's warnings about missing glyphs and about axes that are too small."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")
        warnings.filterwarnings("ignore", "constrained_layout not applied")
        yield


class _NameFormatter(Formatter):
    """Tick formatter that shortens names and escapes dollar signs."""

    def __init__(self, names: Formatter) -> None:
        self._names = names

    def __call__(self, x: float, pos: int | None = None) -> str:
        return _shorten_lines(self._names(x, pos), MAX_NAME_LENGTH).replace("$", r"\$")

    def set_locs(self, locs: Any) -> None:
        self._names.set_locs(locs)


def _parts(artist: Artist) -> Iterator[Artist]:
    """Yield an artist and all artists in it except ticks, which matplotlib otherwise creates only to draw."""
    yield artist
    for child in [artist.label] if isinstance(artist, Axis) else artist.get_children():
        yield from _parts(child)


def _shorten_lines(text: str, max_length: int) -> str:
    """Remove control characters and lone surrogates, and shorten long lines in the middle."""
    lines = sanitize(text.replace("\t", " ")).encode("utf-8", "replace").decode("utf-8").split("\n")
    half = max_length // 2
    return "\n".join(line if len(line) <= max_length else f"{line[:half]}…{line[-half:]}" for line in lines)
