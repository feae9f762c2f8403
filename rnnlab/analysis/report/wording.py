"""Words of sentences about the sweep axes: names of axis values, lists and emphasis."""

from collections.abc import Callable, Sequence

from markupsafe import Markup

from rnnlab.analysis.report.conditions import Condition
from rnnlab.analysis.report.number_text import format_axis


def value_namer(axis: str) -> Callable[[Condition], str]:
    """Return a function that names the value of an axis in a condition, such as `lstm` or `lr=0.1`."""

    def name(condition: Condition) -> str:
        text = format_axis(condition.values[axis], axis)
        return text if axis in ("cell", "task") else f"{axis}={text}"

    return name


def join_words(words: Sequence[str]) -> str:
    """Join words as in `rnn, lstm and gru`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def strong(text: str, rest: str = "") -> Markup:
    """Return a sentence whose first part is emphasised."""
    return Markup("<strong>{}</strong>{}").format(text, f"{rest}.")


def name_values(axes: Sequence[str], values: Sequence[str]) -> str:
    """Return the values of several axes, such as `lr=0.1, clip=1`."""
    return ", ".join(f"{axis}={value}" for axis, value in zip(axes, values, strict=True))
