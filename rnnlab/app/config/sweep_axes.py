"""Check of the number of jobs in a sweep, and expansion of the sweep axes into the overrides of each job."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, isfinite, prod
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, RangeSweep, Transformer, ValueType
from omegaconf import DictConfig, ListConfig, OmegaConf

from rnnlab.app.config.hydra_internals.private_api import override_with_number
from rnnlab.app.config.loader import Loader
from rnnlab.app.config.messages import ConfigProblems
from rnnlab.app.config.pairing import check_pair

MAX_JOBS = 100_000
"""Maximum number of jobs in a sweep.

Validating 100,000 jobs takes 30 s to 3 min and requires 0.7 GB of memory.
"""
PARAMS = "hydra.sweeper.params"
MIN_ROUNDED = 10**12
"""Smallest count that is printed with only three significant digits."""
PLURAL_KEYS = ("seed", "cell", "task", "optimizer", "probe", "experiment")
"""Keys whose plurals serve as nouns in messages, as in `2 cells`."""


@dataclass(frozen=True)
class Axis:
    """Axis of a sweep: one key and its values.

    Attributes:
        override: Parsed override, before expansion.
        text: Override as written by the user.
        size: Number of values.
    """

    override: Override
    text: str
    size: int

    @property
    def key(self) -> str:
        """Key of the axis, including the prefix `+` or `++` if the override has one."""
        return self.override.get_key_element()


def expand(loader: Loader, base: DictConfig, overrides: Sequence[str]) -> list[tuple[Override, ...]]:
    """Return the overrides of every job: the Cartesian product of all axes.

    The axes include those in `hydra.sweeper.params`. The axes named in `pair` form a single axis, whose n-th
    entry combines the n-th values of the named axes.

    Raises:
        ConfigProblems: If an axis has no values, if the axes named in `pair` cannot be paired, or if the
            sweep has too many jobs.
    """
    axes = {axis.key: axis for axis in read_axes(loader, base, overrides)}
    pair = [str(key) for key in base.pair] if isinstance(base.pair, ListConfig) else []
    pair_axes = [key for key in axes if key.lstrip("+") in pair]
    check_pair(pair, {key.lstrip("+"): axes[key].size for key in pair_axes})
    groups = [[key] for key in axes if key not in pair_axes[1:]]
    groups = [pair_axes if group == pair_axes[:1] else group for group in groups]
    _check_job_count({tuple(key.lstrip("+") for key in group): axes[group[0]].size for group in groups})
    values = {key: _values(loader, axis) for key, axis in axes.items()}
    product = itertools.product(*(zip(*(values[key] for key in group), strict=True) for group in groups))
    return [tuple(override for group in job for override in group) for job in product]


def read_axes(loader: Loader, base: DictConfig, overrides: Sequence[str]) -> list[Axis]:
    """Return the axes of a sweep before expansion, starting with those set in the configuration.

    Raises:
        ConfigProblems: If an axis has no values; the error has one line per invalid axis.
    """
    config_lines = configured_axes(base.hydra.sweeper.get("params") or {})
    texts = [f"{PARAMS}.{line}" for line in config_lines] + list(overrides)
    parsed_overrides = OverridesParser.create(config_loader=loader).parse_overrides(
        [*config_lines, *overrides]
    )
    axes, problems = list[Axis](), list[str]()
    for override, text in zip(parsed_overrides, texts, strict=True):
        try:
            axes.append(Axis(override, text, _size(loader, override)))
        except ValueError as error:
            problems.append(f"{text}: {error}")
    if problems:
        raise ConfigProblems(problems)
    return axes


def configured_axes(params: Mapping[Any, Any]) -> list[str]:
    """Return the axes set in `hydra.sweeper.params` as overrides.

    Raises:
        ConfigProblems: If a value is empty or is neither a string nor a number; the error has one line per
            invalid value.
    """
    problems = []
    for key, value in params.items():
        if not isinstance(value, str | int | float):
            problems.append(f"{PARAMS}.{key}={_plain(value)}: {_param_problem(str(key), value)}")
        elif not str(value).strip():
            problems.append(f"{PARAMS}.{key}='': has no values; an axis needs at least one value, as in 1,2")
    if problems:
        raise ConfigProblems(problems)
    return [f"{key}={value}" for key, value in params.items()]


def _param_problem(key: str, value: Any) -> str:
    """Return the message for an axis value that is neither a string nor a number."""
    plain = _plain(value)
    if value is None:
        return f"has no values; for the value null, write {key}: 'null'"
    if isinstance(plain, dict):
        return f"must be the values of one axis, as in {key}: 1,2; for a key in a group, write {key}.<key>"
    if not plain:
        return "has no values; an axis needs at least one value, as in 1,2"
    return f"must be text; write {key}: {','.join(map(str, plain))}"


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value


def _size(loader: Loader, override: Override) -> int:
    """Return the number of values of an override.

    Raises:
        ValueError: If the override has no values, has infinitely many values or cannot be swept.
    """
    if not override.is_sweep_override():
        return 1
    if override.is_hydra_override():
        raise ValueError("Hydra's own keys cannot be swept")
    if override.value_type is ValueType.INTERVAL_SWEEP:
        raise ValueError("only hydra/sweeper=optuna searches an interval; write the values, as in 1,2")
    sweep: Any = override.value()
    if isinstance(sweep, RangeSweep):
        size = _range_size(sweep)
    elif isinstance(sweep, Glob):
        options = loader.get_group_options(override.key_or_group)
        size = len(sweep.filter(options))
        if not size and options:
            raise ValueError(f"matches no option; available: {', '.join(options)}")
    else:
        size = len(sweep.list)
    if not size:
        raise ValueError("has no values; an axis needs at least one value")
    return size


def _range_size(sweep: RangeSweep) -> int:
    """Return max(0, ⌈(stop - start) / step⌉), the number of values of a Hydra `range`."""
    start, stop, step = sweep.start, sweep.stop, sweep.step
    if start is None or stop is None or not all(map(_is_finite, (start, stop, step))):
        raise ValueError("a range needs finite numbers")
    if step == 0:
        raise ValueError("the step of a range must not be 0")
    return max(0, ceil((Fraction(stop) - Fraction(start)) / Fraction(step)))


def _is_finite(number: float) -> bool:
    return isinstance(number, int) or isfinite(number)


def _check_job_count(sizes: Mapping[tuple[str, ...], int]) -> None:
    """Raise ConfigProblems, with the keys of the longest axes, if a sweep has too many jobs.

    Args:
        sizes: Number of values of each axis, by the key of the axis or the keys of the paired axes.
    """
    jobs = prod(sizes.values())
    if jobs <= MAX_JOBS:
        return
    factors = " × ".join(_format_factor(keys[0], size) for keys, size in sizes.items() if size > 1)
    runs = f"sweep of {_format_count(jobs)} runs ({factors})"
    longest = list[str]()
    for keys in sorted(sizes, key=lambda keys: sizes[keys], reverse=True):
        longest += keys
        jobs //= sizes[keys]
        if jobs <= MAX_JOBS:
            break
    raise ConfigProblems([f"{runs} exceeds the limit of {_format_count(MAX_JOBS)}"], longest)


def representative(jobs: Sequence[tuple[Override, ...]], limit: int) -> list[tuple[Override, ...]]:
    """Return at most `limit` jobs that together contain as many different overrides as possible."""
    if len(jobs) <= limit:
        return list(jobs)
    chosen, seen = list[tuple[Override, ...]](), set[str | None]()
    for job in jobs:
        lines = {override.input_line for override in job}
        if not lines <= seen:
            chosen.append(job)
            seen |= lines
        if len(chosen) == limit:
            break
    return chosen


def _format_factor(key: str, size: int) -> str:
    """Format the size of an axis, as in `2 cells` or `3 values of lr`."""
    return f"{_format_count(size)} {key}s" if key in PLURAL_KEYS else f"{_format_count(size)} values of {key}"


def _format_count(count: int) -> str:
    """Format a count, as in `2,000,000`; a count of 10¹² or more is rounded, as in `1.23e+15`."""
    if count < MIN_ROUNDED:
        return f"{count:,}"
    digits = len(f"{count:x}")  # Python limits the length of a decimal string
    return f"{count:.3g}" if digits < 250 else "more than 1e+300"


def _values(loader: Loader, axis: Axis) -> list[Override]:
    """Return one override per value of an axis, in the format of Hydra's basic sweeper."""
    override, parser = axis.override, OverridesParser.create(config_loader=loader)
    if not override.is_sweep_override():
        return [parser.parse_override(f"{axis.key}={override.get_value_element_as_str()}")]
    return [_override_with_value(override, axis.key, value, parser) for value in override.sweep_iterator()]


def _override_with_value(override: Override, key: str, value: Any, parser: OverridesParser) -> Override:
    line = f"{key}={Transformer.str(value)}"
    if type(value) not in (int, float):
        return parser.parse_override(line)
    # Parsing would take a millisecond per number and return the same number.
    return override_with_number(override, value, line)
