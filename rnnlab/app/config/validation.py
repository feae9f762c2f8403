"""Validation of values against type annotations, and lookup of classes and functions by name."""

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

from rnnlab.app.config.suggestions import nearest, quote_override
from rnnlab.engine.declarations import CellDeclarationError
from rnnlab.text import one_line

# Hydra accepts inf and nan, and extra keys with a leading +.
_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class InvalidConfig(ValueError):
    """Exception raised for a configuration that violates the schema; the message has one line per problem."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = [one_line(problem) for problem in problems]
        super().__init__("\n".join(problems))


def pop_class(keys: dict[str, Any], path: str, kind: type, problems: list[str]) -> Any:
    """Remove `_target_` from `keys` and return the class that it names; on failure, return None.

    Args:
        keys: Keys of a group.
        path: Dotted path of the group in the configuration.
        kind: Abstract class or protocol that the named class must implement.
        problems: List to which a message is appended on failure.
    """
    requirement = f"must implement {kind.__name__}"
    return _pop_target(keys, path, "class", lambda cls: _implements(cls, kind), requirement, problems)


def pop_function(keys: dict[str, Any], path: str, hints: Mapping[str, Any], problems: list[str]) -> Any:
    """Remove `_target_` from `keys` and return the function that it names; on failure, return None.

    Args:
        keys: Keys of a measurement.
        path: Dotted path of the measurement in the configuration.
        hints: Type annotations that the function must have, by name, starting with the first parameter.
        problems: List to which a message is appended on failure.
    """
    requirement = f"must be a function that takes a {next(iter(hints.values())).__name__}"
    return _pop_target(
        keys, path, "function", lambda function: _has_hints(function, hints), requirement, problems
    )


def _pop_target(
    keys: dict[str, Any],
    path: str,
    kind: str,
    is_valid: Callable[[Any], bool],
    requirement: str,
    problems: list[str],
) -> Any:
    full_name = str(keys.pop("_target_", None) or "null")
    module, _, name = full_name.rpartition(".")
    if not full_name.startswith("rnnlab."):
        problems.append(f"{path}._target_={full_name}: must be an rnnlab {kind}")
        return None
    try:
        target = getattr(importlib.import_module(module), name)
    except CellDeclarationError as error:
        problems.append(f"{path}._target_={full_name}: {error}")
        return None
    except (ImportError, AttributeError):
        target = None
    is_function = kind == "function"
    is_kind = isfunction(target) if is_function else isinstance(target, type) and not isabstract(target)
    if isinstance(target, type) and isabstract(target) and is_valid(target):
        missing = ", ".join(sorted(getattr(target, "__abstractmethods__", ())))
        problems.append(f"{path}._target_={full_name}: abstract class; must define {missing}")
    elif not is_kind:
        problems.append(f"{path}._target_={full_name}: no such {kind}")
    elif not is_valid(target):
        problems.append(f"{path}._target_={full_name}: {requirement}")
    else:
        return target
    return None


def _implements(cls: type, kind: type) -> bool:
    if not dataclasses.is_dataclass(cls):
        return False
    if not getattr(kind, "_is_protocol", False):
        return issubclass(cls, kind)
    members = {name for name in (*vars(kind), *kind.__annotations__) if not name.startswith("_")}
    return members <= {*dir(cls), *(field.name for field in dataclasses.fields(cls))}


def _has_hints(function: Callable[..., Any], hints: Mapping[str, Any]) -> bool:
    return hints.items() <= typing.get_type_hints(function).items()


def fields(cls: type, excluded: Collection[str] = ()) -> dict[str, Any]:
    """Return the type annotation of each field of a dataclass."""
    hints = annotations(cls)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls) if f.name not in excluded}


@cache
def annotations(obj: Callable[..., Any]) -> Mapping[str, Any]:
    """Return the type annotations of a class or function, including bounds such as `Ge(1)`."""
    return typing.get_type_hints(obj, include_extras=True)


def validate(
    name: str,
    hints: Mapping[str, Any],
    values: dict[str, Any],
    prefix: str,
    problems: list[str],
    dtype: str = "float64",
) -> dict[str, Any] | None:
    """Validate values against type annotations and the range of a floating-point type.

    Args:
        name: Name of the schema.
        hints: Type annotation of each key.
        values: Value of each key, as built-in Python objects.
        prefix: Prefix added to each key in messages, such as `task.`.
        problems: List to which a message is appended for each invalid value.
        dtype: Floating-point type of the run.

    Returns:
        The validated values, converted to the annotated types, or None if any value is invalid.
    """
    schema = _schema(name, tuple(hints.items()))
    try:
        # JSON mode is strict about numbers but still constructs nested dataclasses and tuples.
        model = schema.model_validate_json(json.dumps(values))
    except ValidationError as error:
        problems += _format_errors(prefix, error.errors(), hints)
        return None
    result = {field: getattr(model, field) for field in hints}
    range_problems = []
    for path, number in _floats(result):
        if number == 0 or 1e-37 < abs(number) < 1e38:  # nearly all numbers skip the slow check
            continue
        if problem := _range_problem(number, dtype, partial(_allows, schema, values, path)):
            range_problems.append(f"{prefix}{'.'.join(path)}={_format_value(number)}: {problem}")
    problems += range_problems
    return None if range_problems else result


def _floats(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yield the path and value of every float in nested values."""
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


def _cast(number: float, dtype: str) -> float:
    """Return a number rounded to the precision of a dtype."""
    with np.errstate(over="ignore", under="ignore"):
        return float(np.asarray(number).astype(dtype))


def _range_problem(number: float, dtype: str, allows: Callable[[float], bool]) -> str | None:
    """Return a message if a number is outside the range of a dtype, else None.

    Args:
        number: Number to check.
        dtype: Floating-point type of the run.
        allows: Function that returns True if the key accepts a given value; a tiny number may be rounded to 0
            only if the key accepts 0.
    """
    rounded, widest = _cast(number, dtype), np.finfo("float64")
    if isinf(rounded):
        limits = f"at most {np.finfo(dtype).max:.8g}, or {widest.max:.8g} with dtype=float64"
        return f"overflows to infinity in {dtype}; must be {limits}"
    if rounded == 0 != number and not allows(0.0):
        smallest = np.finfo(dtype).smallest_subnormal
        limits = f"at least {smallest:.2g}, or {widest.smallest_subnormal:.2g} with dtype=float64"
        return f"underflows to 0 in {dtype}; must be {limits}"
    return None


def _allows(schema: type[BaseModel], values: Any, path: Sequence[str], value: float) -> bool:
    """Return True if the schema accepts `value` for the key at `path`."""
    candidate = copy.deepcopy(values)
    node = candidate
    for part in path[:-1]:
        node = node[int(part) if isinstance(node, list) else part]
    node[int(path[-1]) if isinstance(node, list) else path[-1]] = value
    try:
        schema.model_validate_json(json.dumps(candidate))
    except ValidationError:
        return False
    return True


@cache  # creating a schema takes longer than using it, and all jobs of a sweep share it
def _schema(name: str, hints: tuple[tuple[str, Any], ...]) -> type[BaseModel]:
    field_types: Any = {field: (hint, ...) for field, hint in hints}
    return create_model(name, __config__=_STRICT, **field_types)


_REQUIREMENTS = {
    "model_type": "must be a mapping, as in {key: value}",
    "dataclass_type": "must be a mapping, as in {key: value}",
    "dict_type": "must be a mapping, as in {key: value}",
    "list_type": "must be a list, as in [a,b]",
    "tuple_type": "must be a list, as in [a,b]",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "int_type": "must be an integer",
    "int_from_float": "must be an integer",
    "int_parsing": "must be an integer",
    "int_parsing_size": "must be a smaller number",
    "bool_type": "must be true or false",
}
"""Requirement in plain English for each type of pydantic error."""


def _format_errors(prefix: str, errors: Sequence[Any], hints: Mapping[str, Any]) -> list[str]:
    """Return one message per invalid key, with the requirements of every type that the key accepts."""
    by_key: dict[tuple[Any, ...], list[Any]] = {}
    for error in errors:
        key = error["loc"][:-1] if error["loc"][-1] in ("bool", "str") else error["loc"]
        by_key.setdefault(key, []).append(error)
    lines = []
    for key, own_errors in by_key.items():
        first, *others = [_requirement(error) for error in own_errors]
        requirement = ", or ".join([first, *(other.removeprefix("must be ") for other in others)])
        if len(key) == 1 and type(None) in typing.get_args(hints.get(key[0])):
            requirement += ", or null"
        path = prefix + ".".join(str(part) for part in key)
        lines.append(_format_error(path, own_errors[0], requirement, hints))
    return lines


def _requirement(error: Any) -> str:
    """Return the requirement that a value violates, with a suggested value if possible."""
    value = error["input"]
    requirement = _REQUIREMENTS.get(error["type"]) or str(error["msg"]).replace("Input should be", "must be")
    requirement = requirement.replace("String should have", "must have")
    if error["type"].startswith("int_") and isinstance(value, float) and value.is_integer():
        return f"{requirement}, such as {int(value)}"
    if error["type"] == "literal_error" and isinstance(value, str):
        suggestion = nearest(value, re.findall(r"'(.*?)'", error["ctx"]["expected"]))
        return f"{requirement}; did you mean {suggestion}?" if suggestion else requirement
    return requirement


def _format_error(key: str, error: Any, requirement: str, hints: Collection[str]) -> str:
    value = error["input"]
    match error["type"]:
        case "missing":
            return f"{key}: missing"
        case "extra_forbidden" | "unexpected_keyword_argument":
            text = "" if isinstance(value, dict | list) else f"={_format_value(value)}"
            suggestion = nearest(str(error["loc"][-1]), hints) if len(error["loc"]) == 1 else None
            return f"{key}{text}: unknown key{f'; did you mean {suggestion}?' if suggestion else ''}"
        case "too_short" if error["ctx"]["field_type"] == "List":
            return f"{key}: must list at least {error['ctx']['min_length']} name, or be null"
        case "string_type" if isinstance(value, bool | int | float):
            override = f"{key}={_format_value(value)}"
            return f"{override}: {requirement}; to pass it as text, write {quote_override(override)}"
    return f"{key}={_format_value(value)}: {requirement}"


def _format_value(value: Any) -> str:
    """Return a value formatted as in an override."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    is_ambiguous = isinstance(value, str) and (not value or value.replace(".", "").isdigit())
    return repr(value) if is_ambiguous else str(value)
