"""Checks of values against type annotations, and of the names of classes and functions."""

import copy
import dataclasses
import importlib
import json
import re
import typing
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache, partial
from inspect import isabstract, isfunction
from math import isinf
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from rnnlab.app.config.suggestions import nearest, quoted
from rnnlab.text import one_line

# inf and nan pass Hydra's typing; extra keys come in with a + in front.
_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class InvalidConfig(ValueError):
    """A configuration that breaks the schema, with a line for each problem."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = [one_line(problem) for problem in problems]
        super().__init__("\n".join(problems))


def target(keys: dict[str, Any], path: str, wanted: type, problems: list[str]) -> Any:
    """Take `_target_` out of `keys` and return the class that it names, or None and the problem noted.

    Args:
        keys: Of a group.
        path: Of the group.
        wanted: The abstract class or protocol that the class must have the members of.
        problems: Where a problem is noted.
    """
    told = f"of the kind {wanted.__name__}"
    return _named(keys, path, "class", lambda found: _is_a(found, wanted), told, problems)


def target_function(keys: dict[str, Any], path: str, hints: Mapping[str, Any], problems: list[str]) -> Any:
    """As `target`, of a function that has these annotations among its own."""
    told = f"a function of a {next(iter(hints.values())).__name__}"
    return _named(keys, path, "function", lambda found: _has_hints(found, hints), told, problems)


def _named(
    keys: dict[str, Any],
    path: str,
    kind: str,
    fits: Callable[[Any], bool],
    wanted: str,
    problems: list[str],
) -> Any:
    named = str(keys.pop("_target_", None) or "null")
    module, _, name = named.rpartition(".")
    if not named.startswith("rnnlab."):
        problems.append(f"{path}._target_={named}: must be a {kind} of rnnlab")
        return None
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        found = None
    is_kind = isfunction(found) if kind == "function" else isinstance(found, type) and not isabstract(found)
    if not is_kind:
        problems.append(f"{path}._target_={named}: no such {kind}")
    elif not fits(found):
        problems.append(f"{path}._target_={named}: must be {wanted}")
    else:
        return found
    return None


def _is_a(cls: type, wanted: type) -> bool:
    if not dataclasses.is_dataclass(cls):
        return False
    if not getattr(wanted, "_is_protocol", False):
        return issubclass(cls, wanted)
    asked = {name for name in (*vars(wanted), *wanted.__annotations__) if not name.startswith("_")}
    return asked <= {*dir(cls), *(field.name for field in dataclasses.fields(cls))}


def _has_hints(function: Callable[..., Any], hints: Mapping[str, Any]) -> bool:
    return hints.items() <= typing.get_type_hints(function).items()


def fields(cls: type, left_out: Collection[str] = ()) -> dict[str, Any]:
    """The annotations of a dataclass's fields."""
    hints = annotations(cls)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls) if f.name not in left_out}


@cache
def annotations(of: Callable[..., Any]) -> Mapping[str, Any]:
    """The annotations of a class or function, bounds included."""
    return typing.get_type_hints(of, include_extras=True)


def validated(
    name: str,
    hints: Mapping[str, Any],
    values: dict[str, Any],
    prefix: str,
    problems: list[str],
    dtype: str = "float64",
) -> dict[str, Any] | None:
    """Check values against annotations, and that a run of this dtype can hold them."""
    schema = _schema(name, tuple(hints.items()))
    try:
        # JSON mode is strict about numbers and still makes nested dataclasses and tuples.
        checked = schema.model_validate_json(json.dumps(values))
    except ValidationError as error:
        problems += _told_together(prefix, error.errors(), hints)
        return None
    found = {field: getattr(checked, field) for field in hints}
    beyond = []
    for path, number in _floats(found):
        if number == 0 or 1e-37 < abs(number) < 1e38:  # as nearly all are, and looking closer takes time
            continue
        if why := _beyond(number, dtype, partial(_allows, schema, values, path)):
            beyond.append(f"{prefix}{'.'.join(path)}={_shown(number)}: {why}")
    problems += beyond
    return None if beyond else found


def _floats(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], float]]:
    """Every number of a key that holds real numbers, however it was written, with its key."""
    if isinstance(tree, float):
        yield path, tree
    elif dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        yield from _floats(vars(tree), path)
    elif isinstance(tree, Mapping):
        for key, inner in tree.items():
            yield from _floats(inner, (*path, str(key)))
    elif isinstance(tree, list | tuple):
        for number, inner in enumerate(tree):
            yield from _floats(inner, (*path, str(number)))


def _held(number: float, dtype: str) -> float:
    """A number as an array of a dtype holds it."""
    with np.errstate(over="ignore", under="ignore"):
        return float(np.asarray(number).astype(dtype))


def _beyond(number: float, dtype: str, allowed: Callable[[float], bool]) -> str | None:
    """What is wrong with a number that a dtype cannot hold, or None.

    Args:
        number: The number.
        dtype: Of the run.
        allowed: Whether the key may have another value; a tiny number is 0 where 0 will do.
    """
    held, widest = _held(number, dtype), np.finfo("float64")
    if isinf(held):
        bounds = f"at most {np.finfo(dtype).max:.8g}, or {widest.max:.8g} with dtype=float64"
        return f"infinite in {dtype}; {bounds}"
    if held == 0 != number and not allowed(0.0):
        bounds = f"at least {np.finfo(dtype).smallest_subnormal:.2g}, or {widest.smallest_subnormal:.2g} with"
        return f"0 in {dtype}; {bounds} dtype=float64"
    return None


def _allows(schema: type[BaseModel], values: Any, path: Sequence[str], value: float) -> bool:
    """Whether a key may have another value than it has."""
    copied = copy.deepcopy(values)
    node = copied
    for part in path[:-1]:
        node = node[int(part) if isinstance(node, list) else part]
    node[int(path[-1]) if isinstance(node, list) else path[-1]] = value
    try:
        schema.model_validate_json(json.dumps(copied))
    except ValidationError:
        return False
    return True


@cache  # making one takes longer than a check with it, and every job of a sweep needs the same
def _schema(name: str, hints: tuple[tuple[str, Any], ...]) -> type[BaseModel]:
    typed: Any = {field: (hint, ...) for field, hint in hints}
    return create_model(name, __config__=_STRICT, **typed)


_ASKED = {
    "model_type": "must have keys of its own",
    "dataclass_type": "must have keys of its own",
    "dict_type": "must have keys of its own",
    "list_type": "must be a list, as in [a,b]",
    "tuple_type": "must be a list, as in [a,b]",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "bool_type": "must be true or false",
}
"""What is asked for, where pydantic says it in a programmer's words."""


def _told_together(prefix: str, errors: Sequence[Any], hints: Mapping[str, Any]) -> list[str]:
    """A line for each key; of a key that takes one of several types, what each of them asks for."""
    by_key: dict[tuple[Any, ...], list[Any]] = {}
    for problem in errors:
        key = problem["loc"][:-1] if problem["loc"][-1] in ("bool", "str") else problem["loc"]
        by_key.setdefault(key, []).append(problem)
    told = []
    for key, problems in by_key.items():
        first, *others = [_asked(problem) for problem in problems]
        asked = " or ".join([first, *(other.removeprefix("must be ") for other in others)])
        if len(key) == 1 and type(None) in typing.get_args(hints.get(key[0])):
            asked += ", or null"
        told.append(_told(prefix + ".".join(str(part) for part in key), problems[0], asked, hints))
    return told


def _asked(problem: Any) -> str:
    """What is asked for, with the nearest of the allowed words or numbers."""
    value = problem["input"]
    asked = _ASKED.get(problem["type"]) or str(problem["msg"]).replace("Input should be", "must be")
    asked = asked.replace("String should have", "must have")
    if problem["type"].startswith("int_") and isinstance(value, float) and value.is_integer():
        return f"{asked}, such as {int(value)}"
    if problem["type"] == "literal_error" and isinstance(value, str):
        meant = nearest(value, re.findall(r"'(.*?)'", problem["ctx"]["expected"]))
        return f"{asked}; did you mean {meant}?" if meant else asked
    return asked


def _told(key: str, problem: Any, asked: str, hints: Collection[str]) -> str:
    value = problem["input"]
    match problem["type"]:
        case "missing":
            return f"{key}: missing"
        case "extra_forbidden" | "unexpected_keyword_argument":
            shown = "" if isinstance(value, dict | list) else f"={_shown(value)}"
            meant = nearest(str(problem["loc"][-1]), hints) if len(problem["loc"]) == 1 else None
            return f"{key}{shown}: no such key{f'; did you mean {meant}?' if meant else ''}"
        case "too_short" if problem["ctx"]["field_type"] == "List":
            return f"{key}: must name at least {problem['ctx']['min_length']}, or be null"
        case "string_type" if isinstance(value, bool | int | float):
            return f"{key}={_shown(value)}: {asked}; as text it is {quoted(f'{key}={_shown(value)}')}"
    return f"{key}={_shown(value)}: {asked}"


def _shown(value: Any) -> str:
    """A value as one would write it."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    is_like_another = isinstance(value, str) and (not value or value.replace(".", "").isdigit())
    return repr(value) if is_like_another else str(value)
