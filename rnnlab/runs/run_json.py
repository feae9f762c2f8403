"""What a run's `run.json` and `config.yaml` may hold, which may be damaged when they are read."""

from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, LiteralString, TypeVar

import yaml
from annotated_types import Ge, Le, Lt
from pydantic import (
    BaseModel,
    ConfigDict,
    StringConstraints,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
    with_config,
)
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict  # pydantic needs this one below Python 3.12

from rnnlab import __version__
from rnnlab.records import RUN_FILE, Outcome
from rnnlab.text import sanitize

FORMAT = 1
"""Of run folders. A `run.json` without it was written before it was noted, and is read like format 1."""

MAX_NODES = 100_000
"""In a configuration; one that refers to itself has no end of them."""
MAX_DEPTH = 50
"""Levels of a configuration; some ten thousand would break the parser, and this process with it."""

Whole = Annotated[int, Ge(0), Lt(2**53)]
Name = Annotated[str, StringConstraints(pattern=r"^[^'\"`\\/\x00-\x1f]*$")]
"""It becomes a part of searches in MLflow."""
MAX_TIME = 9.2e9
"""Seconds since 1970; the times of pandas end in 2262."""
Seconds = Annotated[float, Ge(0), Le(MAX_TIME)]
Number = Annotated[float, Ge(-1e308), Le(1e308)]

NEWER_FORMAT: LiteralString = "newer_format"
NEWER: LiteralString = (
    "format {written}, written by rnnlab {by}; this is rnnlab {version}, which reads formats up to {own}; "
    "read it with that version or a newer one"
)

_STRICT = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class NewerFormat(ValueError):
    """A run folder was written by a later version, in a format that this one does not read."""


class _Part(BaseModel):
    """There may be more than is named."""

    model_config = _STRICT


class _Tracking(_Part):
    experiment: str
    points: Annotated[int, Ge(1)]


class _Dataset(_Part):
    name: str
    digest: str
    source: str


class _Machine(_Part):
    host: str | None = None
    cpu: str = ""
    python: str = ""
    packages: dict[str, str | None] = {}
    blas: dict[str, Any] = {}


class _Resumption(_Part):
    at: Seconds
    machine: _Machine | None = None
    tags: dict[str, str] = {}
    differs_since: Whole = 0


class _Goal(_Part):
    metric: str
    baseline: Number
    criterion: str | None


@with_config(_STRICT)
class _FirstNonFinite(TypedDict):
    step: Whole
    timestep: Whole | None
    quantity: str


@with_config(_STRICT)
class Summary(TypedDict, total=False):
    """What a run's summary may hold beside its metrics, whose names have a `/`."""

    steps_to_solve: Annotated[float, Ge(0), Lt(2**53)] | None
    regime: str | None
    unstable_since: Whole | None
    diverged_at: _FirstNonFinite | None
    differs_since: Whole | None
    seconds: Number
    error: str


def _keep_order(summary: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """A summary in its own order, which is that of columns in frames."""
    check(summary)
    for key, value in summary.items():
        if "/" in key and not (value is None or (isinstance(value, int | float) and abs(value) <= 1e308)):
            raise ValueError(f"{key} is no number")
    return summary


class RunFile(_Part):
    """`run.json`."""

    format: Annotated[int, Ge(1)] = FORMAT
    outcome: Outcome | None
    started: Seconds = 0.0
    id: Name = ""
    identity: str = ""
    name: str = ""
    number: Whole = 0
    steps: Whole = 1
    overrides: list[str] = []
    command: str | None = None
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    goal: _Goal | None = None
    dataset: _Dataset | None = None
    tracking: _Tracking | None = None
    machine: _Machine | None = None
    resumed: list[_Resumption] = []
    ended: Seconds | None = None
    summary: Annotated[Summary, WrapValidator(_keep_order)] = {}

    @model_validator(mode="before")
    @classmethod
    def _refuse_newer(cls, given: Any) -> Any:
        written = given.get("format") if isinstance(given, dict) else None
        if type(written) is int and written > FORMAT:
            tags = given.get("tags")
            by = tags.get("rnnlab_version") if isinstance(tags, dict) else None
            context = {"written": written, "by": sanitize(by) if isinstance(by, str) else "unknown"}
            context |= {"own": FORMAT, "version": __version__}
            raise PydanticCustomError(NEWER_FORMAT, NEWER, context)
        return given


_Kind = TypeVar("_Kind", bound=RunFile)


def read_run_info(folder: Path, needed: Collection[str] = ()) -> dict[str, Any] | None:
    """What is known of a run, or None where its folder does not exist yet.

    Args:
        folder: The run's.
        needed: Keys that must be there, and not null.

    Raises:
        ValueError: `run.json` is damaged.
    """
    try:
        data = (folder / RUN_FILE).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(f"{RUN_FILE}: {error.strerror}") from None
    read = parse_run_file(RunFile, data)
    needed = (*needed, "ended") if needed and read.outcome is not None else needed
    if missing := [key for key in needed if key not in read.model_fields_set or getattr(read, key) is None]:
        raise ValueError(f"{RUN_FILE}: {', '.join(missing)}: missing")
    return read.model_dump(exclude_unset=True)


def parse_run_file(kind: type[_Kind], data: bytes) -> _Kind:
    """A `run.json`.

    Raises:
        NewerFormat: A later version wrote it.
        ValueError: It is none, in a line that says why.
    """
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        at = ".".join(map(str, first["loc"]))
        kind_of_error = NewerFormat if first["type"] == NEWER_FORMAT else ValueError
        raise kind_of_error(f"{RUN_FILE}: {at and at + ': '}{first['msg']}") from None


_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where there is one


def read_config(file: Path) -> dict[str, Any]:
    """A run's resolved configuration; empty where it cannot be read."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return {}
    try:
        if _depth(text) > MAX_DEPTH:
            return {}
        tree = yaml.load(text, _Loader)
        is_valid = isinstance(tree, dict) and sum(1 for _ in islice(_nodes(tree), MAX_NODES)) < MAX_NODES
    except Exception:  # whatever parsing a damaged file can raise
        return {}
    return tree if is_valid else {}


def _nodes(tree: Any) -> Iterator[object]:
    """A tree and all that is in it.

    Raises:
        TypeError: Something is nothing that JSON has, such as a date, bytes, a set, or a key that is no text.
    """
    yield tree
    if isinstance(tree, dict) and all(isinstance(key, str) for key in tree):
        inner = [*tree.values()]
    elif isinstance(tree, list):
        inner = tree
    elif isinstance(tree, str | int | float | None):
        inner = []
    else:
        raise TypeError(type(tree))
    for value in inner:
        yield from _nodes(value)


def _depth(text: str) -> int:
    depth = deepest = 0
    for event in yaml.parse(text, _Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if (deepest := max(deepest, depth)) > MAX_DEPTH:
            break
    return deepest


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """A tree's leaves by their dotted keys."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
