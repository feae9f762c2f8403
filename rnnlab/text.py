"""Formatting of numbers, run outcomes and untrusted strings for the terminal and for reports."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rnnlab.records import (
    CENSORED,
    CLIP_RATE,
    GAIN,
    HORIZON,
    HORIZON_FIRST,
    LOG10_GAIN,
    STEPS_TO_SOLVE,
    VAL_LOSS,
    ZERO_AT_HORIZON,
    ZERO_FRACTION,
)

NO_VALUE = "–"
_CONTROL_CODES = "\x00-\x08\x0b-\x1f\x7f-\x9f"
_BIDI_CONTROLS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_NON_CHARACTERS = "\u2028\u2029\ud800-\udfff\ufffe\uffff"  # line breaks and invalid characters
_UNPRINTABLE = re.compile(f"[{_CONTROL_CODES}{_BIDI_CONTROLS}{_NON_CHARACTERS}]")

_LONG_DECIMAL = re.compile(r"[+-]?(?=[\d.]{9})\d*\.\d+(e[+-]?\d+)?")

PASSWORD_MASK = "***"
"""Text that replaces each password in a URL."""
SECRET_KEYS = ("password", "passwd", "pwd", "sslpassword", "token", "secret", "odbc_connect")
"""Names of URL query parameters whose values are secret."""


def redact(text: str) -> str:
    """Mask the passwords in all URLs in a string; if the end of one is ambiguous, mask the longer part."""
    text = re.sub(r"(://[^:/?#@\s]*):\S*@", rf"\1:{PASSWORD_MASK}@", text)
    return re.sub(rf"(?i)([?&]({'|'.join(SECRET_KEYS)})=)[^&\s]+", rf"\1{PASSWORD_MASK}", text)


def sanitize(text: str) -> str:
    """Replace with U+FFFD all characters that control the terminal or the text direction."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def sanitize_values(tree: Any) -> Any:
    """Apply `sanitize` to every string in nested dictionaries and lists."""
    if isinstance(tree, dict):
        return {sanitize_values(key): sanitize_values(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [sanitize_values(value) for value in tree]
    return sanitize(tree) if isinstance(tree, str) else tree


MAX_LINE_LENGTH = 600
MAX_DIGITS = 8
"""Maximum number of digits of a formatted number."""
MAX_DECADES = 308
"""Largest integer n for which float64 can represent 10ⁿ."""


def one_line(text: str) -> str:
    """Convert a string to one printable line: escape control characters and shorten long lines."""
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    half = MAX_LINE_LENGTH // 2
    return line if len(line) <= MAX_LINE_LENGTH else f"{line[:half]} … {line[-half:]}"


def format_run_count(count: int) -> str:
    """Format the number of runs with a singular or plural noun: `1 run` or `2 runs`."""
    return "1 run" if count == 1 else f"{count} runs"


def format_number(value: float | None, form: str) -> str:
    """Format a number, or return a dash for None.

    A number that would have more than MAX_DIGITS digits in the given format, such as the loss of a diverging
    run, is rounded to three significant digits.
    """
    if value is None:
        return NO_VALUE
    text = format(value, form)
    if sum(character.isdigit() for character in text) <= MAX_DIGITS:
        return text
    return f"{100 * value:.3g}%" if form.endswith("%") else f"{value:.3g}"


def format_metric(value: float | None) -> str:
    """Format a metric with three decimals, fewer from 1000 on, or two significant digits below 0.005."""
    if value is None or value == 0 or 0.005 <= abs(value) < 1000:
        return format_number(value, ".3f")
    return format_number(value, ".2g" if abs(value) < 1 else ".0f" if abs(value) < 1e6 else ".3g")


def format_sample(value: float) -> str:
    """Format a number in an example sequence, with two decimals or, from 1000 on, none."""
    return format_number(value, ".2f" if abs(value) < 1000 else ".0f")


def format_loss(value: float | None, info: Mapping[str, Any]) -> str:
    """Format a training or validation loss in the unit that `run.json` gives, and name the unit."""
    name, factor = loss_unit_from_info(info)
    unit = f" ({name})" if name else ""
    return f"{format_metric(None if value is None else factor * value)}{unit}"


def loss_unit_from_info(info: Mapping[str, Any]) -> tuple[str, float]:
    """Return the name and factor of the loss unit in `run.json`; older files lack it."""
    unit = info.get("loss_unit") or {}
    return str(unit.get("name", "")), float(unit.get("factor", 1.0))


def shorten_numbers(texts: Sequence[str]) -> list[str]:
    """Round the decimal numbers among the values of an axis to five digits unless two values become equal."""
    short = [f"{float(text):.5g}" if _LONG_DECIMAL.fullmatch(text) else text for text in texts]
    return short if len(set(short)) == len(set(texts)) else list(texts)


ZERO_NOTE = (
    "n% zero: fraction of probe examples whose gradient is exactly 0, at the horizon (in the horizon column) "
    "or at the longest lag (in other columns). Gain, horizon and regime exclude these examples."
)


SEVERAL_METRICS = "validation"
"""Heading of the metrics in a table of runs whose tasks have different metrics."""
MEANINGS = {
    "val/bpc": "validation loss in bits per character",
    "val/mse": "mean squared error on the validation set",
    "val/error_rate": "fraction of validation sequences with an error",
    "val/accuracy": "fraction of validation images classified correctly",
    SEVERAL_METRICS: "metric of the task on the validation set",
    "baseline": "the same without memory",
    "gain": "factor of the gradient norm per time step back (1 preserves it)",
    "horizon": "time steps back until 1 % of the gradient is left",
    "≥": "at least, because more than 1 % is left at the longest lag",
    "regime": "whether the gradient vanishes, explodes or stays stable over long lags",
    "clip rate": "training steps with a clipped gradient",
    "solved at": "first training step that met the success criterion",
}
"""Meaning in plain words of each column of a table of results that is not a word of everyday language."""
_HEADINGS = {GAIN: "gain", HORIZON: "horizon", CLIP_RATE: "clip rate", STEPS_TO_SOLVE: "solved at"}


def explain(names: Iterable[str], loss_unit: str = "") -> str:
    """Return one line with the meanings of table headings or metrics; names without a meaning are omitted."""
    in_unit = f" in {loss_unit}" if loss_unit else ""
    meanings = MEANINGS | {VAL_LOSS: f"validation loss{in_unit}"}
    pairs = ((name, meanings.get(_HEADINGS.get(name, name))) for name in names)
    return "; ".join(f"{name}: {meaning}" for name, meaning in pairs if meaning is not None)


def format_gain(summary: Mapping[str, Any]) -> str:
    """Format the gain and, unless the gain is 0, the fraction of examples with zero gradient."""
    gain = gain_from_summary(summary)
    if gain == 0:
        return "0"
    return append_notes(format_metric(gain), format_zero_share(summary.get(ZERO_FRACTION)))


def gain_from_summary(summary: Mapping[str, Any]) -> float | None:
    """Return the gain from a run summary, computed from its logarithm if only the logarithm was recorded."""
    gain, log10_gain = summary.get(GAIN), summary.get(LOG10_GAIN)
    if gain is not None or log10_gain is None or log10_gain > MAX_DECADES:
        return gain
    return float(10.0**log10_gain)


def format_horizon(summary: Mapping[str, Any]) -> str:
    """Format the horizon, with a preceding ≥ if the lag curve ends at or above 1 % of its first value."""
    horizon = summary.get(HORIZON)
    if horizon is None:
        return NO_VALUE
    at_least = "≥ " if summary.get(CENSORED) else ""
    first = format_dip(horizon, summary.get(HORIZON_FIRST))
    number = f"{at_least}{format_number(horizon, '.0f')}"
    return append_notes(number, first, format_zero_share(summary.get(ZERO_AT_HORIZON)))


def format_regime(summary: Mapping[str, Any]) -> str:
    """Format the gradient regime and the fraction of examples with zero gradient."""
    regime = summary.get("regime")
    return NO_VALUE if regime is None else append_notes(regime, format_zero_share(summary.get(ZERO_FRACTION)))


def format_dip(horizon: float, first: float | None) -> str:
    """Return a note with the first crossing if it is smaller than the horizon, otherwise an empty string."""
    if first is None or round(first) >= round(horizon):
        return ""
    return f"first under 1% after {format_number(first, '.0f')}"


def format_zero_share(share: float | None) -> str:
    """Format the fraction of examples with zero gradient, or return an empty string for 0 and None."""
    if not share:
        return ""
    rounded = "<1%" if share < 0.005 else ">99%" if 0.995 <= share < 1 else format_number(share, ".0%")
    return f"{rounded} zero"


def append_notes(text: str, *notes: str) -> str:
    """Append the non-empty notes, in parentheses, to a formatted number."""
    nonempty = [note for note in notes if note]
    return f"{text} ({', '.join(nonempty)})" if nonempty and text != NO_VALUE else text


def describe_machine(machine: Mapping[str, Any]) -> str:
    """Describe the processor and the versions of Python and NumPy that are recorded in `run.json`."""
    python, numpy = machine.get("python"), (machine.get("packages") or {}).get("numpy")
    parts = [machine.get("cpu"), python and f"Python {python}", numpy and f"NumPy {numpy}"]
    return ", ".join(part for part in parts if part)


def describe_outcome(outcome: str, summary: Mapping[str, Any]) -> str:
    """Describe the outcome of a run, with the step at which it occurred or the error that caused it."""
    if outcome == "diverged" and (at := summary.get("diverged_at")):
        time = "" if at["timestep"] is None else f", time step {at['timestep']}"
        return f"diverged at step {at['step']}{time}: {at['quantity']}"
    if outcome == "unstable" and (since := summary.get("unstable_since")) is not None:
        return f"unstable since step {since}"
    if "error" in summary:
        return f"{outcome}: {summary['error']}"
    differs = summary.get("differs_since")  # resumed where floating-point rounding differs
    return outcome if differs is None else f"{outcome}, not bit-identical since step {differs}"


def describe_error(error: Exception) -> str:
    """Describe an exception by its type and message; use one text for all errors caused by a full disk."""
    if "No space left" in str(error):
        return "no space left on the disk"
    return f"{type(error).__name__}: {error}"
