"""Positions of a sweep axis's values along the x axis, including the position of null (labelled "off")."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import NullLocator

from rnnlab.analysis.figures.style import NULL_LABELS, is_wide, to_labels


@dataclass(frozen=True)
class AxisScale:
    """Positions of a column's values along the x axis.

    Attributes:
        positions: Position of each label on the x axis.
        is_log: True if the x axis is logarithmic.
        off_position: Position of null, which is labelled "off"; None if the column contains no null.
    """

    positions: dict[str, float]
    is_log: bool
    off_position: float | None

    def map_values(self, values: pd.Series) -> pd.Series:
        """Return the x position of each value, or NaN for a value without a position."""
        return to_labels(values).map(self.positions).astype("float64")

    def dodge(self, x: pd.Series, index: int, count: int) -> pd.Series:
        """Shift the x positions of group `index` so that the markers of `count` groups do not overlap."""
        positions = np.sort(np.array(list(self.positions.values())))
        positions = np.log10(positions) if self.is_log else positions
        gap = float(np.diff(positions).min()) if len(positions) > 1 else 0.3
        shift = 0.3 * gap * ((index + 0.5) / count - 0.5)
        return x * 10**shift if self.is_log else x + shift

    def draw_axis(self, ax: Axes, name: str) -> None:
        """Set the scale, the label and the ticks of the x axis; omit ticks whose labels would overlap."""
        ax.set_xlabel(name)
        if self.is_log:
            ax.set_xscale("log")
        positions = np.array(list(self.positions.values()))
        scaled = np.log10(positions) if self.is_log else positions
        gaps = np.diff(np.sort(scaled))
        margin = 0.06 * float(gaps.sum()) + 0.15 * float(gaps.min()) if len(gaps) else 0.5
        left, right = scaled.min() - margin, scaled.max() + margin
        ax.set_xlim((10**left, 10**right) if self.is_log else (left, right))
        selected = select_labels(list(self.positions), (scaled - left) / (right - left), ax)
        ax.set_xticks(positions[selected], [list(self.positions)[i] for i in selected])
        ax.xaxis.set_minor_locator(NullLocator())


def choose_scale(values: pd.Series) -> AxisScale:
    """Return the scale of the x axis for a column.

    Numbers are placed at their values, on a logarithmic axis if all numbers are positive and span at least a
    factor of 10. Strings are evenly spaced.
    """
    words = list(to_labels(values).cat.categories)
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return AxisScale({word: float(i) for i, word in enumerate(words)}, False, None)
    numbers = np.sort(values.astype("float64").unique())
    numbers = numbers[np.isfinite(numbers)]
    name = NULL_LABELS.get(str(values.name))
    has_off = name is not None and words[-1:] == [name]
    log = is_wide(numbers) or (has_off and len(numbers) == 1 and numbers[0] > 0)
    positions = dict(zip(words, map(float, numbers), strict=False))
    if not has_off or name is None:
        return AxisScale(positions, log, None)
    if not len(numbers):
        return AxisScale({name: 1.0}, False, 1.0)
    last = float(numbers[-1])
    if log:
        between = len(numbers) - 1
        off = last * (float((last / numbers[0]) ** (1 / between)) if between else 10.0)
    else:
        off = last + (float(np.diff(numbers).mean()) if len(numbers) > 1 else max(abs(last), 1.0))
    return AxisScale(positions | {name: off}, log, off)


def select_labels(words: Sequence[str], fractions: np.ndarray, ax: Axes, share: float = 1.0) -> list[int]:
    """Return the indices of tick labels that do not overlap, always including the last label.

    Args:
        words: Tick labels.
        fractions: Positions of the labels, as fractions of the width of the Axes.
        ax: Axes with the ticks.
        share: Fraction of the Axes width that remains after a colour bar is added.
    """
    assert ax.figure is not None
    points = FontProperties(size=matplotlib.rcParams["xtick.labelsize"]).get_size_in_points()
    letter = 0.62 * points / 72 / float(share * ax.bbox.width / ax.figure.dpi)
    selected: list[int] = []
    edge = np.inf
    for i in reversed(range(len(words))):
        half = letter * (len(words[i]) + 0.5) / 2
        if fractions[i] + half <= edge:
            selected.append(i)
            edge = fractions[i] - half
    return selected[::-1]
