"""Where an axis's values stand in a figure, "off" among them."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import NullLocator

from rnnlab.analysis.figures.style import OFF, is_wide, labelled


@dataclass(frozen=True)
class Places:
    """The values of one column along x.

    Attributes:
        at: Of each word, its x.
        log: Whether x is logarithmic.
        off: The x of the null that means "off", or None.
    """

    at: dict[str, float]
    log: bool
    off: float | None

    def of(self, values: pd.Series) -> pd.Series:
        """The x of each value, NaN where it has none."""
        return labelled(values).map(self.at).astype("float64")

    def shifted(self, x: pd.Series, place: int, among: int) -> pd.Series:
        """x moved a little aside, so that what `among` several stands at the same x is seen."""
        spots = np.sort(np.array(list(self.at.values())))
        spots = np.log10(spots) if self.log else spots
        gap = float(np.diff(spots).min()) if len(spots) > 1 else 0.3
        shift = 0.3 * gap * ((place + 0.5) / among - 0.5)
        return x * 10**shift if self.log else x + shift

    def label(self, ax: Axes, name: str) -> None:
        """The scale, a tick at each value as far as there is room, and the axis's name."""
        ax.set_xlabel(name)
        if self.log:
            ax.set_xscale("log")
        spots = np.array(list(self.at.values()))
        along = np.log10(spots) if self.log else spots
        gaps = np.diff(np.sort(along))
        margin = 0.06 * float(gaps.sum()) + 0.15 * float(gaps.min()) if len(gaps) else 0.5
        left, right = along.min() - margin, along.max() + margin
        ax.set_xlim((10**left, 10**right) if self.log else (left, right))
        shown = with_room(list(self.at), (along - left) / (right - left), ax)
        ax.set_xticks(spots[shown], [list(self.at)[i] for i in shown])
        ax.xaxis.set_minor_locator(NullLocator())


def places(values: pd.Series) -> Places:
    """Numbers stand at themselves, on a logarithmic axis if they span a factor of 10; words side by side."""
    words = list(labelled(values).cat.categories)
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return Places({word: float(i) for i, word in enumerate(words)}, False, None)
    numbers = np.sort(values.astype("float64").unique())
    numbers = numbers[np.isfinite(numbers)]
    name = OFF.get(str(values.name))
    has_off = name is not None and words[-1:] == [name]
    log = is_wide(numbers) or (has_off and len(numbers) == 1 and numbers[0] > 0)
    at = dict(zip(words, map(float, numbers), strict=False))
    if not has_off or name is None:
        return Places(at, log, None)
    if not len(numbers):
        return Places({name: 1.0}, False, 1.0)
    last = float(numbers[-1])
    if log:
        between = len(numbers) - 1
        off = last * (float((last / numbers[0]) ** (1 / between)) if between else 10.0)
    else:
        off = last + (float(np.diff(numbers).mean()) if len(numbers) > 1 else max(abs(last), 1.0))
    return Places(at | {name: off}, log, off)


def with_room(words: Sequence[str], along: np.ndarray, ax: Axes, share: float = 1.0) -> list[int]:
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
    shown: list[int] = []
    edge = np.inf
    for i in reversed(range(len(words))):
        half = letter * (len(words[i]) + 0.5) / 2
        if along[i] + half <= edge:
            shown.append(i)
            edge = along[i] - half
    return shown[::-1]
