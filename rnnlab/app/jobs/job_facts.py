"""Inspection of jobs before the runs start; the results are reused for similar jobs."""

import json
from dataclasses import dataclass
from typing import Any

from rnnlab.app.config.build import build
from rnnlab.app.config.groups import TaskCache
from rnnlab.app.config.plan import KEYS_OUTSIDE_IDENTITY, Job
from rnnlab.app.config.settings import Settings, read_settings
from rnnlab.app.config.uncertain_keys import NO_UNCERTAIN_KEYS, UncertainKeys
from rnnlab.app.config.validation import InvalidConfig
from rnnlab.app.jobs.resume import format_json, identity_from_json
from rnnlab.tasks.loss_units import loss_unit
from rnnlab.training import choose_engine, obstacle

INDEPENDENT_KEYS = ("seed", "steps", "clip", "clip_mode", "init", *KEYS_OUTSIDE_IDENTITY)
"""Keys validated separately, because sizes, data and the validity of other keys do not depend on them."""
MAX_CACHED_TEXTS = 10_000
NO_RESIDUAL = "residual=true: no effect with layers=1"


@dataclass(frozen=True)
class JobFacts:
    """Facts about one job, stored in place of the job's task and model to save memory in large sweeps.

    Attributes:
        settings: Values of the top-level keys that are not configuration groups.
        identity: Digest of everything that affects the result of the run.
        engine: Engine of the run.
        states: Names of the cell's states.
        goal: Metric, baseline and success criterion of the task.
        loss_unit: Name and factor of the unit in which losses are shown.
        dataset: Name, digest and source of the data.
        memory: Estimated memory use of the run, in bytes.
        remarks: Remarks, one per line, about data that the task ignores and keys without effect.
    """

    settings: Settings
    identity: str
    engine: str
    states: list[str]
    goal: dict[str, Any]
    loss_unit: dict[str, Any]
    dataset: dict[str, str]
    memory: int
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class _SharedFacts:
    """Facts shared by jobs whose configurations differ only in INDEPENDENT_KEYS."""

    engine: str
    states: list[str]
    goal: dict[str, Any]
    loss_unit: dict[str, Any]
    dataset: dict[str, str]
    memory: int
    data: str
    remarks: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    is_valid: bool = True


class Inspector:
    """Inspector that validates jobs with `build` and reuses the results for similar jobs."""

    def __init__(self, is_local: bool, uncertain: UncertainKeys = NO_UNCERTAIN_KEYS) -> None:
        """Create an inspector with empty caches.

        Args:
            is_local: True if the runs are executed on this machine and must therefore fit into its memory.
            uncertain: Keys whose values are defaults that replace mistakes.
        """
        self._is_local, self._uncertain = is_local, uncertain
        self._tasks, self._texts = TaskCache(), _JsonCache()
        self._shared: dict[str, _SharedFacts] = {}

    def facts(self, job: Job) -> JobFacts:
        """Return the facts of one job.

        Raises:
            InvalidConfig: If a key is invalid; the error has one line per invalid key.
        """
        texts = {key: self._texts.format_json(value) for key, value in job.config.items()}
        key = json.dumps([(key, text) for key, text in texts.items() if key not in INDEPENDENT_KEYS])
        settings = read_settings(job.config, [])
        if settings is None:
            build(job.config, self._is_local, self._tasks, self._uncertain)
            raise AssertionError("build must raise InvalidConfig for invalid settings")
        if key not in self._shared:
            self._shared[key] = self._inspect(job.config)
        shared = self._shared[key]
        if not shared.is_valid:
            raise InvalidConfig(list(shared.problems))
        name = identity_from_json(texts, shared.data)
        parts = (
            shared.engine,
            shared.states,
            shared.goal,
            shared.loss_unit,
            shared.dataset,
            shared.memory,
            shared.remarks,
        )
        return JobFacts(settings, name, *parts)

    def _inspect(self, config: dict[str, Any]) -> _SharedFacts:
        try:
            experiment = build(config, self._is_local, self._tasks, self._uncertain)
        except InvalidConfig as error:
            return _SharedFacts("", [], {}, {}, {}, 0, "", problems=tuple(error.problems), is_valid=False)
        task, model = experiment.trainer.task, experiment.trainer.model
        data = f"{task.dataset['digest']} {model.initial_state.digest}"
        goal = dict(vars(task.goal(model.loss)))
        memory = sum(experiment.memory.values())
        unit = dict(vars(loss_unit(task, model.loss)))
        states = list(model.cell.states)
        requested = experiment.settings.engine
        engine, remarks = choose_engine(requested, model.cell), task.remarks
        if requested == "auto" and (reason := obstacle(model.cell)):
            remarks = (*remarks, f"engine=auto: running with NumPy, because {reason}")
        if experiment.settings.residual and experiment.settings.layers == 1:
            remarks = (*remarks, NO_RESIDUAL)
        return _SharedFacts(engine, states, goal, unit, dict(task.dataset), memory, data, remarks)


class _JsonCache:
    """Cache of the JSON text of configuration groups shared by several jobs."""

    def __init__(self) -> None:
        self._cached: dict[int, tuple[Any, str]] = {}

    def format_json(self, value: Any) -> str:
        if not isinstance(value, dict):
            return format_json(value)
        cached = self._cached.get(id(value))
        if cached is None or cached[0] is not value:
            if len(self._cached) == MAX_CACHED_TEXTS:
                self._cached.clear()
            cached = self._cached[id(value)] = value, format_json(value)
        return cached[1]
