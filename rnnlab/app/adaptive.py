"""Adaptive sweeps: Hydra's Optuna sweeper chooses each batch of runs according to earlier results."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import Any

import yaml
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import open_dict

from rnnlab.app.check import CheckedPlan, check
from rnnlab.app.config.adaptive_sweep import AdaptiveSweep
from rnnlab.app.config.hydra_internals.private_api import BASIC_LAUNCHER, context_of
from rnnlab.app.config.memory_limit import cores
from rnnlab.app.config.messages import ConfigProblems
from rnnlab.app.config.plan import Job
from rnnlab.app.config.run_paths import RESULTS_FILE
from rnnlab.app.display import Display
from rnnlab.app.launch import Result, launch
from rnnlab.app.reporting import write_sweep_report
from rnnlab.records import VAL_LOSS
from rnnlab.terminal.console import print_line
from rnnlab.text import format_loss, format_number, loss_unit_from_info, shorten_numbers


def search(sweep: AdaptiveSweep, display: Display) -> int:
    """Run the sweep and return the exit code.

    Args:
        sweep: Adaptive sweep, including the search space.
        display: Display that shows progress and results.

    Raises:
        ConfigProblems: If the search space or a job of the sweep is invalid.
    """
    config = sweep.config
    if config.resume is not False:
        raise ConfigProblems([f"resume={config.resume}: not supported with hydra/sweeper=optuna"])
    with open_dict(config):
        config.hydra.sweep.dir = str(config.hydra.sweep.dir)  # resolve the time in the path only once
        if not any(o.startswith("hydra.sweeper.n_jobs=") for o in config.hydra.overrides.hydra):
            config.hydra.sweeper.n_jobs = config.jobs or cores()
    sweeper_config = copy.deepcopy(config)
    with open_dict(sweeper_config):
        sweeper_config.hydra.launcher = {"_target_": BASIC_LAUNCHER}  # never used
    launcher = _BatchLauncher(sweep, display)
    try:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sweeper: Any = Plugins.instance().instantiate_sweeper(
            hydra_context=context_of(sweep.loader), task_function=lambda _: None, config=sweeper_config
        )
        sweeper.sweeper.launcher = launcher
        sweeper.sweep(sweep.arguments)
    except _Interrupted:
        pass
    except (ValueError, TypeError, AssertionError) as error:  # raised by the sweeper for invalid keys
        raise ConfigProblems([f"hydra/sweeper=optuna: {' '.join(str(error).split())}"]) from error
    return launcher.show_results()


class _Interrupted(Exception):
    """Exception that ends the search after Ctrl-C, or after a run fails with `fail_fast=true`."""


class _BatchLauncher:
    """Launcher that replaces Hydra's own launcher and runs each batch of jobs requested by the sweeper."""

    def __init__(self, sweep: AdaptiveSweep, display: Display) -> None:
        self._sweep = sweep
        self._display = display
        self._jobs: list[Job] = []
        self._infos: list[dict[str, Any]] = []
        self._last: tuple[CheckedPlan, Result] | None = None

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Run one batch of jobs and return the objective of each run (±inf, the worst value, on failure)."""
        checked = check(self._sweep.plan(job_overrides, initial_job_idx))
        result = launch(checked, self._display)
        self._last = checked, result
        self._jobs += checked.plan.jobs
        self._infos += result.infos
        if result.interrupted or (checked.settings.fail_fast and result.failed):
            raise _Interrupted
        return [self._job_return(info, checked.settings.objective) for info in result.infos]

    def _job_return(self, info: dict[str, Any], objective: str) -> JobReturn:
        if info["outcome"] in ("finished", "unstable") and objective not in info["summary"]:
            available = ", ".join(sorted(key for key in info["summary"] if key.startswith("val/")))
            raise ConfigProblems([f"objective={objective}: no such metric; available: {available}"])
        worst = -inf if str(self._sweep.config.hydra.sweeper.direction).endswith("maximize") else inf
        value = info["summary"].get(objective)
        returned = JobReturn(status=JobStatus.COMPLETED)
        returned.return_value = worst if value is None else value
        return returned

    def show_results(self) -> int:
        """Show all runs and the best run, and return the exit code."""
        if self._last is None:
            raise ConfigProblems(["hydra/sweeper=optuna: no trials were run"])
        checked, result = self._last
        plan = replace(checked.plan, jobs=self._jobs)
        self._display.show_results(plan, self._infos, checked.settings.tracking, result.mirror_report)
        self._display.print_folder(plan.folder)
        results = plan.folder / RESULTS_FILE
        if results.is_file():
            search_results = yaml.safe_load(results.read_text(encoding="utf-8"))
            best = search_results.get("best_params", {})
            values = shorten_numbers([str(value) for value in best.values()])
            if text := " ".join(f"{key}={value}" for key, value in zip(best, values, strict=True)):
                value = self._describe_objective(checked.settings.objective, search_results["best_value"])
                print_line(f"Best: {text} with {value}")
        if not result.interrupted:
            write_sweep_report(plan, checked.settings, result.mirror_report, self._display)
        return replace(result, infos=self._infos).exit_code

    def _describe_objective(self, objective: str, value: float) -> str:
        """Return the name and value of the objective; a validation loss in the unit of the table."""
        info = next((info for info in self._infos if info.get("loss_unit")), {})
        if objective == VAL_LOSS and loss_unit_from_info(info)[0]:
            return f"a validation loss of {format_loss(value, info)}"
        return f"{objective} {format_number(value, '.4g')}"
