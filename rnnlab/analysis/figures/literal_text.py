r"""Names in figures are drawn as they are: a column `$x_$` is no formula, a control character no command.

Matplotlib takes text between two dollars for a formula, and refuses one that it cannot parse. A drawing
function marked `with_literal_text` ends with all its texts as plain ones; labels of ticks, which are made
anew whenever a figure is drawn, have their dollars escaped. Numbers on logarithmic axes stay formulas.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.category import StrCategoryFormatter
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, Formatter, FuncFormatter

from rnnlab.text import sanitize

MAX_LINE_LENGTH = 80
"""Characters of a line of a title or a label."""
MAX_NAME_LENGTH = 40
"""Characters of a name beside a tick or in a legend."""
P = ParamSpec("P")
R = TypeVar("R")


def with_literal_text(draw: Callable[P, R]) -> Callable[P, R]:
    """Mark a drawing function whose result, Axes, a Figure or a FacetGrid, shows names of other people."""

    @wraps(draw)
    def draw_with_literal_text(*args: P.args, **kwargs: P.kwargs) -> R:
        drawn = draw(*args, **kwargs)
        make_text_literal(drawn)
        return drawn

    return draw_with_literal_text


def make_text_literal(drawn: Any) -> None:
    """Make plain texts of all texts of Axes, a Figure or a FacetGrid."""
    for artist in drawn.flat if isinstance(drawn, np.ndarray) else [drawn]:
        whole = artist if isinstance(artist, Axes) else getattr(artist, "figure", None) or artist
        axes = [whole] if isinstance(whole, Axes) else whole.axes
        ticks = {id(text) for ax in axes for text in _tick_texts((ax.xaxis, ax.yaxis))}
        names = {id(text) for legend in whole.findobj(Legend) for text in legend.get_texts()}
        for text in whole.findobj(Text):
            if id(text) not in ticks:
                text.set_parse_math(False)
                text.set_text(
                    _shorten_lines(text.get_text(), MAX_NAME_LENGTH if id(text) in names else MAX_LINE_LENGTH)
                )
        for axis in (axis for ax in axes for axis in (ax.xaxis, ax.yaxis)):
            formatter = axis.get_major_formatter()
            if isinstance(formatter, FixedFormatter | FuncFormatter | StrCategoryFormatter):
                axis.set_major_formatter(_NameFormatter(formatter))


@contextmanager
def allow_odd_names() -> Iterator[None]:
    """Let names have letters that no font here has, a box standing for each, or leave axes little room."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")
        warnings.filterwarnings("ignore", "constrained_layout not applied")
        yield


class _NameFormatter(Formatter):
    """Labels of ticks that are names."""

    def __init__(self, names: Formatter) -> None:
        self._names = names

    def __call__(self, x: float, pos: int | None = None) -> str:
        return _shorten_lines(self._names(x, pos), MAX_NAME_LENGTH).replace("$", r"\$")

    def set_locs(self, locs: Any) -> None:
        self._names.set_locs(locs)


def _tick_texts(axes: Iterable[Axis]) -> Iterator[Text]:
    for axis in axes:
        yield axis.offsetText
        for tick in (*axis.majorTicks, *axis.minorTicks):
            yield from (tick.label1, tick.label2)


def _shorten_lines(text: str, max_length: int) -> str:
    """A text without control characters or half characters, its lines shortened in their middle."""
    lines = sanitize(text.replace("\t", " ")).encode("utf-8", "replace").decode("utf-8").split("\n")
    half = max_length // 2
    return "\n".join(line if len(line) <= max_length else f"{line[:half]}…{line[-half:]}" for line in lines)
