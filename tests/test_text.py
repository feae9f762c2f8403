"""Tests of the formatting of summaries, with the notes that prevent misreading."""

from typing import Any

import pytest

from rnnlab.text import describe_machine, format_gain, format_horizon, format_regime


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
def test_a_number_is_told_with_its_zeros_and_dips(
    summary: dict[str, Any], gain: str, horizon: str, regime: str
) -> None:
    assert (format_gain(summary), format_horizon(summary), format_regime(summary)) == (gain, horizon, regime)


def test_of_a_machine_is_told_what_is_known() -> None:
    assert describe_machine({}) == ""
    assert describe_machine({"cpu": "", "packages": {"numpy": None}}) == ""
    whole = {"cpu": "a processor", "python": "3.11", "packages": {"numpy": "2.1"}}
    assert describe_machine(whole) == "a processor, Python 3.11, NumPy 2.1"
