"""Overrides in Hydra's grammar, written from Python values."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hydra.core.override_parser.types import Quote, QuotedString

from rnnlab.app.config.messages import ConfigProblems

INTERPOLATION = re.compile(r"(\\*)\$\{")
"""Start of an interpolation, which a backslash prevents; backslashes before it must be doubled."""
PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
RESERVED = ("null", "true", "false", "inf", "nan")
"""Words that Hydra does not read as strings."""
LIST_KEYS = ("pair",)
"""Keys whose value is a list, so that a list does not define an axis."""
ALLOWED = "a number, a string, True, False, None, a path or a list of these"


def override_text(key: str, value: Any) -> str:
    """Return the override that sets a key to one value.

    >>> override_text("clip", None), override_text("task.path", "my text.txt")
    ('clip=null', "task.path='my text.txt'")

    Raises:
        ConfigProblems: If a configuration cannot contain the value.
    """
    return f"{key}={_text(key, value)}"


def axis_text(key: str, values: Any) -> str:
    """Return the override that sets a key to one value or, if `values` is a collection, to several values.

    >>> axis_text("cell", ["rnn", "lstm"]), axis_text("clip", [None, 1])
    ('cell=rnn,lstm', 'clip=null,1')

    Raises:
        ConfigProblems: If a configuration cannot contain a value, or if there are no values.
    """
    if key in LIST_KEYS or not is_collection(values):
        return override_text(key, values)
    texts = [_text(key, value) for value in values]
    if not texts:
        raise ConfigProblems([f"{key}=[]: must contain at least one value"])
    return f"{key}={','.join(texts)}"


def _text(key: str, value: Any) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str | Path):
        return _quoted(str(value))
    if is_collection(value):
        return f"[{','.join(_text(key, item) for item in value)}]"
    raise ConfigProblems([f"{key}={value!r}: has the type {type(value).__name__}; must be {ALLOWED}"])


def is_collection(value: Any) -> bool:
    """Return True for a list, a tuple, an array or another collection of values, but not for a string."""
    if isinstance(value, str | bytes | Mapping):
        return False
    return isinstance(value, Sequence) or (isinstance(value, Iterable) and hasattr(value, "__len__"))


def _quoted(text: str) -> str:
    if PLAIN.fullmatch(text) and text.lower() not in RESERVED:
        return text
    escaped = INTERPOLATION.sub(lambda found: f"{2 * found[1]}\\${{", text)
    return QuotedString(escaped, Quote.single).with_quotes()
