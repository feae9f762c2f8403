"""Text of axis values, of estimates and of factors by which gradients change."""

from collections.abc import Callable
from math import inf
from typing import Any

import pandas as pd

from rnnlab.analysis.figures.style import NULL_LABELS
from rnnlab.analysis.report.conditions import Estimate
from rnnlab.text import NO_VALUE, format_metric

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
MAX_PLAIN_DECADES = 6
"""Largest power of ten that is written in full."""
NO_CHANGE = 0.02
"""Number of decades below which a change is not mentioned."""
THREE_DECIMALS = "{:.3f}"
Format = Callable[[float], str]


def format_factor(decades: float) -> str:
    """Return 10 to the power of a number with two significant digits, such as `250` or `1.6×10⁷`."""
    if abs(decades) < MAX_PLAIN_DECADES:
        return (
            f"{float(f'{10.0**decades:.2g}'):,g}"
            if decades < 1
            else f"{int(float(f'{10.0**decades:.2g}')):,}"
        )
    exponent = int(decades // 1)
    mantissa = f"{10 ** (decades - exponent):.1f}"
    if mantissa == "10.0":
        mantissa, exponent = "1.0", exponent + 1
    return f"{mantissa}×10{str(exponent).translate(SUPERSCRIPTS)}"


def format_change(decades: float) -> str:
    """Describe a change of the gradient norm by a number of decades, such as `shrinks 250-fold`."""
    if abs(decades) < NO_CHANGE:
        return "stays the same"
    return f"{'shrinks' if decades < 0 else 'grows'} {format_factor(abs(decades))}-fold"


def format_decades(value: float) -> str:
    """Return a number of decades with one decimal place."""
    text = f"{value:.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", "−")


def format_steps(value: float) -> str:
    """Return a number of time steps without decimals."""
    return f"{value:.0f}"


def format_estimate(estimate: Estimate, form: Format = format_metric, prefix: str = "") -> str:
    """Return the mean with its 95 % interval, or the single values if they are too few for an interval."""
    if estimate.mean is None:
        return NO_VALUE
    if estimate.low is None or estimate.high is None:
        return prefix + " and ".join(dict.fromkeys(form(value) for value in estimate.values))
    text = prefix + form(estimate.mean)
    if form is format_metric and text == prefix + f"{estimate.mean:.3f}":  # limits with as many decimals
        form = THREE_DECIMALS.format
    low, high = form(estimate.low), form(estimate.high)
    return text if low == high else f"{text} ({low} to {high})"


def format_axis(value: Any, axis: str) -> str:
    """Return the value of a sweep axis; an infinite or null clip threshold is `off`."""
    if value is None or (not isinstance(value, str) and (pd.isna(value) or value == inf)):
        return NULL_LABELS.get(axis, NO_VALUE)
    return f"{value:g}" if isinstance(value, float) else str(value)
