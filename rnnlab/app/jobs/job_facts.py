"""What has to be known of a job before it runs, found out once for all jobs that have it in common."""

import json
from dataclasses import dataclass
from typing import Any

from rnnlab.app.config.build import Settings, Tasks, build, read_settings
from rnnlab.app.config.plan import WITHOUT_EFFECT, Job
from rnnlab.app.config.validation import InvalidConfig
from rnnlab.app.jobs.resume import as_json, identity_of

OF_ONE_JOB = ("seed", "steps", "clip", "clip_mode", "init", *WITHOUT_EFFECT)
"""Keys that are checked by themselves: no size, no data and no other key's check depends on them."""
MOST_TEXTS = 10_000


@dataclass(frozen=True)
class Facts:
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
class _Shared:
    """What jobs share whose configurations differ only in keys that are checked by themselves."""

    goal: dict[str, Any]
    dataset: dict[str, str]
    memory: int
    data: str
    remarks: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


class Inspector:
    """Checks the jobs of a plan, each as `schema.build` does."""

    def __init__(self, here: bool) -> None:
        """Start anew.

        Args:
            here: Whether the runs are to fit into this machine's memory.
        """
        self._here, self._tasks, self._texts = here, Tasks(), _Texts()
        self._shared: dict[str, _Shared] = {}

    def facts(self, job: Job) -> Facts:
        """The facts of one job.

        Raises:
            InvalidConfig: With a line for each key at fault.
        """
        texts = {key: self._texts.of(value) for key, value in job.config.items()}
        key = json.dumps([(key, text) for key, text in texts.items() if key not in OF_ONE_JOB])
        settings = read_settings(job.config, [])
        if settings is None:
            build(job.config, self._here, self._tasks)
            raise AssertionError("what has no settings cannot be built")
        if key not in self._shared:
            self._shared[key] = self._found(job.config)
        shared = self._shared[key]
        if shared.problems:
            raise InvalidConfig(list(shared.problems))
        name = identity_of(texts, shared.data)
        return Facts(settings, name, shared.goal, shared.dataset, shared.memory, shared.remarks)

    def _found(self, config: dict[str, Any]) -> _Shared:
        try:
            experiment = build(config, self._here, self._tasks)
        except InvalidConfig as error:
            return _Shared({}, {}, 0, "", problems=tuple(error.problems))
        task, model = experiment.trainer.task, experiment.trainer.model
        data = f"{task.dataset['digest']} {model.initial_state.digest}"
        goal = dict(vars(task.goal(model.loss)))
        needed = sum(experiment.memory.values())
        return _Shared(goal, dict(task.dataset), needed, data, task.remarks)


class _Texts:
    """Values as JSON; of a group that jobs share, made once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, str]] = {}

    def of(self, value: Any) -> str:
        if not isinstance(value, dict):
            return as_json(value)
        known = self._known.get(id(value))
        if known is None or known[0] is not value:
            if len(self._known) == MOST_TEXTS:
                self._known.clear()
            known = self._known[id(value)] = value, as_json(value)
        return known[1]
