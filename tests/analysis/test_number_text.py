"""Text of numbers in reports: decades, factors, estimates and values of axes."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlab.analysis.report.conditions import Estimate
from rnnlab.analysis.report.number_text import (
    format_axis,
    format_change,
    format_decades,
    format_estimate,
    format_factor,
    format_steps,
)

SUPERSCRIPT = {"⁻": "-"} | dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789", strict=True))


def log10_of(text: str) -> float:
    """Return the logarithm of a factor as written, such as `1.6×10⁷`."""
    mantissa, _, power = text.replace(",", "").partition("×10")
    return float(np.log10(float(mantissa))) + int("".join(SUPERSCRIPT[c] for c in power) or 0)


@given(decades=st.floats(-400, 400))
def test_a_factor_has_two_significant_digits(decades: float) -> None:
    text = format_factor(decades)
    assert abs(log10_of(text) - decades) < np.log10(1.051), "half a unit of the second digit"
    digits = re.sub(r"×10.*|[.,]", "", text).lstrip("0").rstrip("0")
    assert len(digits) <= 2 and len(text) <= 10 and "e" not in text.replace("e-", "")


@pytest.mark.parametrize(
    ("decades", "text"),
    [
        (0, "1"), (0.3, "2"), (2.4, "250"), (5, "100,000"), (5.9999, "1,000,000"), (6, "1.0×10⁶"),
        (7.2, "1.6×10⁷"), (11.4, "2.5×10¹¹"), (-0.3, "0.5"), (-7.2, "6.3×10⁻⁸"), (6.9999999, "1.0×10⁷"),
    ],
)  # fmt: skip
def test_factors(decades: float, text: str) -> None:
    assert format_factor(decades) == text


@pytest.mark.parametrize(
    ("decades", "text"),
    [
        (-2.4, "shrinks 250-fold"), (3.0, "grows 1,000-fold"), (-20, "shrinks 1.0×10²⁰-fold"),
        (0, "stays the same"), (0.0199, "stays the same"), (-0.0199, "stays the same"), (0.1, "grows 1.3-fold"),
    ],
)  # fmt: skip
def test_changes(decades: float, text: str) -> None:
    assert format_change(decades) == text


@given(value=st.floats(-1e6, 1e6))
def test_decades_have_one_decimal_place_and_no_negative_zero(value: float) -> None:
    text = format_decades(value)
    assert re.fullmatch(r"−?\d+\.\d", text) and text != "−0.0"
    assert float(text.replace("−", "-")) == pytest.approx(value, abs=0.0500001)


def estimate(*values: float) -> Estimate:
    return Estimate.of(pd.Series(values, dtype="float64"))


def test_estimates() -> None:
    assert format_estimate(estimate()) == "–"
    assert format_estimate(estimate(0.25)) == "0.250"
    assert format_estimate(estimate(0.25, 0.5)) == "0.250 and 0.500"
    assert format_estimate(estimate(0.25, 0.2501)) == "0.250", "equal texts are written once"
    assert format_estimate(estimate(20, 30), format_steps, "≥ ") == "≥ 20 and 30"
    # Mean 3, standard deviation 2, three values: 3 ± 4.3027 · 2/√3
    assert format_estimate(estimate(1, 3, 5)) == "3.000 (-1.968 to 7.968)"
    assert format_estimate(estimate(0.0077, 0.0151, 0.0001)) == "0.008 (-0.011 to 0.026)"
    close = Estimate([0.008], 0.008, 5.7e-5, 0.015)
    assert format_estimate(close) == "0.008 (0.000 to 0.015)", "limits with the decimals of the mean"
    assert format_estimate(Estimate([3e-4], 3e-4, 2e-5, 6e-4)) == "0.0003 (2e-05 to 0.0006)"
    assert format_estimate(estimate(1, 3, 5), format_decades) == "3.0 (−2.0 to 8.0)"
    assert format_estimate(estimate(7, 7, 7), format_steps, "≥ ") == "≥ 7", "an interval without a width"


@pytest.mark.parametrize(
    ("value", "axis", "text"),
    [
        (None, "clip", "off"), (float("nan"), "clip", "off"), (pd.NA, "clip", "off"), (None, "lr", "–"),
        (float("nan"), "cell.bias", "–"), (0.001, "lr", "0.001"), (1.0, "clip", "1"), (1e-7, "lr", "1e-07"),
        (np.int64(50), "seq_len", "50"), (True, "bias", "True"), ("a|b", "cell", "a|b"), ("", "cell", ""),
        (2.0, "init.W_hh.gain", "2"), ("<i>", "cell", "<i>"),
    ],
)  # fmt: skip
def test_values_of_axes(value: object, axis: str, text: str) -> None:
    assert format_axis(value, axis) == text
