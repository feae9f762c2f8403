"""Objects of the configuration groups: cell, task, optimiser, initial state, and the probe.

If the selected option of a group names a class (`_target_`), that class defines the keys, types and bounds of
the group. A new cell or optimiser requires no change to this module.
"""

import json
from collections.abc import Collection
from functools import partial
from typing import Any

from rnnlab.app.config.settings import dtype_of
from rnnlab.app.config.uncertain_keys import NO_UNCERTAIN_KEYS, UncertainKeys
from rnnlab.app.config.validation import annotations, fields, pop_class, pop_function, validate
from rnnlab.cells import Cell
from rnnlab.diagnostics import Measurement, Probe, Readings, Schedule, Snapshot
from rnnlab.initial_states import InitialState
from rnnlab.optimizers import Optimizer
from rnnlab.tasks import Task
from rnnlab.user_files import UnreadableFile

KINDS = {"cell": Cell, "task": Task, "optimizer": Optimizer, "initial_state": InitialState}
"""Interface that the class of each configuration group must implement."""
TASK_CACHE_SIZE = 4
"""Maximum number of tasks kept in memory while a sweep is checked; the data of a task may be large."""


class TaskCache:
    """Cache of recent tasks; constructing a task from a large file takes longer than all checks together."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[Task | None, list[str]]] = {}

    def get(
        self,
        config: dict[str, Any],
        supplied: dict[str, int],
        problems: list[str],
        uncertain: UncertainKeys = NO_UNCERTAIN_KEYS,
    ) -> Task | None:
        """Return the task of a configuration; on failure, record the problems and return None."""
        parts = [config.get("task"), supplied, dtype_of(config), sorted(uncertain.keys)]
        key = json.dumps(parts, sort_keys=True)
        if key not in self._entries:
            if len(self._entries) == TASK_CACHE_SIZE:
                del self._entries[next(iter(self._entries))]
            task_problems: list[str] = []
            self._entries[key] = self._construct(config, supplied, task_problems, uncertain), task_problems
        task, task_problems = self._entries[key]
        problems += task_problems
        return task

    def _construct(
        self,
        config: dict[str, Any],
        supplied: dict[str, int],
        problems: list[str],
        uncertain: UncertainKeys,
    ) -> Task | None:
        task: Task | None = construct(config, "task", supplied, problems, uncertain)
        return task


def construct(
    config: dict[str, Any],
    group: str,
    supplied: dict[str, Any],
    problems: list[str],
    uncertain: UncertainKeys,
) -> Any:
    """Construct the object for a configuration group; on failure, record the problems and return None."""
    result = class_and_values(config, group, supplied, problems)
    if result is None:
        return None
    cls, values = result
    try:
        return cls(**supplied, **values)
    except ValueError as error:
        key, equals, _ = str(error).partition(":")[0].partition("=")
        prefix = f"{group}: " if not equals else "" if key in supplied else f"{group}."
        causes = ("_target_", key) if isinstance(error, UnreadableFile) else ()
        keys = [f"{group}.{cause}" for cause in causes] or [group]
        problems += uncertain.unless_affected([f"{prefix}{error}"], *keys)
        return None


def class_and_values(
    config: dict[str, Any], group: str, supplied: Collection[str], problems: list[str]
) -> tuple[type, dict[str, Any]] | None:
    """Return a group's class and the arguments of that class, or record the problems and return None."""
    if not config.get(group):
        problems.append(f"{group}: missing")
        return None
    keys = dict(config[group])
    cls = pop_class(keys, group, KINDS[group], problems)
    if cls is None:
        return None
    keys = getattr(cls, "later_keys", {}) | keys
    values = validate(cls.__name__, fields(cls, supplied), keys, f"{group}.", problems, dtype_of(config))
    return None if values is None else (cls, values)


def build_probe(config: Any, dtype: str, problems: list[str]) -> Probe | None:
    """Return the probe, omitting null measurements; on failure, record the problems and return None."""
    if not isinstance(config, dict) or not isinstance(config.get("measurements"), dict | None):
        problems.append("probe: must contain the key measurements, with one entry per measurement")
        return None
    keys = {key: value for key, value in config.items() if key != "measurements"}
    values = validate(Probe.__name__, fields(Probe, ("measurements",)), keys, "probe.", problems, dtype)
    configs = {name: keys for name, keys in (config.get("measurements") or {}).items() if keys is not None}
    results = {name: _measurement(name, keys, dtype, problems) for name, keys in configs.items()}
    measurements = {name: measurement for name, measurement in results.items() if measurement is not None}
    if values is None or len(measurements) < len(results):
        return None
    return Probe(measurements, **values)


def _measurement(name: str, config: Any, dtype: str, problems: list[str]) -> Measurement | None:
    """Return a measurement with its options and schedule; on failure, record the problems and return None."""
    path = f"probe.measurements.{name}"
    if not isinstance(config, dict):
        problems.append(
            f"{path}={config}: must be null to omit the measurement, or a mapping with the key _target_"
        )
        return None
    keys = dict(config)
    fixed_hints = {"snapshot": Snapshot, "return": Readings}
    function = pop_function(keys, path, fixed_hints, problems)
    if function is None:
        return None
    options = {option: hint for option, hint in annotations(function).items() if option not in fixed_hints}
    values = validate(name, options | {"when": Schedule}, keys, f"{path}.", problems, dtype)
    if values is None:
        return None
    when = values.pop("when")
    return Measurement(partial(function, **values), when)
