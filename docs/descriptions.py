"""Descriptions from code and configuration: annotations in words, YAML comments and docstrings."""

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Callable, Sequence
from functools import cache
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Len, Lt, MinLen

from rnnlab.paths import conf_dir

TYPE_NAMES = {int: "integer", float: "number", bool: "true or false", str: "string", type(None): "null"}
BOUNDS = {Ge: ("≥", "ge"), Gt: (">", "gt"), Le: ("≤", "le"), Lt: ("<", "lt")}
LIMIT_NAMES = {2**63: "2⁶³"}


def describe_type(hint: Any) -> str:
    """Return the values that an annotation allows, in words."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        base, *bounds = arguments
        return describe_type(base) + _describe_bounds(base, bounds)
    if origin is Literal:
        *others, last = (f"`{value}`" for value in arguments)
        return f"{', '.join(others)} or {last}" if others else last
    if origin in (types.UnionType, typing.Union):
        return "; or ".join(describe_type(one) for one in arguments)
    if origin is list or (origin is tuple and arguments[-1] is ...):
        return f"list of: {describe_type(arguments[0])}"
    if origin is tuple:
        return f"list of {len(arguments)}: {describe_type(arguments[0])}"
    if origin is dict:
        return f"mapping with values: {describe_type(arguments[1])}"
    return TYPE_NAMES[hint]


def _describe_bounds(base: Any, bounds: Sequence[Any]) -> str:
    words = []
    for bound in bounds:
        if isinstance(bound, MinLen | Len):
            minimum, maximum = bound.min_length, getattr(bound, "max_length", None)
            if base is str:
                words.append(", one character" if maximum == 1 else ", not empty")
            else:
                words.append(f", at least {minimum}")
        else:
            sign, attribute = BOUNDS[type(bound)]
            limit = getattr(bound, attribute)
            words.append(f" {'and ' * bool(words)}{sign} {LIMIT_NAMES.get(limit) or format(limit, ',')}")
    return "".join(words)


def admits_null(hint: Any) -> bool:
    """Return True if an annotation allows null."""
    return hint is type(None) or any(admits_null(one) for one in typing.get_args(hint))


@cache
def key_comments(group: str, option: str) -> dict[str, str]:
    """Return the comments after the keys of an option's file, by the key's path below the group."""
    path: list[tuple[int, str]] = []
    comments = {}
    for line in read_option(group, option).splitlines():
        if not (match := re.match(r"( *)(\w+):(?: [^#]*)?(?:# (.+))?$", line)):
            continue
        indent, name, comment = len(match[1]), match[2], match[3]
        path = [parent for parent in path if parent[0] < indent] + [(indent, name)]
        if comment:
            key = ".".join(name for _, name in path)
            comments[key.removeprefix(f"{group}.")] = comment
    return comments


def header_comment(group: str, option: str) -> str:
    """Return the comment at the top of an option's file."""
    lines = re.match(r"(?:# .*\n)*", read_option(group, option))
    assert lines is not None
    return " ".join(line[2:] for line in lines[0].splitlines() if not line.startswith("# @package"))


def read_option(group: str, option: str) -> str:
    """Return the text of an option's file, or of `config.yaml` if both names are empty."""
    return (conf_dir() / group / f"{option or 'config'}.yaml").read_text(encoding="utf-8")


def attributes(cls: type) -> dict[str, str]:
    """Return the descriptions of a class's fields from its docstring and those of its bases."""
    descriptions: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        descriptions |= section(base, "Attributes")
    return descriptions


def section(documented: type | Callable[..., Any], title: str) -> dict[str, str]:
    """Return the entries of a docstring section such as `Args`, by name."""
    text = inspect.cleandoc(documented.__doc__ or "")
    if f"\n{title}:\n" not in text:
        return {}
    lines = text.split(f"\n{title}:\n", 1)[1].split("\n\n", 1)[0]
    parts = re.split(r"^ {4}(?=\w)", lines, flags=re.MULTILINE)[1:]
    entries = {}
    for name, _, words in (part.partition(":") for part in parts):
        entry = " ".join(words.split()).rstrip(".")
        # Comments in YAML begin with a lower-case letter.
        entries[name] = entry[0].lower() + entry[1:] if entry[1:2].islower() else entry
    return entries


def first_line(cls: type) -> str:
    """Return the first line of a docstring, or "" if a dataclass has only its generated docstring."""
    generated = dataclasses.is_dataclass(cls) and (cls.__doc__ or "").startswith(f"{cls.__name__}(")
    return "" if generated else inspect.cleandoc(cls.__doc__ or "").split("\n", 1)[0]


def bullet_list(cls: type) -> str:
    """Return the bullet list in a class's docstring."""
    lines = inspect.cleandoc(cls.__doc__ or "").splitlines()
    return "\n".join(line for line in lines if re.match(r"- |  \S", line))
