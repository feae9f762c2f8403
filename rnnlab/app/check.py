"""From composed jobs to checked work orders: nothing exists on disk before all of them are good."""

import os
import uuid
from dataclasses import dataclass
from typing import Any

from rnnlab.app.config.build import Settings
from rnnlab.app.config.memory_limit import cores, parallel_memory_problem
from rnnlab.app.config.messages import ConfigProblems
from rnnlab.app.config.plan import KEYS_OUTSIDE_IDENTITY, Job, Plan
from rnnlab.app.config.run_paths import sweep_problems
from rnnlab.app.config.validation import InvalidConfig
from rnnlab.app.jobs.job_facts import Inspector, JobFacts
from rnnlab.app.jobs.provenance import code
from rnnlab.app.jobs.resume import resume_plan
from rnnlab.app.jobs.run_job import WorkOrder
from rnnlab.app.launchers.base import Launcher, build_launcher
from rnnlab.mlflow_mirror.store import tracking_uri, uri_problem
from rnnlab.paths import is_folder
from rnnlab.records import AXES
from rnnlab.runs.run_json import NewerFormat, read_run_info
from rnnlab.text import redact

SWEEP_KEYS = ("tracking", "jobs", "fail_fast", "resume", "pair", "objective", "report")
"""Keys that concern all runs of a sweep together."""


@dataclass(frozen=True)
class CheckedPlan:
    """A plan that can be carried out.

    Attributes:
        plan: With the folders that its runs go to, some of them perhaps begun by an earlier command.
        orders: One for each of its jobs.
        settings: Of the first job, for what concerns them all.
        launcher: What makes the runs; None for processes on this machine.
        note: What there is to say before they start.
        remarks: What the user should know of the tasks' data, a line each.
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
        ConfigProblems: With a line for each thing that is wrong, of all jobs together.
    """
    facts, problems = list[JobFacts](), list(plan.problems)
    inspector = Inspector(is_local=plan.launcher is None)
    for job in plan.jobs:
        try:
            facts.append(inspector.facts(job))
        except InvalidConfig as error:
            problems += error.problems
    if facts:
        problems += _common_problems([one.settings for one in facts])
    if facts and plan.launcher is None:
        jobs = facts[0].settings.jobs
        at_once = min(jobs or cores(), len(facts))
        problem = parallel_memory_problem([one.memory for one in facts], at_once, jobs)
        problems += [problem] if problem else []
    launcher = None
    if plan.launcher is not None:
        try:
            launcher = build_launcher(plan.launcher)
        except InvalidConfig as error:
            problems += error.problems
    if problems:
        raise ConfigProblems(problems)
    settings = facts[0].settings
    found, note = resume_plan(plan, [one.identity for one in facts], settings.resume)
    if found is plan and not plan.is_continuation and (problems := _folder_problems(plan)):
        raise ConfigProblems(problems)
    resume, diff = found is not plan, code().diff
    orders = [
        WorkOrder(job.folder, _redact_config(job.config), _run_info(found, job, one), resume, diff)
        for job, one in zip(found.jobs, facts, strict=True)
    ]
    problems = [problem for order in orders if order.resume and (problem := _resume_problem(order))]
    if problems:
        raise ConfigProblems(problems)
    remarks = tuple(dict.fromkeys(remark for one in facts for remark in one.remarks))
    return CheckedPlan(found, orders, settings, launcher, note, remarks)


def _resume_problem(order: WorkOrder) -> str | None:
    """What keeps a run from being taken up where its folder left it, or None."""
    try:
        info = read_run_info(order.folder, ("identity", "tracking"))
    except NewerFormat as error:
        return f"{order.folder}: {error}"
    except ValueError as error:
        return f"{order.folder}: cannot be read ({error}); remove the folder to make the run anew"
    if info is None:
        return None
    if info["identity"] != order.info["identity"]:
        return f"{order.folder}: holds another run than its sweep says"
    asked, had = order.info["tracking"]["experiment"], info["tracking"]["experiment"]
    if asked != had:
        return f"tracking.experiment={asked}: these runs are in the experiment {had}"
    return None


def _folder_problems(plan: Plan) -> list[str]:
    """A line for each folder that exists already, or cannot be one of a run."""
    problems, folders = [], set()
    if plan.is_sweep and (unfit := sweep_problems(plan.folder, {job.folder for job in plan.jobs})):
        return unfit
    if plan.is_sweep and is_folder(plan.folder) and any(plan.folder.glob("[!.]*")):
        return [f"{plan.folder}: exists, and a sweep needs a folder of its own"]
    may_exist = os.path.exists(plan.folder)
    for job in plan.jobs:
        if job.folder in folders or (may_exist and os.path.exists(job.folder)):
            problems.append(f"{job.folder}: exists, and a run needs a folder of its own")
        folders.add(job.folder)
    return problems


def _common_problems(settings: list[Settings]) -> list[str]:
    """What is wrong with what concerns a sweep as a whole."""
    problem = _tracking_problem(settings[0])
    differing = [
        key for key in SWEEP_KEYS if any(getattr(s, key) != getattr(settings[0], key) for s in settings)
    ]
    if differing:
        keys = " and ".join(differing)
        return [f"{keys}: of the sweep as a whole, and cannot differ within it"]
    return [problem] if problem else []


def _tracking_problem(settings: Settings) -> str | None:
    if settings.tracking.backend == "none":
        return None
    uri = tracking_uri(settings.tracking.uri)
    problem = uri_problem(uri, writing=True)
    return f"tracking.uri={redact(uri)}: {problem}" if problem else None


def _run_info(plan: Plan, job: Job, facts: JobFacts) -> dict[str, Any]:
    """What is known of a run before it starts."""
    tracking = facts.settings.tracking
    params = {}
    given = [override.partition("=")[0].lstrip("+~") for override in job.overrides]
    for key in dict.fromkeys((*AXES, *given)):
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
        "goal": facts.goal,
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
    """The configuration as it is written down, without a password in the tracking URI."""
    tracking = config["tracking"]
    uri = tracking["uri"] and redact(tracking["uri"])
    return config if uri == tracking["uri"] else config | {"tracking": tracking | {"uri": uri}}


def _format_param(config: dict[str, Any], key: str) -> str:
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return "null" if value is None else str(value)
