"""Where an axis's values stand in a figure, "off" among them."""

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
    """The values of one column along x.

    Attributes:
        positions: Of each word, its x.
        is_log: Whether x is logarithmic.
        off_position: The x of the null that means "off", or None.
    """

    positions: dict[str, float]
    is_log: bool
    off_position: float | None

    def map_values(self, values: pd.Series) -> pd.Series:
        """The x of each value, NaN where it has none."""
        return to_labels(values).map(self.positions).astype("float64")

    def dodge(self, x: pd.Series, index: int, count: int) -> pd.Series:
        """x moved a little aside, so that what `count` several stands at the same x is seen."""
        spots = np.sort(np.array(list(self.positions.values())))
        spots = np.log10(spots) if self.is_log else spots
        gap = float(np.diff(spots).min()) if len(spots) > 1 else 0.3
        shift = 0.3 * gap * ((index + 0.5) / count - 0.5)
        return x * 10**shift if self.is_log else x + shift

    def draw_axis(self, ax: Axes, name: str) -> None:
        """The scale, a tick at each value as far as there is room, and the axis's name."""
        ax.set_xlabel(name)
        if self.is_log:
            ax.set_xscale("log")
        spots = np.array(list(self.positions.values()))
        along = np.log10(spots) if self.is_log else spots
        gaps = np.diff(np.sort(along))
        margin = 0.06 * float(gaps.sum()) + 0.15 * float(gaps.min()) if len(gaps) else 0.5
        left, right = along.min() - margin, along.max() + margin
        ax.set_xlim((10**left, 10**right) if self.is_log else (left, right))
        selected = select_labels(list(self.positions), (along - left) / (right - left), ax)
        ax.set_xticks(spots[selected], [list(self.positions)[i] for i in selected])
        ax.xaxis.set_minor_locator(NullLocator())


def choose_scale(values: pd.Series) -> AxisScale:
    """Numbers stand at themselves, on a logarithmic axis if they span a factor of 10; words side by side."""
    words = list(to_labels(values).cat.categories)
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return AxisScale({word: float(i) for i, word in enumerate(words)}, False, None)
    numbers = np.sort(values.astype("float64").unique())
    numbers = numbers[np.isfinite(numbers)]
    name = NULL_LABELS.get(str(values.name))
    has_off = name is not None and words[-1:] == [name]
    log = is_wide(numbers) or (has_off and len(numbers) == 1 and numbers[0] > 0)
    at = dict(zip(words, map(float, numbers), strict=False))
    if not has_off or name is None:
        return AxisScale(at, log, None)
    if not len(numbers):
        return AxisScale({name: 1.0}, False, 1.0)
    last = float(numbers[-1])
    if log:
        between = len(numbers) - 1
        off = last * (float((last / numbers[0]) ** (1 / between)) if between else 10.0)
    else:
        off = last + (float(np.diff(numbers).mean()) if len(numbers) > 1 else max(abs(last), 1.0))
    return AxisScale(at | {name: off}, log, off)


def select_labels(words: Sequence[str], along: np.ndarray, ax: Axes, share: float = 1.0) -> list[int]:
    """The ticks whose labels do not touch, the last always among them.

    Args:
        words: The labels.
        along: Where they stand, as shares of the Axes.
        ax: Whose ticks they are.
        share: How much of its width the Axes will keep.
    """
    assert ax.figure is not None
    points = FontProperties(size=matplotlib.rcParams["xtick.labelsize"]).get_size_in_points()
    letter = 0.62 * points / 72 / float(share * ax.bbox.width / ax.figure.dpi)
    selected: list[int] = []
    edge = np.inf
    for i in reversed(range(len(words))):
        half = letter * (len(words[i]) + 0.5) / 2
        if along[i] + half <= edge:
            selected.append(i)
            edge = along[i] - half
    return selected[::-1]
