"""Validation of `run.json` and `config.yaml`, which may be damaged or come from an untrusted source."""

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
"""Version of the run folder format; a `run.json` without a version is treated as format 1."""

MAX_NODES = 100_000
"""Maximum number of nodes in a configuration; a YAML tree containing itself has infinitely many nodes."""
MAX_DEPTH = 50
"""Maximum nesting depth of a configuration; at about 10,000 levels, parsing would crash the process."""

Whole = Annotated[int, Ge(0), Lt(2**53)]
Name = Annotated[str, StringConstraints(pattern=r"^[^'\"`\\/\x00-\x1f]*$")]
"""String that can be quoted safely in an MLflow search query."""
MAX_TIME = 9.2e9
"""Latest valid time in seconds since 1970; pandas cannot represent times after the year 2262."""
Seconds = Annotated[float, Ge(0), Le(MAX_TIME)]
Number = Annotated[float, Ge(-1e308), Le(1e308)]

NEWER_FORMAT: LiteralString = "newer_format"
NEWER: LiteralString = (
    "format {written}, written by rnnlab {by}; rnnlab {version} reads formats up to {own}; "
    "use a newer version of rnnlab"
)

_STRICT = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class NewerFormat(ValueError):
    """Exception for a run folder written in a newer format by a later version of rnnlab."""


class _Part(BaseModel):
    """Base class for the parts of `run.json`; each part may contain additional keys."""

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
    """Optional summary keys that are not metric names; every metric name contains a `/`."""

    steps_to_solve: Annotated[float, Ge(0), Lt(2**53)] | None
    regime: str | None
    unstable_since: Whole | None
    diverged_at: _FirstNonFinite | None
    differs_since: Whole | None
    seconds: Number
    error: str


def _keep_order(summary: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """Validate a summary but preserve its key order, which determines the column order in data frames."""
    check(summary)
    for key, value in summary.items():
        if "/" in key and not (value is None or (isinstance(value, int | float) and abs(value) <= 1e308)):
            raise ValueError(f"{key}: must be a number")
    return summary


class RunFile(_Part):
    """Content of `run.json`."""

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
    states: list[Name] = []
    goal: _Goal | None = None
    dataset: _Dataset | None = None
    tracking: _Tracking | None = None
    machine: _Machine | None = None
    resumed: list[_Resumption] = []
    ended: Seconds | None = None
    summary: Annotated[Summary, WrapValidator(_keep_order)] = {}

    @model_validator(mode="before")
    @classmethod
    def _refuse_newer(cls, content: Any) -> Any:
        written = content.get("format") if isinstance(content, dict) else None
        if type(written) is int and written > FORMAT:
            tags = content.get("tags")
            by = tags.get("rnnlab_version") if isinstance(tags, dict) else None
            context = {"written": written, "by": sanitize(by) if isinstance(by, str) else "unknown"}
            context |= {"own": FORMAT, "version": __version__}
            raise PydanticCustomError(NEWER_FORMAT, NEWER, context)
        return content


_Kind = TypeVar("_Kind", bound=RunFile)


def read_run_info(folder: Path, needed: Collection[str] = ()) -> dict[str, Any] | None:
    """Return the content of a run's `run.json`, or None if the file does not exist yet.

    Args:
        folder: Run folder.
        needed: Keys that must be present and must not be null.

    Raises:
        ValueError: If `run.json` is damaged.
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
    """Parse and validate the content of a `run.json` file.

    Raises:
        NewerFormat: If a later version of rnnlab wrote the file.
        ValueError: If the content is invalid; the message states the reason in one line.
    """
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        at = ".".join(map(str, first["loc"]))
        kind_of_error = NewerFormat if first["type"] == NEWER_FORMAT else ValueError
        raise kind_of_error(f"{RUN_FILE}: {at and at + ': '}{first['msg']}") from None


YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C parser is ten times as fast


def read_config(file: Path) -> dict[str, Any]:
    """Return a run's resolved configuration, or an empty configuration if the file is unreadable."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return {}
    try:
        if _depth(text) > MAX_DEPTH:
            return {}
        tree = yaml.load(text, YAML_LOADER)
        is_valid = isinstance(tree, dict) and sum(1 for _ in islice(_nodes(tree), MAX_NODES)) < MAX_NODES
    except Exception:  # parsing a damaged file may raise anything
        return {}
    return tree if is_valid else {}


def _nodes(tree: Any) -> Iterator[object]:
    """Yield the root of a tree and all its descendants.

    Raises:
        TypeError: If a value or key is not valid in JSON, for example a date, bytes, a set or a numeric key.
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
    for event in yaml.parse(text, YAML_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if (deepest := max(deepest, depth)) > MAX_DEPTH:
            break
    return deepest


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted key and the value of each leaf of a tree."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
