"""What has to be known of a job before it runs, found out once for all jobs that have it in common."""

import json
from dataclasses import dataclass
from typing import Any

from rnnlab.app.config.build import Settings, TaskCache, build, read_settings
from rnnlab.app.config.plan import KEYS_OUTSIDE_IDENTITY, Job
from rnnlab.app.config.validation import InvalidConfig
from rnnlab.app.jobs.resume import format_json, identity_from_json

INDEPENDENT_KEYS = ("seed", "steps", "clip", "clip_mode", "init", *KEYS_OUTSIDE_IDENTITY)
"""Keys that are checked by themselves: no size, no data and no other key's check depends on them."""
MAX_CACHED_TEXTS = 10_000


@dataclass(frozen=True)
class JobFacts:
    """What is kept of a job's objects, whose data would fill the memory in a sweep of thousands.

    Attributes:
        settings: The keys beside the groups.
        identity: A digest of all that the result depends on.
        goal: What the task asks for.
        dataset: Name, digest and source of the data.
        memory: Bytes that the run will take, about.
        remarks: What the task left out of its data, a line each.
    """

    settings: Settings
    identity: str
    goal: dict[str, Any]
    dataset: dict[str, str]
    memory: int
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class _SharedFacts:
    """What jobs share whose configurations differ only in keys that are checked by themselves."""

    goal: dict[str, Any]
    dataset: dict[str, str]
    memory: int
    data: str
    remarks: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


class Inspector:
    """Checks the jobs of a plan, each as `build` does."""

    def __init__(self, is_local: bool) -> None:
        """Start anew.

        Args:
            is_local: Whether the runs are to fit into this machine's memory.
        """
        self._is_local, self._tasks, self._texts = is_local, TaskCache(), _JsonCache()
        self._shared: dict[str, _SharedFacts] = {}

    def facts(self, job: Job) -> JobFacts:
        """The facts of one job.

        Raises:
            InvalidConfig: With a line for each key at fault.
        """
        texts = {key: self._texts.format_json(value) for key, value in job.config.items()}
        key = json.dumps([(key, text) for key, text in texts.items() if key not in INDEPENDENT_KEYS])
        settings = read_settings(job.config, [])
        if settings is None:
            build(job.config, self._is_local, self._tasks)
            raise AssertionError("what has no settings cannot be built")
        if key not in self._shared:
            self._shared[key] = self._inspect(job.config)
        shared = self._shared[key]
        if shared.problems:
            raise InvalidConfig(list(shared.problems))
        name = identity_from_json(texts, shared.data)
        return JobFacts(settings, name, shared.goal, shared.dataset, shared.memory, shared.remarks)

    def _inspect(self, config: dict[str, Any]) -> _SharedFacts:
        try:
            experiment = build(config, self._is_local, self._tasks)
        except InvalidConfig as error:
            return _SharedFacts({}, {}, 0, "", problems=tuple(error.problems))
        task, model = experiment.trainer.task, experiment.trainer.model
        data = f"{task.dataset['digest']} {model.initial_state.digest}"
        goal = dict(vars(task.goal(model.loss)))
        needed = sum(experiment.memory.values())
        return _SharedFacts(goal, dict(task.dataset), needed, data, task.remarks)


class _JsonCache:
    """Values as JSON; of a group that jobs share, made once."""

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
