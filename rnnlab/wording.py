"""How a run's numbers and its end are told, on the terminal and in reports."""

import re
from collections.abc import Mapping
from typing import Any

from rnnlab.records import CENSORED, HORIZON, LOG10_GAIN

NONE = "–"
_STEERING = "\x00-\x08\x0b-\x1f\x7f-\x9f"
_DIRECTION = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_NO_TEXT = "\u2028\u2029\ud800-\udfff\ufffe\uffff"  # line ends to some, to others no characters at all
_CONTROL = re.compile(f"[{_STEERING}{_DIRECTION}{_NO_TEXT}]")


def plain(text: str) -> str:
    """A text with � in place of control characters, so that it steers no terminal and reads in order."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def plain_values(tree: Any) -> Any:
    """Plain data, with all of its texts `plain`."""
    if isinstance(tree, dict):
        return {plain_values(key): plain_values(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [plain_values(value) for value in tree]
    return plain(tree) if isinstance(tree, str) else tree


MAX_LINE = 600


def in_a_line(text: str) -> str:
    """A text as one line that a terminal shows as it is: no line ends or control characters, not too long."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    half = MAX_LINE // 2
    return shown if len(shown) <= MAX_LINE else f"{shown[:half]} … {shown[-half:]}"


def count_of_runs(count: int) -> str:
    """`1 run`, `2 runs`."""
    return "1 run" if count == 1 else f"{count} runs"


def told(value: float | None, form: str) -> str:
    """A number in a format, or that there is none."""
    return NONE if value is None else format(value, form)


def metric_told(value: float | None) -> str:
    """Three decimals, or two digits where that would hide it."""
    return told(value, ".3f" if value is None or value == 0 or abs(value) >= 0.005 else ".2g")


def gain_told(summary: Mapping[str, Any]) -> str:
    """The gain of a lag curve."""
    log10_gain = summary.get(LOG10_GAIN)
    return told(None if log10_gain is None else 10**log10_gain, ".3f")


def horizon_told(summary: Mapping[str, Any]) -> str:
    """Lags; ≥ where the curve ends before the gradient has faded."""
    horizon = summary.get(HORIZON)
    return NONE if horizon is None else f"{'≥ ' if summary.get(CENSORED) else ''}{horizon:.0f}"


def outcome_told(outcome: str, summary: Mapping[str, Any]) -> str:
    """The outcome and, in a few words, where or why."""
    if outcome == "diverged" and (at := summary.get("diverged_at")):
        time = "" if at["timestep"] is None else f", time step {at['timestep']}"
        return f"diverged at step {at['step']}{time}: {at['quantity']}"
    if outcome == "unstable" and (since := summary.get("unstable_since")) is not None:
        return f"unstable since step {since}"
    if "error" in summary:
        return f"{outcome}: {summary['error']}"
    differs = summary.get("differs_since")  # it went on where numbers round otherwise
    return outcome if differs is None else f"{outcome}, not bit-identical since step {differs}"
