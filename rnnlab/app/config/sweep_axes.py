"""The axes of a sweep: how many jobs they make, counted before any is made, and the overrides of each job."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
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
"""Jobs of a sweep: composing and checking that many takes half a minute to three, and 0.7 GB."""
PARAMS = "hydra.sweeper.params"
EXACT = 10**12
"""Larger numbers of runs are shown with three digits."""


@dataclass(frozen=True)
class Axis:
    """One key of a sweep with its values.

    Attributes:
        override: As parsed, before it is expanded.
        text: What the user wrote.
        size: How many values it has.
    """

    override: Override
    text: str
    size: int

    @property
    def key(self) -> str:
        """The key with its prefix, if any."""
        return self.override.get_key_element()


def expand(loader: Loader, base: DictConfig, overrides: Sequence[str]) -> list[tuple[Override, ...]]:
    """The overrides of every job: the product of all axes, those of `hydra.sweeper.params` included.

    The axes that `pair` names are one axis of the product, which runs through their values side by side.

    Raises:
        ConfigProblems: An axis has no values, cannot be paired, or there are too many jobs.
    """
    axes = {axis.key: axis for axis in read_axes(loader, base, overrides)}
    paired = [str(key) for key in base.pair] if isinstance(base.pair, ListConfig) else []
    together = [key for key in axes if key.lstrip("+") in paired]
    check_pair(paired, {key.lstrip("+"): axes[key].size for key in together})
    groups = [[key] for key in axes if key not in together[1:]]
    groups = [together if group == together[:1] else group for group in groups]
    _check_number([(group[0].lstrip("+"), axes[group[0]].size) for group in groups])
    values = {key: _values(loader, axis) for key, axis in axes.items()}
    product = itertools.product(*(zip(*(values[key] for key in group), strict=True) for group in groups))
    return [tuple(override for group in job for override in group) for job in product]


def read_axes(loader: Loader, base: DictConfig, overrides: Sequence[str]) -> list[Axis]:
    """The axes of a sweep, those of its configuration first; nothing is expanded.

    Raises:
        ConfigProblems: With a line for each axis that has no values.
    """
    configured = configured_axes(base.hydra.sweeper.get("params") or {})
    written = [f"{PARAMS}.{line}" for line in configured] + list(overrides)
    parsed = OverridesParser.create(config_loader=loader).parse_overrides([*configured, *overrides])
    axes, problems = list[Axis](), list[str]()
    for override, text in zip(parsed, written, strict=True):
        try:
            axes.append(Axis(override, text, _size(loader, override)))
        except ValueError as error:
            problems.append(f"{text}: {error}")
    if problems:
        raise ConfigProblems(problems)
    return axes


def configured_axes(params: Mapping[Any, Any]) -> list[str]:
    """The axes of `hydra.sweeper.params` as overrides.

    Raises:
        ConfigProblems: With a line for each that is neither text nor a number, or is empty.
    """
    problems = []
    for key, value in params.items():
        if not isinstance(value, str | int | float):
            problems.append(f"{PARAMS}.{key}={_plain(value)}: {_wrong_param(str(key), value)}")
        elif not str(value).strip():
            problems.append(f"{PARAMS}.{key}='': has no values; an axis needs at least one, as in 1,2")
    if problems:
        raise ConfigProblems(problems)
    return [f"{key}={value}" for key, value in params.items()]


def _wrong_param(key: str, value: Any) -> str:
    """What is wrong with a value that is neither text nor a number."""
    plain = _plain(value)
    if value is None:
        return f"has no values; for the value null write {key}: 'null'"
    if isinstance(plain, dict):
        return f"must be the values of one axis, such as {key}: 1,2; a key of a group is written {key}.<key>"
    if not plain:
        return "has no values; an axis needs at least one, as in 1,2"
    return f"must be text; write {key}: {','.join(map(str, plain))}"


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value


def _size(loader: Loader, override: Override) -> int:
    """How many values an override has.

    Raises:
        ValueError: None, or none that can be counted.
    """
    if not override.is_sweep_override():
        return 1
    if override.is_hydra_override():
        raise ValueError("Hydra's own keys cannot be swept")
    if override.value_type is ValueType.INTERVAL_SWEEP:
        raise ValueError("only hydra/sweeper=optuna searches an interval; write the values, as in 1,2")
    swept: Any = override.value()
    if isinstance(swept, RangeSweep):
        size = _range_size(swept)
    elif isinstance(swept, Glob):
        options = loader.get_group_options(override.key_or_group)
        size = len(swept.filter(options))
        if not size and options:
            raise ValueError(f"has no values; there are {', '.join(options)}")
    else:
        size = len(swept.list)
    if not size:
        raise ValueError("has no values; an axis needs at least one")
    return size


def _range_size(swept: RangeSweep) -> int:
    """⌈(stop - start) / step⌉, or 0: what Hydra's `range` yields, without yielding it."""
    start, stop, step = swept.start, swept.stop, swept.step
    if start is None or stop is None or not all(map(_is_finite, (start, stop, step))):
        raise ValueError("a range needs finite numbers")
    if step == 0:
        raise ValueError("the step of a range must not be 0")
    return max(0, ceil((Fraction(stop) - Fraction(start)) / Fraction(step)))


def _is_finite(number: float) -> bool:
    return isinstance(number, int) or isfinite(number)


def _check_number(sizes: Iterable[tuple[str, int]]) -> None:
    """Refuse a sweep of too many jobs."""
    sizes = list(sizes)
    jobs = prod(size for _, size in sizes)
    if jobs > MAX_JOBS:
        factors = " × ".join(_told(key, size) for key, size in sizes if size > 1)
        runs = f"sweep of {_number(jobs)} runs ({factors})"
        raise ConfigProblems([f"{runs} exceeds the limit of {_number(MAX_JOBS)}"])


def _told(key: str, size: int) -> str:
    """`2 cells`, or `3 values of lr`."""
    return f"{_number(size)} {key}s" if key in COUNTED else f"{_number(size)} values of {key}"


COUNTED = ("seed", "cell", "task", "optimizer", "probe", "experiment")
"""Keys whose plural is a word."""


def _number(number: int) -> str:
    """`2,000,000`; of a number that nobody reads digit by digit, its size."""
    if number < EXACT:
        return f"{number:,}"
    digits = len(f"{number:x}")  # a decimal string of it may be longer than Python makes
    return f"{number:.3g}" if digits < 250 else "more than 1e+300"


def _values(loader: Loader, axis: Axis) -> list[Override]:
    """Each value as an override of its own, as Hydra's basic sweeper writes it."""
    override, parser = axis.override, OverridesParser.create(config_loader=loader)
    if not override.is_sweep_override():
        return [parser.parse_override(f"{axis.key}={override.get_value_element_as_str()}")]
    return [_valued(override, axis.key, value, parser) for value in override.sweep_iterator()]


def _valued(override: Override, key: str, value: Any, parser: OverridesParser) -> Override:
    line = f"{key}={Transformer.str(value)}"
    if type(value) not in (int, float):
        return parser.parse_override(line)
    # Parsing a number takes a millisecond and yields the number.
    return override_with_number(override, value, line)
