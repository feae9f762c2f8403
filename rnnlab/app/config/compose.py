"""Composition of all jobs described by a command line.

Hydra's own `run` and `multirun` create folders before they have composed all jobs, and stop at the first
error. This module composes every job first and reports all errors together.
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
from rnnlab.app.config.composer import plan_single_run, plan_sweep
from rnnlab.app.config.interpolations import InterpolationProblems, explain_interpolation_errors
from rnnlab.app.config.loader import Loader, check_plugin, launcher_keys
from rnnlab.app.config.loading import (
    CONFIG_NAME,
    key_index,
    loader_of,
    refused_values,
    register_resolvers,
)
from rnnlab.app.config.messages import (
    COMPOSITION_ERRORS,
    SUPPORTED,
    ConfigProblems,
    explain_composition_error,
)
from rnnlab.app.config.plan import KEYS_OUTSIDE_IDENTITY, Plan, format_command
from rnnlab.app.config.sweep_axes import expand, representative

ADAPTIVE = "optuna"
"""Name of the Hydra sweeper that chooses jobs according to the results of earlier jobs."""


def compose_plan(
    conf_dir: Path, overrides: Sequence[str], multirun: bool, config_dir: str | None = None
) -> Plan:
    """Compose all jobs as `compose` does, but reject adaptive sweeps."""
    plan = compose(conf_dir, overrides, multirun, config_dir)
    if isinstance(plan, AdaptiveSweep):
        reason = "not supported here, because the jobs depend on the results of earlier jobs"
        raise ConfigProblems([f"hydra/sweeper={ADAPTIVE}: {reason}"])
    return plan


def compose(
    conf_dir: Path,
    overrides: Sequence[str],
    multirun: bool,
    config_dir: str | None = None,
    max_jobs: int | None = None,
) -> Plan | AdaptiveSweep:
    """Compose every job described by the overrides.

    Args:
        conf_dir: Folder that contains `config.yaml`.
        overrides: Overrides in Hydra's grammar.
        multirun: True if overrides with several values define a sweep, as they do when `-m` is given.
        config_dir: Additional folder that contains the user's own option files.
        max_jobs: Maximum number of jobs to compose, chosen such that they contain many different overrides;
            None for all jobs.

    Raises:
        ConfigProblems: If the command line is invalid; the exception lists one problem per line.
    """
    setup_globals()
    register_resolvers()
    HydraConfig.instance().cfg = None  # ${hydra:…} must not read the configuration of an earlier command
    loader = loader_of(conf_dir, config_dir)
    overrides = list(overrides)
    mode = RunMode.MULTIRUN if multirun else RunMode.RUN
    try:
        base = loader.load_configuration(CONFIG_NAME, _common_overrides(loader, overrides, mode), mode)
        with explain_interpolation_errors(loader, base, overrides):
            return _plan(loader, base, overrides, mode, max_jobs)
    except InterpolationProblems as error:
        raise ConfigProblems(error.problems) from error
    except COMPOSITION_ERRORS as error:
        problem = explain_composition_error(error, overrides, key_index(loader, overrides))
        others = refused_values(loader, overrides) if mode is RunMode.RUN else []
        raise ConfigProblems([problem, *others]) from error


def _plan(
    loader: Loader, base: DictConfig, overrides: list[str], mode: RunMode, max_jobs: int | None
) -> Plan | AdaptiveSweep:
    """Return the plan for a command line, based on the configuration shared by all of its jobs."""
    sweeper = base.hydra.runtime.choices["hydra/sweeper"]
    if sweeper not in SUPPORTED["hydra/sweeper"]:
        allowed = ", ".join(SUPPORTED["hydra/sweeper"])
        raise ConfigProblems([f"hydra/sweeper={sweeper}: not supported; allowed: {allowed}"])
    check_plugin(base, "sweeper")
    command = format_command(overrides, mode is RunMode.MULTIRUN)
    if mode is RunMode.RUN and base.hydra.mode is not RunMode.MULTIRUN:
        return replace(plan_single_run(base), command=command)
    if sweeper == ADAPTIVE:
        base = loader.load_configuration(CONFIG_NAME, overrides, mode)
        return AdaptiveSweep(loader, base, list(base.hydra.overrides.task))
    jobs = expand(loader, base, overrides)
    if max_jobs is not None:
        jobs = representative(jobs, max_jobs)
    return replace(plan_sweep(loader, jobs, launcher_keys(base)), command=command)


def _common_overrides(loader: Loader, overrides: list[str], mode: RunMode) -> list[str]:
    """Return the overrides shared by all jobs of a sweep.

    Overrides not shared by all jobs are applied to each job separately, because some keys exist only for
    certain options of a group.
    """
    if mode is RunMode.RUN:
        return overrides
    parser = OverridesParser.create(config_loader=loader)
    return [
        str(o.input_line)
        for o in parser.parse_overrides(overrides)
        if o.is_hydra_override()
        or (loader.names_file(o) and not o.is_sweep_override())
        or o.get_key_element() in KEYS_OUTSIDE_IDENTITY
    ]
