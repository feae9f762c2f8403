"""The question that a sweep asks, and its answer in words with numbers and intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from rnnlab.analysis.figures.intervals import MIN_REPLICATES
from rnnlab.analysis.report.axis_effects import compare_axes
from rnnlab.analysis.report.comparison import compare_values
from rnnlab.analysis.report.conditions import UNTRAINED, Condition
from rnnlab.analysis.report.number_text import (
    NO_CHANGE,
    format_axis,
    format_change,
    format_estimate,
    format_factor,
    format_steps,
)
from rnnlab.analysis.report.wording import join_words, name_values, strong, value_namer
from rnnlab.records import HORIZON
from rnnlab.text import NO_VALUE, format_metric, format_run_count

MAX_NAMED = 6
"""Maximum number of values of an axis that a sentence lists."""
MAX_STEPS = 3
"""Maximum number of training steps at which runs diverged that a sentence lists."""
LARGER_IS_BETTER = ("val/accuracy",)
HORIZON_NOTE = "last lag with 1 % of the gradient left"
MIN_GROWTH = 1.0
"""Number of decades by which an exploding gradient grows at least, to be mentioned besides the horizon."""
NO_CURVE = "no lag curve was recorded"
AXIS_NAMES = {
    "seq_len": "sequence length",
    "lr": "learning rate",
    "clip": "clip threshold",
    "clip_mode": "clip mode",
    "hidden_size": "hidden size",
    "batch_size": "batch size",
    "init": "initialisation",
    "initial_state": "initial state",
}
"""Names of sweep axes in the question, where they differ from the keys."""


@dataclass(frozen=True)
class Answer:
    """The first lines of a report.

    Attributes:
        question: Question that the sweep asks.
        setting: Task, axes and number of runs.
        sentences: Answers, the most important first.
    """

    question: str
    setting: str
    sentences: list[Markup]


def answer_question(
    runs: pd.DataFrame,
    conditions: Sequence[Condition],
    axes: Sequence[str],
    main_axis: str | None,
    metric: str,
) -> Answer:
    """Return the question and the answer of a sweep.

    Args:
        runs: Data frame with one row per undamaged run, from `summarize_ends`.
        conditions: Conditions of the sweep.
        axes: Sweep axes that differ between the runs, without the seed.
        main_axis: Axis whose values are compared first, or None.
        metric: Validation metric of the task.
    """
    groups = _by_value(conditions, main_axis)
    others = [axis for axis in axes if axis != main_axis]
    reached = next((name for name, group in groups if any(map(_has_horizon, group))), None)
    sentences = [
        *_divergence(runs, axes),
        *compare_values(conditions, main_axis, others),
        *compare_axes(conditions, axes),
        *(_reach(name, group, others, name == reached) for name, group in groups[:MAX_NAMED]),
        *_best(conditions, axes, metric),
    ]
    return Answer(_question(runs, groups, main_axis, others), _setting(runs, others), sentences)


def _by_value(conditions: Sequence[Condition], axis: str | None) -> list[tuple[str, list[Condition]]]:
    if axis is None:
        return [("", list(conditions))]
    name = value_namer(axis)
    order = list(dict.fromkeys(name(condition) for condition in conditions))
    return [(word, [c for c in conditions if name(c) == word]) for word in order]


def _question(
    runs: pd.DataFrame, groups: list[tuple[str, list[Condition]]], main_axis: str | None, others: list[str]
) -> str:
    cells = [name for name, _ in groups] if main_axis == "cell" else _unique(runs, "cell")
    subject = (
        "" if not cells else f" in {join_words(cells) if len(cells) <= MAX_NAMED else f'{len(cells)} cells'}"
    )
    others = others if main_axis in (None, "cell") else [main_axis, *others]
    names = [AXIS_NAMES.get(axis, axis) for axis in others]
    by = f", by {join_words(names)}" if names else ""
    return f"How far back in time do gradients reach{subject}{by}?"


def _setting(runs: pd.DataFrame, others: Sequence[str]) -> str:
    parts = [f"Task {join_words(_unique(runs, 'task'))}"] if _unique(runs, "task") else []
    for axis, unit in (("seq_len", "time step"), ("hidden_size", "hidden unit")):
        values = _unique(runs, axis)
        if len(values) == 1:
            parts.append(_count(values[0], unit))
    for axis in others:
        values = _unique(runs, axis)
        listed = ", ".join(values) if len(values) <= MAX_NAMED else f"{len(values)} values"
        parts.append(f"{axis} {listed}")
    seeds = len(_unique(runs, "seed"))
    parts.append(_count(max(seeds, 1), "seed"))
    return f"{'; '.join(parts)}; {format_run_count(len(runs))} in total."


def _count(number: object, noun: str) -> str:
    return f"{number} {noun}" if str(number) == "1" else f"{number} {noun}s"


def _unique(runs: pd.DataFrame, axis: str) -> list[str]:
    if axis not in runs:
        return []
    values = runs[axis].drop_duplicates().sort_values() if axis != "cell" else runs[axis].drop_duplicates()
    return [format_axis(value, axis) for value in values]


def _present(runs: pd.DataFrame, column: str) -> list[Any]:
    """Return the different values of a column without missing values; none if the column does not exist."""
    return list(runs[column].dropna().unique()) if column in runs else []


def _divergence(runs: pd.DataFrame, axes: Sequence[str]) -> list[Markup]:
    """Return sentences on the runs that diverged or became unstable."""
    sentences = []
    diverged = runs[runs["outcome"] == "diverged"]
    if len(diverged):
        steps = [str(int(step)) for step in sorted(_present(diverged, "diverged_at.step"))]
        when = f" between training steps {steps[0]} and {steps[-1]}" if steps else ""
        if 1 <= len(steps) <= MAX_STEPS:
            when = f" at training step{'s' if len(steps) > 1 else ''} {join_words(steps)}"
        sentences.append(
            strong(f"{len(diverged)} of {format_run_count(len(runs))} diverged{when}", _which(diverged, axes))
        )
    unstable = runs[runs["outcome"] == "unstable"]
    if len(unstable):
        text = f"{len(unstable)} of {format_run_count(len(runs))} became unstable"
        sentences.append(strong(text, _which(unstable, axes)))
    return sentences


def _which(runs: pd.DataFrame, axes: Sequence[str]) -> str:
    """Describe the conditions of some runs, and the first non-finite values of diverged runs."""
    names = []
    for axis in axes:
        values = _unique(runs, axis)
        if values and len(values) <= MAX_NAMED:
            names.append(f"{axis} {', '.join(values)}")
    text = f" ({'; '.join(names)})" if names else ""
    quantities = _present(runs, "diverged_at.quantity")
    if len(quantities):
        text += f"; first non-finite value: {', '.join(map(str, quantities[:MAX_NAMED]))}"
    return text


def _has_horizon(condition: Condition) -> bool:
    return condition.estimate(HORIZON).mean is not None


def _reach(name: str, group: list[Condition], others: list[str], is_first: bool) -> Markup:
    """Describe how far the gradient reaches at one value of the main axis; the first explains the horizon."""
    subject = name or "Gradient"
    horizon = f"horizon ({HORIZON_NOTE})" if is_first else "horizon"
    known = list(filter(_has_horizon, group))
    if len(group) == 1:
        (condition,) = group
        parts = [_decay(condition), f"{horizon} {_horizon(condition)}" if known else ""]
        parts = [part for part in parts if part] or [NO_CURVE]
        if condition.solved is not None and not condition.is_untrained:
            parts.append("solved {} of {}".format(*condition.solved))
        return strong(subject, f": {'; '.join(parts)}")
    if not known:
        return strong(subject, f": {NO_CURVE}")
    if len(others) == 1 and len(group) <= MAX_NAMED:
        (axis,) = others
        listed = [
            f"{_horizon(condition, with_limits=False) if _has_horizon(condition) else 'not measured'} "
            f"at {axis}={format_axis(condition.values[axis], axis)}"
            for condition in group
        ]
        return strong(subject, f": {horizon} {', '.join(listed)}{_growth(group)}")
    ends = [pick(known, key=lambda c: c.estimate(HORIZON).mean or 0.0) for pick in (min, max)]
    words = list(dict.fromkeys(_horizon(condition, with_limits=False) for condition in ends))
    link = "for all values of" if len(words) == 1 else "depending on"
    steps = _count(" to ".join(words), "time step")
    return strong(subject, f": {horizon} {steps}, {link} {join_words(others)}{_growth(group)}")


def _growth(group: Sequence[Condition]) -> str:
    """State by how much the gradient of an untrained network grows, if it explodes."""
    decays = [(condition.estimate(UNTRAINED).mean, condition.lag) for condition in group]
    decades, lag = max(((mean, lag) for mean, lag in decays if mean is not None and lag), default=(0.0, 0))
    if decades < MIN_GROWTH:
        return ""
    return f"; before training, the gradient grows {format_factor(decades)}-fold at lag {lag}"


def _decay(condition: Condition) -> str:
    if condition.lag is None:
        return ""
    over = f"at lag {condition.lag}, compared with lag 1, the gradient"
    if condition.is_zero:
        return f"{over} shrinks to exactly 0"
    after, before = condition.last_decay.mean, condition.estimate(UNTRAINED).mean
    if after is None:
        return ""
    text = f"{over} {format_change(after)}"
    if before is None or condition.is_untrained:
        return text
    same_direction = before * after > 0 and min(abs(before), abs(after)) >= NO_CHANGE
    change = f"{format_factor(abs(before))}-fold" if same_direction else format_change(before)
    return f"{text} ({change} before training)"


def _horizon(condition: Condition, with_limits: bool = True) -> str:
    estimate = condition.estimate(HORIZON)
    if estimate.mean is None:
        return NO_VALUE
    prefix = "≥ " if condition.is_censored else ""
    if not with_limits and len(estimate.values) >= MIN_REPLICATES:
        return prefix + format_steps(estimate.mean)
    if not with_limits:
        return format_estimate(estimate, format_steps, prefix)
    return _count(format_estimate(estimate, format_steps, prefix), "time step")


def best_condition(conditions: Sequence[Condition], metric: str) -> Condition | None:
    """Return the condition with the best mean of the validation metric, or None without a value."""
    known = [condition for condition in conditions if condition.estimate(metric).mean is not None]
    pick = max if metric in LARGER_IS_BETTER else min
    return pick(known, key=lambda condition: condition.estimate(metric).mean or 0.0, default=None)


def _best(conditions: Sequence[Condition], axes: Sequence[str], metric: str) -> list[Markup]:
    """Name the condition with the best value of the validation metric."""
    best = best_condition(conditions, metric)
    if best is None:
        return []
    word = "Highest" if metric in LARGER_IS_BETTER else "Lowest"
    baselines = _present(best.runs, "baseline")
    baseline = f"; baseline {format_metric(float(baselines[0]))}" if len(baselines) == 1 else ""
    value = format_estimate(best.estimate(metric))
    if len(conditions) == 1:
        return [strong(metric, f": {value}{baseline}")]
    names = name_values(axes, [format_axis(best.values[axis], axis) for axis in axes])
    return [strong(f"{word} {metric}", f": {value} with {names}{baseline}")]
