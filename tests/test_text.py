"""Tests of the formatting of numbers and summaries, with the notes that prevent misreading."""

import ast
import inspect
import re
from collections.abc import Callable
from math import isclose
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rnnlab import text
from rnnlab.app.config.memory_limit import format_gib
from rnnlab.commands import compare
from rnnlab.text import (
    MAX_DIGITS,
    describe_machine,
    format_gain,
    format_horizon,
    format_regime,
    shorten_numbers,
)
from tests.surroundings import ROOT


@pytest.mark.parametrize(
    ("summary", "gain", "horizon", "regime"),
    [
        ({}, "–", "–", "–"),
        ({"grad/gain": 0.93, "grad/horizon": 31.0, "regime": "stable"}, "0.930", "31", "stable"),
        ({"grad/log10_gain": -1.0}, "0.100", "–", "–"),
        ({"grad/log10_gain": 400.0}, "–", "–", "–"),
        ({"grad/gain": 3e-30}, "3e-30", "–", "–"),
        (
            {"grad/gain": 0.0, "grad/horizon": 0.0, "regime": "vanishing", "grad/zero_fraction": 1.0},
            *("0", "0", "vanishing (100% zero)"),
        ),
        (
            {
                **{"grad/gain": 0.93, "grad/zero_fraction": 0.69, "regime": "stable"},
                **{"grad/horizon": 31.0, "grad/zero_at_horizon": 0.523, "grad/censored": 1.0},
            },
            *("0.930 (69% zero)", "≥ 31 (52% zero)", "stable (69% zero)"),
        ),
        (
            {"grad/horizon": 31.0, "grad/horizon_first": 12.0, "grad/zero_at_horizon": 0.001},
            *("–", "31 (first under 1% after 12, <1% zero)", "–"),
        ),
        ({"grad/horizon": 31.0, "grad/horizon_first": 31.0, "grad/zero_at_horizon": 0.0}, "–", "31", "–"),
        ({"grad/gain": 1.0, "grad/zero_fraction": 0.999}, "1.000 (>99% zero)", "–", "–"),
        ({"grad/gain": 1.0, "grad/zero_fraction": 0.02}, "1.000 (2% zero)", "–", "–"),
    ],
)
def test_a_number_is_reported_with_its_zeros_and_dips(
    summary: dict[str, Any], gain: str, horizon: str, regime: str
) -> None:
    assert (format_gain(summary), format_horizon(summary), format_regime(summary)) == (gain, horizon, regime)


def test_known_facts_about_the_machine_are_reported() -> None:
    assert describe_machine({}) == ""
    assert describe_machine({"cpu": "", "packages": {"numpy": None}}) == ""
    whole = {"cpu": "a processor", "python": "3.11", "packages": {"numpy": "2.1"}}
    assert describe_machine(whole) == "a processor, Python 3.11, NumPy 2.1"


FORMATS: dict[str, Callable[[float], str]] = {
    **{
        f"format_number {form}": lambda value, form=form: text.format_number(value, form)  # type: ignore[misc]
        for form in (".0f", ".1f", ".2f", ".3f", ".1%", ".0%", ".2g", ".3g", ".4g", ".5g")
    },
    "format_metric": text.format_metric,
    "format_sample": text.format_sample,
    "format_loss": lambda value: text.format_loss(value, {"loss_unit": {"name": "bits", "factor": 1.4427}}),
    "format_gain": lambda value: text.format_gain({"grad/gain": value}),
    "format_horizon": lambda value: text.format_horizon({"grad/horizon": value, "grad/censored": 1.0}),
    "format_regime": lambda value: text.format_regime({"regime": "stable", "grad/zero_fraction": value}),
    "format_dip": lambda value: text.format_dip(1e301, value),
    "format_zero_share": text.format_zero_share,
    "format_run_count": lambda _: text.format_run_count(12),
    "compare._format_value": compare._format_value,
    "compare._difference": lambda value: compare._difference(0.0, value),
    "shorten_numbers": lambda value: shorten_numbers([repr(value)])[0],
    "format_gib": lambda value: format_gib(int(abs(value)) + 1),
}
"""All functions that format a number for the terminal or a report."""
MAGNITUDES = st.floats(-300, 300).map(lambda exponent: 10.0**exponent)


def test_every_function_that_formats_a_number_is_tested() -> None:
    own = {name for name, _ in inspect.getmembers(text, inspect.isfunction) if name.startswith("format_")}
    assert own <= {name.split(" ")[0] for name in FORMATS}


@pytest.mark.parametrize("name", FORMATS)
@given(magnitude=MAGNITUDES, sign=st.sampled_from((1, -1)))
@example(magnitude=1.2345e38, sign=1)
@example(magnitude=999.9996, sign=-1)
def test_no_number_has_more_digits_than_are_useful(name: str, magnitude: float, sign: int) -> None:
    output = FORMATS[name](sign * magnitude)
    numbers = [match[0] for match in re.finditer(r"[\d.,]*\d", output.replace("1%", ""))]
    assert all(sum(map(str.isdigit, number)) <= MAX_DIGITS for number in numbers), output
    assert len(output) <= 40, output


@given(magnitude=MAGNITUDES, sign=st.sampled_from((1, -1)))
def test_a_metric_is_rounded_and_not_changed(magnitude: float, sign: int) -> None:
    value = sign * magnitude
    assert isclose(float(text.format_metric(value)), value, rel_tol=0.1 if abs(value) < 0.01 else 0.01)
    assert isclose(float(text.format_number(value, ".3f")), value, rel_tol=0.01, abs_tol=0.0005)
    assert isclose(
        float(text.format_number(value, ".1%").rstrip("%")), 100 * value, rel_tol=0.01, abs_tol=0.05
    )


def test_values_of_an_axis_are_shortened_only_if_they_remain_different() -> None:
    assert shorten_numbers(["0.058206855079668086", "0.1", "rnn"]) == ["0.058207", "0.1", "rnn"]
    close = ["0.0582068550", "0.0582068551"]
    assert shorten_numbers(close) == close
    assert shorten_numbers(["123456789", "1e-05"]) == ["123456789", "1e-05"]


FIXED = re.compile(r",?(\.\d+)?[f%]")
ALLOWED = {
    "rnnlab/analysis/report/inline_svg.py": 1,  # coordinates of a picture
    "rnnlab/analysis/report/axis_effects.py": 1,  # lags
    "rnnlab/analysis/report/comparison.py": 1,  # numbers of decades
    "rnnlab/analysis/report/number_text.py": 4,  # numbers of decades and of time steps
    "rnnlab/app/config/memory_limit.py": 1,
    "rnnlab/mlflow_mirror/description.py": 1,  # time steps
    "rnnlab/mlflow_mirror/mirror.py": 1,
}
"""Number of fixed-point formats of values that are known to be small."""


def test_fixed_point_formats_are_used_only_where_numbers_are_small() -> None:
    """A format such as `.3f` prints the loss of an exploding network with 39 digits."""
    found: dict[str, int] = {}
    for file in sorted((ROOT / "rnnlab").rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        specs = [
            node.format_spec.values[0].value
            for node in ast.walk(tree)
            if isinstance(node, ast.FormattedValue)
            and isinstance(node.format_spec, ast.JoinedStr)
            and isinstance(node.format_spec.values[0], ast.Constant)
        ]
        if count := sum(FIXED.fullmatch(spec) is not None for spec in specs):
            found[file.relative_to(ROOT).as_posix()] = count
    assert found == ALLOWED
