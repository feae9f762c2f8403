"""Type checks for the arguments of public functions.

Arguments are checked against the types in the function's signature, so that errors do not surface deep inside
pandas or seaborn. Each error message gives the argument, its value and the allowed types. A data frame must
come from the loader that matches the argument's name, such as `load_runs` for the argument `runs`.
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
"""Name of the loader whose data frames an argument accepts, by argument name."""
_FRAME_COLUMNS = {"gradients": {"step", "quantity", "log10_gmean"}, "metrics": {"step", "metric", "value"}}
"""Columns that, together, identify the loader of a data frame, by argument name."""
HUE = "hue"
_MAX_VALUE_LENGTH = 80
_TYPE_NAMES: dict[str, tuple[str, str]] = {
    "NoneType": ("None", "None"),
    "bool": ("True or False", "booleans"),
    "int": ("an integer", "integers"),
    "str": ("a string", "strings"),
    "Path": ("a path", "paths"),
    "DataFrame": ("a DataFrame", "DataFrames"),
    "Axes": ("a matplotlib Axes", "matplotlib Axes"),
}
"""Singular and plural descriptions of types, by type name."""

P = ParamSpec("P")
R = TypeVar("R")


def check_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function so that each call checks the argument types and the columns of data frames.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a data frame comes from the wrong loader, has no rows or has a duplicate column.
    """
    signature = inspect.signature(function)
    hints = functools.cache(lambda: get_type_hints(function))

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            allowed = ", ".join(signature.parameters)
            raise TypeError(f"{function.__name__}: {error}; allowed: {allowed}") from None
        for name, value in given.items():
            hint = _hint(value, given, hints()) if name == "ax" else ""
            check_type(name, value, hints()[name], hint)
            if name in FRAMES and isinstance(value, pd.DataFrame):
                _check_frame(name, value)
                if (
                    HUE in signature.parameters
                    and HUE not in given
                    and signature.parameters[HUE].default not in value
                ):
                    kwargs[HUE] = None  # a frame of the user may lack the column of the default
        return function(*args, **kwargs)

    return call


def check_type(argument: str, value: Any, hint: Any, advice: str = "") -> None:
    """Raise TypeError if a value does not match a type hint.

    Args:
        argument: Name of the argument.
        value: Value of the argument.
        hint: Type hint.
        advice: Last part of the message.

    Raises:
        TypeError: If the value does not match the type hint.
    """
    if _has_type(value, hint):
        return
    allowed = _describe_type(hint)
    if hint is pd.DataFrame and argument in FRAMES:
        allowed += f" from {FRAMES[argument]}"
    raise TypeError(f"{argument}={_format_value(value)}: must be {allowed}{advice}")


def _hint(value: Any, given: Mapping[str, Any], hints: Mapping[str, Any]) -> str:
    """Return the argument that a string in place of the Axes was probably meant for."""
    if not isinstance(value, str):
        return ""
    frame = next((frame for name, frame in given.items() if name in FRAMES), None)
    is_column = isinstance(frame, pd.DataFrame) and value in frame
    names = [name for name, hint in hints.items() if _has_type("", hint) and name != "return"]
    roles = [name for name in (("x", "hue") if is_column else names) if name in names]
    return f"; did you mean {roles[0]}={value!r}?" if roles else ""


def _check_frame(argument: str, frame: pd.DataFrame) -> None:
    names = set(frame.columns)
    other = next(
        (kind for kind, marks in _FRAME_COLUMNS.items() if marks <= names and kind != argument), None
    )
    if other is not None:
        raise ValueError(f"{argument}: data frame from {FRAMES[other]}; must come from {FRAMES[argument]}")
    if len(names) < len(frame.columns):
        duplicate = frame.columns[frame.columns.duplicated()][0]
        raise ValueError(f"{argument}: duplicate column {duplicate!r}; column names must be unique")
    if frame.empty:
        raise ValueError(f"{argument}: the data frame has no rows; at least one row is required")


def _has_type(value: Any, hint: Any) -> bool:
    if hint is Any:
        return True
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_has_type(value, one) for one in inner)
    if origin is Literal:
        return any(_has_type(value, type(one)) for one in inner)  # the function itself checks the value
    if origin is SequenceOf:  # any collection: lists, arrays, columns, sets
        is_collection = isinstance(value, Collection) and not isinstance(value, str | bytes | Mapping)
        is_flat = is_collection and getattr(value, "ndim", 1) == 1
        return is_flat and all(_has_type(one, inner[0]) for one in value)
    if hint is bool:
        return isinstance(value, bool | np.bool_)
    if hint is int:
        return isinstance(value, int | np.integer) and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return isinstance(value, hint)


def _describe_type(hint: Any) -> str:
    """Return a description of a type, such as `a string, a list of strings or None`."""
    return _join_words(_alternatives(hint, 0))


def _join_words(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _alternatives(hint: Any, form: int) -> list[str]:
    """Return a description of each allowed type, in the singular (`form` 0) or in the plural (`form` 1)."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return [word for one in inner for word in _alternatives(one, form)]
    if origin is Literal:
        return [repr(one) for one in inner]
    if origin is SequenceOf:
        return [f"a list of {_join_words(_alternatives(inner[0], 1))}"]
    return [_TYPE_NAMES.get(hint.__name__, (hint.__name__, hint.__name__))[form]]


def _format_value(value: Any) -> str:
    """Return a value as one line of text, shortened if it is too long."""
    if isinstance(value, pd.DataFrame | pd.Series | np.ndarray):
        return f"<{type(value).__name__}>"
    text = " ".join(repr(value).split())
    return text if len(text) <= _MAX_VALUE_LENGTH else f"{text[:_MAX_VALUE_LENGTH]} …"
