"""Arguments of public functions, checked before use: one line names argument, value and what is allowed.

Types are those of the signature, so that a mistake does not surface deep inside of pandas or seaborn. A frame
must be that of the loader which the argument is named after.
"""

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from collections.abc import Sequence as SequenceOf
from types import UnionType
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
import pandas as pd

FRAMES = {"runs": "load_runs", "metrics": "load_metrics", "gradients": "load_gradients"}
"""By the argument that takes a frame the loader whose frame it is."""
_FRAME_COLUMNS = {"gradients": {"step", "quantity", "log10_gmean"}, "metrics": {"step", "metric", "value"}}
"""Columns that no frame of another loader has together."""
_MAX_VALUE_LENGTH = 80
_TYPE_NAMES: dict[str, tuple[str, str]] = {
    "NoneType": ("None", "None"),
    "bool": ("True or False", "truth values"),
    "int": ("a whole number", "whole numbers"),
    "str": ("a text", "texts"),
    "Path": ("a path", "paths"),
    "DataFrame": ("a DataFrame", "DataFrames"),
    "Axes": ("a matplotlib Axes", "matplotlib Axes"),
}
"""By a type's name one value and several in words."""

P = ParamSpec("P")
R = TypeVar("R")


def check_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """Check what a function is given against the types of its signature, and frames by their columns.

    Raises:
        TypeError: An argument has another type.
        ValueError: A frame is that of another loader, is empty, or names a column twice.
    """
    signature = inspect.signature(function)
    hints = functools.cache(lambda: get_type_hints(function))

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            check_type(name, value, hints()[name])
            if name in FRAMES and isinstance(value, pd.DataFrame):
                _check_frame(name, value)
        return function(*args, **kwargs)

    return call


def check_type(argument: str, value: Any, hint: Any) -> None:
    """Whether a value has a type.

    Raises:
        TypeError: It has another.
    """
    if _has_type(value, hint):
        return
    allowed = _describe_type(hint)
    if isinstance(value, str) and argument == "ax":
        allowed += f"; an axis of the sweep is chosen by name, as in x={value!r}"
    if argument in FRAMES:
        allowed += f", that of {FRAMES[argument]}"
    raise TypeError(f"{argument}={_format_value(value)}: must be {allowed}")


def _check_frame(argument: str, frame: pd.DataFrame) -> None:
    names = set(frame.columns)
    other = next(
        (kind for kind, marks in _FRAME_COLUMNS.items() if marks <= names and kind != argument), None
    )
    if other is not None:
        given, wanted = FRAMES[other], FRAMES[argument]
        raise ValueError(f"{argument}: the frame is that of {given}; it must be that of {wanted}")
    if len(names) < len(frame.columns):
        twice = frame.columns[frame.columns.duplicated()][0]
        raise ValueError(f"{argument}: the frame has several columns {twice!r}; names must differ")
    if frame.empty:
        raise ValueError(f"{argument}: the frame has no rows: there is nothing to draw")


def _has_type(value: Any, hint: Any) -> bool:
    if hint is Any:
        return True
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_has_type(value, one) for one in inner)
    if origin is Literal:
        return any(_has_type(value, type(one)) for one in inner)  # which of them is checked where it is known
    if origin is SequenceOf:  # whatever can be gone through twice: lists, arrays, columns, sets
        is_several = isinstance(value, Collection) and not isinstance(value, str | bytes | Mapping)
        return (
            is_several and getattr(value, "ndim", 1) == 1 and all(_has_type(one, inner[0]) for one in value)
        )
    if hint is bool:
        return isinstance(value, bool | np.bool_)
    if hint is int:
        return isinstance(value, int | np.integer) and not isinstance(value, bool)
    return isinstance(value, hint)


def _describe_type(hint: Any) -> str:
    """A type in words: `a text, a list of texts or None`."""
    return _join_words(_alternatives(hint, 0))


def _join_words(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _alternatives(hint: Any, form: int) -> list[str]:
    """Each type that is allowed, one value (0) or several (1) of it."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return [word for one in inner for word in _alternatives(one, form)]
    if origin is Literal:
        return [repr(one) for one in inner]
    if origin is SequenceOf:
        return [f"a list of {_join_words(_alternatives(inner[0], 1))}"]
    return [_TYPE_NAMES.get(hint.__name__, (hint.__name__, hint.__name__))[form]]


def _format_value(value: Any) -> str:
    """A value in a line."""
    if isinstance(value, pd.DataFrame | pd.Series | np.ndarray):
        return f"<{type(value).__name__}>"
    text = " ".join(repr(value).split())
    return text if len(text) <= _MAX_VALUE_LENGTH else f"{text[:_MAX_VALUE_LENGTH]} …"
