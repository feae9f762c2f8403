"""From a command line to the jobs it asks for, each composed once by Hydra.

Hydra's own `run` and `multirun` make folders before all jobs are composed and stop at the first
mistake; here every job is composed first and all mistakes are told together.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import setup_globals
from hydra.types import RunMode
from omegaconf import DictConfig

from rnnlab.app.config.adaptive_sweep import AdaptiveSweep
from rnnlab.app.config.composer import plan_of_many, plan_of_one
from rnnlab.app.config.interpolations import Unresolved, resolved
from rnnlab.app.config.loader import Loader, check_plugin, launcher_of
from rnnlab.app.config.loading import CONFIG_NAME, known_keys, loader_of, register_resolvers
from rnnlab.app.config.messages import (
    COMPOSITION_ERRORS,
    SUPPORTED,
    ConfigProblems,
    explain_composition_error,
)
from rnnlab.app.config.plan import KEYS_OUTSIDE_IDENTITY, Plan, format_command
from rnnlab.app.config.sweep_axes import expand

ADAPTIVE = "optuna"
"""The sweeper of Hydra's that chooses jobs by the results of others."""


def compose_plan(
    conf_dir: Path, overrides: Sequence[str], multirun: bool, config_dir: str | None = None
) -> Plan:
    """Compose; refuse adaptive sweeps."""
    plan = compose(conf_dir, overrides, multirun, config_dir)
    if isinstance(plan, AdaptiveSweep):
        raise ConfigProblems([f"hydra/sweeper={ADAPTIVE}: its jobs are not known beforehand"])
    return plan


def compose(
    conf_dir: Path, overrides: Sequence[str], multirun: bool, config_dir: str | None = None
) -> Plan | AdaptiveSweep:
    """Compose every job that the overrides ask for.

    Args:
        conf_dir: The folder with `config.yaml`.
        overrides: In Hydra's grammar.
        multirun: Whether several values of a key make a sweep (`-m`).
        config_dir: A further folder with options of the user's own.

    Raises:
        ConfigProblems: With a line for each mistake.
    """
    setup_globals()
    register_resolvers()
    HydraConfig.instance().cfg = None  # ${hydra:…} must not see what an earlier command left
    loader = loader_of(conf_dir, config_dir)
    overrides = list(overrides)
    mode = RunMode.MULTIRUN if multirun else RunMode.RUN
    try:
        base = loader.load_configuration(CONFIG_NAME, _of_all_jobs(loader, overrides, mode), mode)
        with resolved(loader, base, overrides):
            return _planned(loader, base, overrides, mode)
    except Unresolved as error:
        raise ConfigProblems(error.problems) from error
    except COMPOSITION_ERRORS as error:
        raise ConfigProblems(
            [explain_composition_error(error, overrides, known_keys(loader, overrides))]
        ) from error


def _planned(loader: Loader, base: DictConfig, overrides: list[str], mode: RunMode) -> Plan | AdaptiveSweep:
    """What a command line asks for, given the configuration that all of its jobs have in common."""
    sweeper = base.hydra.runtime.choices["hydra/sweeper"]
    if sweeper not in SUPPORTED["hydra/sweeper"]:
        allowed = ", ".join(SUPPORTED["hydra/sweeper"])
        raise ConfigProblems([f"hydra/sweeper={sweeper}: not supported; allowed: {allowed}"])
    check_plugin(base, "sweeper")
    command = format_command(overrides, mode is RunMode.MULTIRUN)
    if mode is RunMode.RUN and base.hydra.mode is not RunMode.MULTIRUN:
        return replace(plan_of_one(base), command=command)
    if sweeper == ADAPTIVE:
        base = loader.load_configuration(CONFIG_NAME, overrides, mode)
        return AdaptiveSweep(loader, base, list(base.hydra.overrides.task))
    jobs = expand(loader, base, overrides)
    return replace(plan_of_many(loader, jobs, launcher_of(base)), command=command)


def _of_all_jobs(loader: Loader, overrides: list[str], mode: RunMode) -> list[str]:
    """Those of a sweep's overrides that its jobs have in common, whatever each of them is.

    Other keys are set in each job alone: one of a group's that is swept over may exist in those alone.
    """
    if mode is RunMode.RUN:
        return overrides
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(overrides)
    return [
        str(o.input_line)
        for o in parsed
        if o.is_hydra_override()
        or (loader.names_file(o) and not o.is_sweep_override())
        or o.get_key_element() in KEYS_OUTSIDE_IDENTITY
    ]
