"""Validation of composed jobs and creation of their work orders, before any file is written."""

import os
import uuid
from dataclasses import dataclass, replace
from typing import Any

from rnnlab.app.config.memory_limit import MEMORY_KEYS, cores, parallel_memory_problem
from rnnlab.app.config.messages import ConfigProblems
from rnnlab.app.config.plan import KEYS_OUTSIDE_IDENTITY, Job, Plan
from rnnlab.app.config.run_paths import SWEEP_FILE, sweep_problems
from rnnlab.app.config.settings import Settings, read_settings
from rnnlab.app.config.uncertain_keys import NO_UNCERTAIN_KEYS, UncertainKeys
from rnnlab.app.config.validation import InvalidConfig
from rnnlab.app.jobs.job_facts import Inspector, JobFacts
from rnnlab.app.jobs.provenance import code
from rnnlab.app.jobs.resume import check_resume_name, resume_plan
from rnnlab.app.jobs.run_job import WorkOrder
from rnnlab.app.launchers.base import Launcher, build_launcher
from rnnlab.mlflow_mirror.store import tracking_uri, uri_problem
from rnnlab.paths import is_folder
from rnnlab.records import AXES
from rnnlab.runs.run_json import NewerFormat, read_run_info
from rnnlab.text import redact

SWEEP_KEYS = ("tracking", "jobs", "fail_fast", "resume", "pair", "objective", "report")
"""Configuration keys that must have the same value in all runs of a sweep."""
MAX_INVALID = 1000
"""Number of invalid jobs after which no further jobs of a sweep are checked."""


@dataclass(frozen=True)
class CheckedPlan:
    """A plan whose jobs are all valid.

    Attributes:
        plan: Plan with the final run folders; if runs are resumed, some of these folders already exist.
        orders: Work order of each job, which contains everything that a worker needs to execute the run.
        settings: Settings of the first job, used for keys that have the same value in all jobs.
        launcher: Launcher that executes the runs; None selects processes on this machine.
        note: Message to print before the runs start, or None.
        remarks: Remarks about the tasks' data, one per line.
    """

    plan: Plan
    orders: list[WorkOrder]
    settings: Settings
    launcher: Launcher | None = None
    note: str | None = None
    remarks: tuple[str, ...] = ()


def check(plan: Plan) -> CheckedPlan:
    """Check every job of a plan.

    Raises:
        ConfigProblems: If any job is invalid; the exception lists one problem per line.
    """
    facts, launcher = _inspect(plan, NO_UNCERTAIN_KEYS)
    settings = facts[0].settings
    final_plan, note = resume_plan(plan, [job_facts.identity for job_facts in facts], settings.resume)
    if final_plan is plan and not plan.is_continuation and (problems := _folder_problems(plan)):
        raise ConfigProblems(problems)
    resume, diff = final_plan is not plan, code().diff
    orders = [
        WorkOrder(job.folder, _redact_config(job.config), _run_info(final_plan, job, job_facts), resume, diff)
        for job, job_facts in zip(final_plan.jobs, facts, strict=True)
    ]
    problems = [problem for order in orders if order.resume and (problem := _resume_problem(order))]
    if problems:
        raise ConfigProblems(problems)
    remarks = tuple(dict.fromkeys(remark for job_facts in facts for remark in job_facts.remarks))
    return CheckedPlan(final_plan, orders, settings, launcher, note, remarks)


def check_rest(plan: Plan, uncertain: UncertainKeys) -> None:
    """Check the part of a plan that does not depend on mistakes in the command.

    Args:
        plan: Plan of the command without the mistakes.
        uncertain: Keys whose values are defaults that replace the mistakes.

    Raises:
        ConfigProblems: If any job is invalid; the exception lists one problem per line.
    """
    facts, _ = _inspect(plan, uncertain)
    resume = facts[0].settings.resume
    if isinstance(resume, str):
        check_resume_name(plan, resume)
    elif not resume and "${" not in plan.pattern:  # else the folder may depend on an uncertain key
        certain = replace(plan, jobs=[] if plan.is_sweep else plan.jobs)
        if problems := _folder_problems(certain):
            raise ConfigProblems(problems)


def _inspect(plan: Plan, uncertain: UncertainKeys) -> tuple[list[JobFacts], Launcher | None]:
    """Return the facts of all jobs and the launcher.

    Raises:
        ConfigProblems: If a job or the launcher is invalid.
    """
    facts, settings, problems = list[JobFacts](), list[Settings](), list(plan.problems)
    inspector = Inspector(plan.launcher is None, uncertain)
    for number, job in enumerate(plan.jobs):
        if number - len(facts) == MAX_INVALID:
            break
        try:
            facts.append(inspector.facts(job))
            settings.append(facts[-1].settings)
        except InvalidConfig as error:
            problems += error.problems
            valid_settings = read_settings(job.config, [])
            settings += [valid_settings] if valid_settings is not None else []
    if settings:
        problems += _common_problems(settings, uncertain)
    if facts and plan.launcher is None and not uncertain.affect("jobs", *MEMORY_KEYS):
        jobs = facts[0].settings.jobs
        workers = min(jobs or cores(), len(facts))
        problem = parallel_memory_problem([job_facts.memory for job_facts in facts], workers, jobs)
        problems += [problem] if problem else []
    launcher = None
    if plan.launcher is not None and not uncertain.affect("hydra.launcher._target_"):
        try:
            launcher = build_launcher(plan.launcher)
        except InvalidConfig as error:
            problems += error.problems
    if problems or not facts:
        raise ConfigProblems(problems)
    return facts, launcher


def _resume_problem(order: WorkOrder) -> str | None:
    """Return the reason why a run cannot be resumed from its folder, or None if it can be resumed."""
    try:
        info = read_run_info(order.folder, ("identity", "tracking"))
    except NewerFormat as error:
        return f"{order.folder}: {error}"
    except ValueError as error:
        return f"{order.folder}: cannot be read ({error}); remove the folder to restart the run"
    if info is None:
        return None
    if info["identity"] != order.info["identity"]:
        return f"{order.folder}: does not contain the run listed in {SWEEP_FILE}"
    requested, recorded = order.info["tracking"]["experiment"], info["tracking"]["experiment"]
    if requested != recorded:
        return f"tracking.experiment={requested}: the runs to be resumed belong to the experiment {recorded}"
    return None


def _folder_problems(plan: Plan) -> list[str]:
    """Return messages about run folders that already exist or are invalid."""
    problems, folders = [], set()
    if plan.is_sweep and (invalid := sweep_problems(plan.folder, {job.folder for job in plan.jobs})):
        return invalid
    if plan.is_sweep and is_folder(plan.folder) and any(plan.folder.glob("[!.]*")):
        return [f"{plan.folder}: not empty; each sweep needs its own folder"]
    may_exist = os.path.exists(plan.folder)
    for job in plan.jobs:
        if job.folder in folders or (may_exist and os.path.exists(job.folder)):
            problems.append(f"{job.folder}: already in use; each run needs its own folder")
        folders.add(job.folder)
    return problems


def _common_problems(settings: list[Settings], uncertain: UncertainKeys) -> list[str]:
    """Return the problems with configuration keys that must have the same value in all runs of a sweep."""
    problem = None
    if not uncertain.affect("tracking.uri", "tracking.backend"):
        problem = _tracking_problem(settings[0])
    differing = [
        key
        for key in SWEEP_KEYS
        if not uncertain.affect(key) and any(getattr(s, key) != getattr(settings[0], key) for s in settings)
    ]
    if differing:
        return [f"{key}: must be the same for all runs of a sweep" for key in differing]
    return [problem] if problem else []


def _tracking_problem(settings: Settings) -> str | None:
    if settings.tracking.backend == "none":
        return None
    uri = tracking_uri(settings.tracking.uri)
    problem = uri_problem(uri, writing=True)
    return f"tracking.uri={redact(uri)}: {problem}" if problem else None


def _run_info(plan: Plan, job: Job, facts: JobFacts) -> dict[str, Any]:
    """Return the entries of `run.json` that are available before the run starts."""
    tracking = facts.settings.tracking
    params = {}
    override_keys = [override.partition("=")[0].lstrip("+~") for override in job.overrides]
    for key in dict.fromkeys((*AXES, *override_keys)):
        if key in job.choices:
            params[key] = job.choices[key]
        elif not key.startswith(("hydra", *KEYS_OUTSIDE_IDENTITY)):
            params[key] = _format_param(job.config, key)
    overrides = [redact(override) for override in job.overrides]
    command = "python -m rnnlab " + " ".join(overrides)
    return {
        "id": uuid.uuid4().hex,
        "identity": facts.identity,
        "name": job.name,
        "number": job.number,
        "steps": facts.settings.steps,
        "overrides": overrides,
        "command": redact(plan.command),
        "params": params,
        "engine": facts.engine,
        "states": facts.states,
        "goal": facts.goal,
        "loss_unit": facts.loss_unit,
        "dataset": facts.dataset,
        "tracking": {"experiment": tracking.experiment, "points": tracking.points},
        "seed": facts.settings.seed,
        "tags": {
            "sweep": plan.sweep,
            **code().tags,
            "mlflow.source.name": command.strip(),
            "mlflow.source.type": "LOCAL",
        },
    }


def _redact_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration with any password removed from the tracking URI."""
    tracking = config["tracking"]
    uri = tracking["uri"] and redact(tracking["uri"])
    return config if uri == tracking["uri"] else config | {"tracking": tracking | {"uri": uri}}


def _format_param(config: dict[str, Any], key: str) -> str:
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return "null" if value is None else str(value)
