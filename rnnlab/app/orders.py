"""From composed jobs to checked work orders: nothing exists on disk before all of them are good."""

from typing import Any

from rnnlab.app.compose import Job, Plan
from rnnlab.app.problems import ConfigProblems
from rnnlab.app.provenance import code_tags
from rnnlab.app.schema import Experiment, Settings, build
from rnnlab.app.validation import InvalidConfig
from rnnlab.app.worker import WorkOrder
from rnnlab.tracking.mirror import tracking_uri, uri_problem

# What every run shows as a parameter; what was overridden joins them.
SHOWN_PARAMS = (
    "cell",
    "task",
    "optimizer",
    "init",
    "initial_state",
    "probe",
    "seq_len",
    "clip",
    "clip_mode",
    "lr",
    "hidden_size",
    "batch_size",
    "steps",
    "seed",
    "dtype",
)


def check(plan: Plan) -> tuple[list[WorkOrder], Settings]:
    """Check every job of a plan.

    Returns:
        The work orders, and the first job's settings for what concerns all of them.

    Raises:
        ConfigProblems: With a line for each thing that is wrong, of all jobs together.
    """
    orders, all_settings, problems = [], [], list(plan.problems)
    tags = {"sweep": plan.sweep, **code_tags()}
    taken = {plan.folder} if plan.is_sweep and plan.folder.exists() else set()
    problems += [f"{folder}: exists, and a sweep needs a folder of its own" for folder in taken]
    for job in plan.jobs:
        try:
            experiment = build(job.config)
        except InvalidConfig as error:
            problems += error.problems
            continue
        if job.folder in taken or job.folder.exists():
            problems.append(f"{job.folder}: exists, and a run needs a folder of its own")
        taken.add(job.folder)
        all_settings.append(experiment.settings)
        orders.append(WorkOrder(job.folder, job.config, _run_info(job, experiment, tags)))
    if all_settings and (problem := _tracking_problem(all_settings[0])):
        problems.append(problem)
    if any((s.tracking, s.jobs) != (all_settings[0].tracking, all_settings[0].jobs) for s in all_settings):
        problems.append("tracking and jobs concern the sweep as a whole: they cannot differ within it")
    if problems:
        raise ConfigProblems(problems)
    return orders, all_settings[0]


def _tracking_problem(settings: Settings) -> str | None:
    if settings.tracking.backend == "none":
        return None
    uri = tracking_uri(settings.tracking.uri)
    problem = uri_problem(uri)
    return f"tracking.uri={uri}: {problem}" if problem else None


def _run_info(job: Job, experiment: Experiment, tags: dict[str, str]) -> dict[str, Any]:
    """What is known of a run before it starts."""
    params = {}
    given = [override.partition("=")[0].lstrip("+~") for override in job.overrides]
    for key in dict.fromkeys((*SHOWN_PARAMS, *given)):
        if key in job.choices:
            params[key] = job.choices[key]
        elif not key.startswith(("hydra", "tracking", "jobs")):
            params[key] = _shown(job.config, key)
    command = "python -m rnnlab " + " ".join(job.overrides)
    return {
        "name": job.name,
        "steps": experiment.settings.steps,
        "overrides": job.overrides,
        "params": params,
        "goal": vars(experiment.trainer.task.goal(experiment.trainer.model.loss)),
        "dataset": dict(experiment.trainer.task.dataset),
        "tags": {**tags, "mlflow.source.name": command.strip(), "mlflow.source.type": "LOCAL"},
    }


def _shown(config: dict[str, Any], key: str) -> str:
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return "null" if value is None else str(value)
