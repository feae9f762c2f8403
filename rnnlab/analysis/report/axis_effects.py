"""How much each axis of a sweep changes the decay of the gradient while all other axes keep their values."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from markupsafe import Markup

from rnnlab.analysis.figures.intervals import MIN_REPLICATES, half_width
from rnnlab.analysis.report.comparison import INTERVAL_NOTE
from rnnlab.analysis.report.conditions import COMMON_DECAY, COMMON_LAG, Condition
from rnnlab.analysis.report.number_text import format_axis, format_decades
from rnnlab.analysis.report.wording import join_words, strong

NO_INTERVAL = "the other axes equal; no intervals, because there are fewer than three seeds"


def compare_axes(conditions: Sequence[Condition], axes: Sequence[str]) -> list[Markup]:
    """Compare the axes of a sweep by the difference between their values, in one sentence.

    All decays are read at the longest lag that all runs have. With at least three seeds that all conditions
    share, the difference is the root mean square over pairs of values and over the values of the other axes,
    with a 95 % interval over the seeds. With fewer seeds, the sentence gives the smallest and the largest
    difference between the best and the worst value.
    """
    decays = _decays(conditions)
    known = decays.dropna().index
    mixed = len({condition.is_untrained for condition in conditions}) != 1
    if len(axes) < 2 or mixed or known.empty:
        return []
    labels = [[format_axis(condition.values[axis], axis) for axis in axes] for condition in conditions]
    table = pd.DataFrame(labels, columns=list(axes)).loc[known]
    settings = {axis: _complete_settings(table, axis) for axis in axes}
    settings = {axis: rows for axis, rows in settings.items() if len(rows)}
    if len(settings) < 2:
        return []
    where = f" at lag {conditions[0].runs[COMMON_LAG].iloc[0]:.0f}"
    seeds = _by_seed([conditions[number] for number in known])
    if seeds is None:
        return [_ranges(decays.loc[known].to_numpy(), settings, where)]
    return [_effects(seeds, settings, where)]


def _decays(conditions: Sequence[Condition]) -> pd.Series:
    """Return the mean decay of each condition at the longest common lag, or NaN."""
    found = (condition.estimate(COMMON_DECAY).mean for condition in conditions)
    return pd.Series([np.nan if value is None else value for value in found], dtype=float)


def _complete_settings(table: pd.DataFrame, axis: str) -> np.ndarray:
    """Return the row numbers of each combination of the other axes that has all values of an axis.

    Returns:
        Array of shape (combinations, values).
    """
    if table.duplicated().any():  # values that differ only beyond the digits shown
        return np.empty((0, 0), dtype=int)
    others = [name for name in table if name != axis]
    numbers = pd.Series(range(len(table)), index=pd.MultiIndex.from_frame(table[[*others, axis]]))
    wide = numbers.unstack(axis).dropna()
    return wide.to_numpy(dtype=int) if wide.shape[1] > 1 else wide.to_numpy(dtype=int)[:0]


def _by_seed(conditions: Sequence[Condition]) -> np.ndarray | None:
    """Return the decays of the seeds that all conditions share, or None for fewer than three.

    Returns:
        Array of shape (conditions, seeds).
    """
    columns = []
    for condition in conditions:
        runs = condition.runs.dropna(subset=[COMMON_DECAY])
        if "seed" not in runs or not runs["seed"].is_unique:
            return None
        columns.append(runs.set_index("seed")[COMMON_DECAY])
    shared = pd.concat(columns, axis="columns", join="inner")
    return shared.to_numpy(dtype=float).T if len(shared) >= MIN_REPLICATES else None


def _effects(decays: np.ndarray, settings: Mapping[str, np.ndarray], where: str) -> Markup:
    """Return the sentence for decays of shape (conditions, seeds)."""
    products = {axis: _products(decays[rows]) for axis, rows in settings.items()}
    found = {axis: _mean_square(matrix) for axis, matrix in products.items()}
    order = sorted(found, key=lambda axis: found[axis][0], reverse=True)
    apart = [axis for axis in order if found[axis][1] > 0]
    top = products[order[0]]
    first = [a for a in apart if a == order[0] or _mean_square(top - products[a])[1] <= 0]
    same = [axis for axis in order if axis not in apart]
    text = f"{join_words(first)} matter{'s' if len(first) == 1 else ''} most" if first else ""
    if same:
        text += f"{'; t' if first else 'T'}he seeds do not separate the values of {join_words(same)}"
    amounts = []
    for axis in order:
        mean, low, high = (format_decades(max(square, 0.0) ** 0.5) for square in found[axis])
        note = f"{INTERVAL_NOTE} " if axis == order[0] else ""
        amounts.append((axis, mean, f" ({note}{low} to {high})"))
    return strong(text, f": two values of {_list_amounts(amounts, where)}, with the other axes equal")


def _list_amounts(amounts: Sequence[tuple[str, str, str]], where: str) -> str:
    """List how much the values of each axis differ, with the unit and the lag at the first one."""
    (axis, amount, note), *rest = amounts
    others = [f"of {axis} by {amount}{note}" for axis, amount, note in rest]
    return join_words([f"{axis} differ by {amount} decades{where}{note}", *others])


def _products(decays: np.ndarray) -> np.ndarray:
    """Return the mean product of the differences that two seeds measure, for each pair of seeds.

    Args:
        decays: Decays of shape (combinations of the other axes, values of an axis, seeds).

    Returns:
        Array of shape (seeds, seeds).
    """
    centred = decays - decays.mean(axis=1, keepdims=True)
    values = decays.shape[1]
    # the mean over pairs of values of (aᵢ - aⱼ)(bᵢ - bⱼ) is 2 Σᵢ aᵢbᵢ / (values - 1) for centred a and b
    products: np.ndarray = np.einsum("cvs,cvt->st", centred, centred) * 2 / (values - 1) / len(decays)
    return products


def _mean_square(products: np.ndarray) -> tuple[float, float, float]:
    """Return the mean square difference with its 95 % interval, from the products of pairs of seeds.

    The mean over pairs of *different* seeds is unbiased, since their noise is independent; it is about 0 if
    the values do not differ. The standard error is that of the jackknife over the seeds.
    """
    seeds = len(products)
    apart = products - np.diag(np.diag(products))
    total = apart.sum()
    without = (total - 2 * apart.sum(axis=0)) / ((seeds - 1) * (seeds - 2))
    error = np.sqrt((seeds - 1) / seeds * ((without - without.mean()) ** 2).sum())
    mean, half = total / (seeds * (seeds - 1)), float(half_width(error, seeds))
    return float(mean), float(mean - half), float(mean + half)


def _ranges(decays: np.ndarray, settings: Mapping[str, np.ndarray], where: str) -> Markup:
    """Return the sentence for the mean decay of each condition."""
    found = {axis: np.ptp(decays[rows], axis=1) for axis, rows in settings.items()}
    order = sorted(found, key=lambda axis: float(found[axis].mean()), reverse=True)
    ends = {axis: (found[axis].min(), found[axis].max()) for axis in order}
    texts = {axis: list(dict.fromkeys(format_decades(float(end)) for end in ends[axis])) for axis in order}
    first, *others = order
    amount = f"differ by {' to '.join(texts[first])} decades{where}"
    listed = [amount, *(f"those of {axis} by {' to '.join(texts[axis])}" for axis in others)]
    rest = f"{join_words(listed)} ({NO_INTERVAL})"
    if texts[first] == texts[others[0]]:
        return strong(f"The best and worst values of {first}", f" {rest}")
    return strong(f"{first} makes the largest difference", f": its best and worst values {rest}")
