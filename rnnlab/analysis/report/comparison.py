"""Comparison of the values of the main axis of a sweep: which one keeps most of the gradient."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from markupsafe import Markup

from rnnlab.analysis.report.conditions import COMMON_DECAY, COMMON_LAG, TRAINED, Condition, Estimate
from rnnlab.analysis.report.number_text import format_axis, format_decades, format_factor
from rnnlab.analysis.report.wording import join_words, name_values, strong, value_namer

INTERVAL_NOTE = "95 % interval"


def compare_values(conditions: Sequence[Condition], main_axis: str | None, others: list[str]) -> list[Markup]:
    """Compare the decay of the trained networks with the best and the worst value of the main axis.

    The decays are read at the longest lag, or at the longest lag that all runs have if the conditions have
    different ones. Runs that diverged before the second recording are compared only if no other runs can be.
    """
    if main_axis is None:
        return []
    name = value_namer(main_axis)
    if len({name(condition) for condition in conditions}) == len(conditions):
        others = []  # the main axis determines all other axes
    comparable: dict[tuple[str, ...], dict[str, Condition]] = {}
    for condition in conditions:
        if condition.lag is not None and condition.last_decay.mean is not None:
            key = tuple(format_axis(condition.values[axis], axis) for axis in others)
            comparable.setdefault(key, {})[name(condition)] = condition
    names = list(dict.fromkeys(word for group in comparable.values() for word in group))
    complete = {key: group for key, group in comparable.items() if len(group) == len(names)}
    stages = {
        key: {condition.is_untrained for condition in group.values()} for key, group in complete.items()
    }
    trained = {key: group for key, group in complete.items() if stages[key] == {False}}
    complete = trained or {key: complete[key] for key, stage in stages.items() if stage == {True}}
    if len(names) < 2 or not complete:
        return []
    lags = {group[word].lag for group in complete.values() for word in names}
    column = TRAINED if len(lags) == 1 else COMMON_DECAY
    lag = lags.pop() if len(lags) == 1 else round(conditions[0].runs[COMMON_LAG].iloc[0])
    means = {key: {word: _mean(group[word], column) for word in names} for key, group in complete.items()}
    ranks = {word: sum(group[word] for group in means.values()) for word in names}
    best, worst = max(names, key=ranks.__getitem__), min(reversed(names), key=ranks.__getitem__)
    differences = {key: _difference(group[best], group[worst], column) for key, group in complete.items()}
    low, high = (pick(differences, key=lambda key: differences[key].mean or 0.0) for pick in (min, max))
    over = f" at lag {lag}"
    when = "After training" if trained else "Before training"
    grows = all(group[word] > 0 for group in means.values() for word in (best, worst))
    if all(format_decades(difference.mean or 0.0) == "0.0" for difference in differences.values()):
        return [strong(f"{when}, {best} and {worst} differ by less than {_amount(0.1)}{over}")]
    if len(differences) == 1:
        ((setting, found),) = differences.items()
        assert found.mean is not None
        limits = f", with {name_values(others, setting)}" if others else ""
        limits += _limits(found, format_decades)
        if found.low is not None and found.low <= 0:
            text = f"The seeds do not separate {best} and {worst}"
            rest = f" {when.lower()}: a difference of {_amount(found.mean)}{over}{limits}"
            return [strong(text, rest)]
        more = _more(best, worst, _amount(found.mean), grows)
        return [strong(f"{when}, {more}{over}", limits)]
    least, most = (differences[key].mean or 0.0 for key in (low, high))
    if format_decades(least) == format_decades(most):
        same = _more(best, worst, _amount(most), grows)
        return [strong(f"{when}, {same}{over}", f", for each {join_words(others)}")]
    text = f"{when}, {_more(best, worst, _amount(least, most), grows)}{over}"
    rest = f", least with {name_values(others, low)} and most with {name_values(others, high)}"
    return [strong(text, rest + _other_leaders(means, best))]


def _other_leaders(settings: Mapping[tuple[str, ...], Mapping[str, float]], best: str) -> str:
    """Name the values of the main axis that are ahead of the best one in some settings of the other axes."""
    first = Counter(max(group, key=lambda word: group[word]) for group in settings.values())
    ahead = [f"{name} is ahead of {best} in {count}" for name, count in first.items() if name != best]
    return f"; {join_words(ahead)} of {len(settings)} settings" if ahead else ""


def _more(best: str, worst: str, amount: str, grows: bool) -> str:
    if grows:
        return f"the gradient grows {amount} more in {best} than in {worst}"
    return f"{best} keeps {amount} more of the gradient than {worst}"


def _amount(*decades: float) -> str:
    """Return one or two differences in decades, and the factors that they stand for."""
    numbers = " to ".join(format_decades(value) for value in decades)
    factors = " to ".join(format_factor(float(f"{value:.1f}")) for value in decades)
    return f"{numbers} decades ({'factors' if len(decades) > 1 else 'a factor'} of {factors})"


def _mean(condition: Condition, column: str) -> float:
    return Estimate.of(condition.runs[column]).mean or 0.0


def _difference(one: Condition, other: Condition, column: str) -> Estimate:
    """Return the difference of the decays, paired by the seeds that both conditions share, if any."""
    pairs = [condition.runs.dropna(subset=[column]) for condition in (one, other)]
    if all("seed" in runs and runs["seed"].is_unique for runs in pairs):
        first, second = (runs.set_index("seed")[column] for runs in pairs)
        paired = Estimate.of(first - second)
        if paired.mean is not None:
            return paired
    return Estimate([], _mean(one, column) - _mean(other, column), None, None)


def _limits(estimate: Estimate, form: Callable[[float], str]) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    interval = f"{INTERVAL_NOTE} {form(estimate.low)} to {form(estimate.high)} decades"
    return f" ({interval}, paired over {len(estimate.values)} seeds)"
