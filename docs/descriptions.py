"""What code and configuration say of themselves: annotations in words, comments in YAML, docstrings."""

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

BASIC = {int: "whole number", float: "number", bool: "true or false", str: "text", type(None): "null"}
BOUNDS = {Ge: ("≥", "ge"), Gt: (">", "gt"), Le: ("≤", "le"), Lt: ("<", "lt")}
WORDED = {2**63: "2⁶³"}


def allowed(hint: Any) -> str:
    """An annotation in words."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        base, *bounds = arguments
        return allowed(base) + _bounds(base, bounds)
    if origin is Literal:
        *others, last = (f"`{value}`" for value in arguments)
        return f"{', '.join(others)} or {last}" if others else last
    if origin in (types.UnionType, typing.Union):
        return "; or ".join(allowed(one) for one in arguments)
    if origin is list or (origin is tuple and arguments[-1] is ...):
        return f"list of: {allowed(arguments[0])}"
    if origin is tuple:
        return f"list of {len(arguments)}: {allowed(arguments[0])}"
    if origin is dict:
        return f"keys with: {allowed(arguments[1])}"
    return BASIC[hint]


def _bounds(base: Any, bounds: Sequence[Any]) -> str:
    words = []
    for bound in bounds:
        if isinstance(bound, MinLen | Len):
            least, most = bound.min_length, getattr(bound, "max_length", None)
            words.append(
                ", one character" if most == 1 else ", not empty" if base is str else f", at least {least}"
            )
        else:
            sign, attribute = BOUNDS[type(bound)]
            limit = getattr(bound, attribute)
            words.append(f" {'and ' * bool(words)}{sign} {WORDED.get(limit) or format(limit, ',')}")
    return "".join(words)


def admits_null(hint: Any) -> bool:
    """Whether a key may be null."""
    return hint is type(None) or any(admits_null(one) for one in typing.get_args(hint))


@cache
def comments(group: str, option: str) -> dict[str, str]:
    """What an option's file says beside its keys, by their path below the group."""
    path: list[tuple[int, str]] = []
    found = {}
    for line in text_of(group, option).splitlines():
        if not (read := re.match(r"( *)(\w+):(?: [^#]*)?(?:# (.+))?$", line)):
            continue
        indent, name, comment = len(read[1]), read[2], read[3]
        path = [step for step in path if step[0] < indent] + [(indent, name)]
        if comment:
            key = ".".join(name for _, name in path)
            found[key.removeprefix(f"{group}.")] = comment
    return found


def head(group: str, option: str) -> str:
    """What an option's file says at its beginning."""
    lines = re.match(r"(?:# .*\n)*", text_of(group, option))
    assert lines is not None
    return " ".join(line[2:] for line in lines[0].splitlines() if not line.startswith("# @package"))


def text_of(group: str, option: str) -> str:
    """An option's file; that of all runs for no group."""
    return (conf_dir() / group / f"{option or 'config'}.yaml").read_text(encoding="utf-8")


def attributes(cls: type) -> dict[str, str]:
    """What the docstrings of a class and its bases say of its fields."""
    found: dict[str, str] = {}
    for one in reversed(cls.__mro__[:-1]):
        found |= section(one, "Attributes")
    return found


def section(documented: type | Callable[..., Any], title: str) -> dict[str, str]:
    """The entries of a docstring's section, such as `Args`."""
    text = inspect.cleandoc(documented.__doc__ or "")
    if f"\n{title}:\n" not in text:
        return {}
    lines = text.split(f"\n{title}:\n", 1)[1].split("\n\n", 1)[0]
    entries = re.split(r"^ {4}(?=\w)", lines, flags=re.MULTILINE)[1:]
    found = {}
    for name, _, words in (part.partition(":") for part in entries):
        entry = " ".join(words.split()).rstrip(".")
        found[name] = entry[0].lower() + entry[1:] if entry[1:2].islower() else entry  # as comments begin
    return found


def first_line(cls: type) -> str:
    """What a docstring begins with; a dataclass's own is none."""
    generated = dataclasses.is_dataclass(cls) and (cls.__doc__ or "").startswith(f"{cls.__name__}(")
    return "" if generated else inspect.cleandoc(cls.__doc__ or "").split("\n", 1)[0]


def listed(cls: type) -> str:
    """The list in a docstring."""
    lines = inspect.cleandoc(cls.__doc__ or "").splitlines()
    return "\n".join(line for line in lines if re.match(r"- |  \S", line))
