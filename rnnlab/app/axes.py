"""The axes of a sweep, and the overrides of every job that they ask for."""

import itertools
from math import prod

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, ListConfig

from rnnlab.app.pairing import check_pair
from rnnlab.app.problems import ConfigProblems
from rnnlab.app.trust import Loader

MAX_JOBS = 100_000
"""Of a sweep: to compose and check so many takes a quarter of an hour."""


def expand(loader: Loader, base: DictConfig, overrides: list[str]) -> list[list[str]]:
    """The overrides of every job: the product of all axes, those of `hydra.sweeper.params` included.

    The axes that `pair` names are one axis of the product, which runs through their values side by side.
    """
    configured = [f"{key}={value}" for key, value in (base.hydra.sweeper.get("params") or {}).items()]
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(configured + overrides)
    axes: dict[str, list[str]] = {}
    for override in parsed:
        values = BasicSweeper.split_arguments([override], None)[0]
        axes[override.get_key_element()] = [value for (value,) in values]
    paired = [str(key) for key in base.pair] if isinstance(base.pair, ListConfig) else []
    together = [key for key in axes if key.lstrip("+") in paired]
    check_pair(paired, {key.lstrip("+"): len(axes[key]) for key in together})
    groups = [[key] for key in axes if key not in together[1:]]
    groups = [together if group == together[:1] else group for group in groups]
    jobs = prod(len(axes[group[0]]) for group in groups)
    if jobs > MAX_JOBS:
        sizes = " × ".join(f"{key} {len(axes[key])}" for key, *_ in groups if len(axes[key]) > 1)
        raise ConfigProblems([f"{sizes}: are {jobs} runs; a sweep has at most {MAX_JOBS}"])
    product = itertools.product(*(zip(*(axes[key] for key in group), strict=True) for group in groups))
    return [[override for group in job for override in group] for job in product]
