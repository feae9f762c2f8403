"""Every key of the configuration with its type and bounds, and the objects made from it.

Defaults live in `conf/` alone. A group whose option names a class (`_target_`) takes its keys, types
and bounds from that class, so a new cell or optimiser needs no line here.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Len, Lt, MinLen

from rnnlab.app.config.memory_limit import LYAPUNOV, too_large
from rnnlab.app.config.validation import (
    InvalidConfig,
    annotations,
    fields,
    target,
    target_function,
    validated,
)
from rnnlab.cells import Cell
from rnnlab.clipping import Clipping
from rnnlab.diagnostics import Measurement, Probe, Readings, Schedule, Snapshot
from rnnlab.initial_states import InitialState
from rnnlab.initializers import Init
from rnnlab.losses import Loss
from rnnlab.model import Model
from rnnlab.optimizers import Optimizer
from rnnlab.readout import Readout
from rnnlab.tasks import Task
from rnnlab.training import Trainer, memory_needed

SUPPLIED = {
    "cell": ("input_size", "hidden_size"),
    "task": ("seq_len", "batch_size"),
    "optimizer": ("lr",),
    "initial_state": (),
}
"""What a group's class is given from elsewhere than the group's own keys."""
KINDS = {"cell": Cell, "task": Task, "optimizer": Optimizer, "initial_state": InitialState}
"""What a group's class must be."""


KEPT_TASKS = 4
"""Of a sweep's tasks, whose data may be large, so many are kept at a time while it is checked."""
MAX_EXPERIMENT = 500
"""Letters of an experiment's name that MLflow takes."""


@dataclass(frozen=True)
class Tracking:
    """Where runs are mirrored to beside their own folder.

    Attributes:
        backend: `mlflow`, or `none` for the folder alone.
        uri: MLflow's tracking URI; None for MLFLOW_TRACKING_URI, or else `mlflow.db` here.
        experiment: Name of the MLflow experiment.
        points: At most so many points of each per-step metric are mirrored.
    """

    backend: Literal["mlflow", "none"]
    uri: Annotated[str, MinLen(1)] | None
    experiment: Annotated[str, Len(1, MAX_EXPERIMENT)]
    points: Annotated[int, Ge(2)]


@dataclass(frozen=True)
class Settings:
    """The keys of the configuration beside the groups that name a class."""

    seq_len: Annotated[int, Ge(1)]
    clip: Annotated[float, Gt(0)] | None
    clip_mode: Literal["norm", "value"]
    lr: Annotated[float, Gt(0)]
    hidden_size: Annotated[int, Ge(1)]
    batch_size: Annotated[int, Ge(1)]
    steps: Annotated[int, Ge(1), Lt(2**53)]
    seed: Annotated[int, Ge(0), Lt(2**63)]
    dtype: Literal["float32", "float64"]
    loss: Loss | None
    loss_reduction: Literal["mean", "sum"]
    readout_bias: bool
    val_every: Annotated[int, Ge(1)] | None
    stop_when_solved: bool
    figures: bool
    report: bool
    checkpoint_every: Annotated[float, Ge(0)] | None
    jobs: Annotated[int, Ge(1)] | None
    objective: Annotated[str, MinLen(1)]
    fail_fast: bool
    resume: bool | str
    pair: list[str]
    init: Init
    tracking: Tracking


@dataclass(frozen=True)
class Experiment:
    """A configuration made real.

    Attributes:
        settings: The keys beside the groups.
        trainer: Made from the groups.
        memory: Bytes that training will take, about, by what they are for.
    """

    settings: Settings
    trainer: Trainer
    memory: Mapping[str, int]


def read_settings(config: Mapping[str, Any], problems: list[str]) -> Settings | None:
    """Check the keys beside the groups, or note their problems and return None."""
    plain = {key: value for key, value in config.items() if key not in (*SUPPLIED, "probe")}
    settings = validated(Settings.__name__, fields(Settings), plain, "", problems, dtype_of(config))
    return None if settings is None else Settings(**settings)


def dtype_of(config: Mapping[str, Any]) -> str:
    """The dtype whose range its numbers must keep to; where there is no such dtype, the widest."""
    return "float32" if config.get("dtype") == "float32" else "float64"


def build(config: dict[str, Any], is_local: bool = True, tasks: "Tasks | None" = None) -> Experiment:
    """Check a configuration and make its objects.

    Args:
        config: Plain data, resolved.
        is_local: Whether the run is to fit into this machine's memory.
        tasks: Tasks made before, to be used again.

    Raises:
        InvalidConfig: With a line for each key at fault: key, value and what is allowed.
    """
    problems: list[str] = []
    s = read_settings(config, problems)
    probe = _probe(config.get("probe"), dtype_of(config), problems)
    if s is None:
        for group, supplied in SUPPLIED.items():  # their mistakes are told with the others
            _class_and_values(config, group, supplied, problems)
        raise InvalidConfig(problems)
    lengths = {"seq_len": s.seq_len, "batch_size": s.batch_size}
    task: Task | None = (tasks or Tasks()).made(config, lengths, problems)
    optimizer: Optimizer | None = _made(config, "optimizer", {"lr": s.lr}, problems)
    sizes = {"input_size": task.input_size if task else 1, "hidden_size": s.hidden_size}
    cell: Cell | None = _made(config, "cell", sizes, problems)
    initial_state: InitialState | None = _made(config, "initial_state", {}, problems)
    if task is None or optimizer is None or cell is None or initial_state is None or probe is None:
        raise InvalidConfig(problems)
    if problem := _task_problem(s, task):
        raise InvalidConfig([problem])
    readout = Readout(s.hidden_size, task.output_size, s.readout_bias)
    model = Model(cell, readout, initial_state, s.loss or task.losses[0], s.loss_reduction)
    clipping = Clipping(s.clip, s.clip_mode)
    trainer = Trainer(model, task, optimizer, clipping, probe, s.steps, s.val_every, s.stop_when_solved)
    memory = memory_needed(trainer, s.dtype)
    if is_local and (problem := too_large(memory, _by_key(config))):
        raise InvalidConfig([problem])
    try:
        for state in cell.states:
            drawn = initial_state.draw(state, (s.hidden_size, 1), np.random.default_rng(0))
            with np.errstate(over="ignore"):
                if not np.isfinite(drawn.astype(s.dtype)).all():
                    raise ValueError(f"{_source(config)}: {state} has numbers that are infinite in {s.dtype}")
    except ValueError as error:
        raise InvalidConfig([f"initial_state.{error}"]) from None
    memory = memory_needed(trainer, s.dtype, task.probe_batch(np.random.default_rng(0), 1, task.time))
    problem = too_large(memory, _by_key(config)) if is_local else None
    if problem := problem or _probe_problem(trainer):
        raise InvalidConfig([problem])
    return Experiment(s, trainer, memory)


class Tasks:
    """The tasks that were made last: one of a large text or table takes longer than all other checks."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[Task | None, list[str]]] = {}

    def made(self, config: dict[str, Any], supplied: dict[str, int], problems: list[str]) -> Task | None:
        """The task of a configuration, or None and its problems noted."""
        key = json.dumps([config.get("task"), supplied, dtype_of(config)], sort_keys=True)
        if key not in self._made:
            if len(self._made) == KEPT_TASKS:
                del self._made[next(iter(self._made))]
            own: list[str] = []
            self._made[key] = self._make(config, supplied, own), own
        task, own = self._made[key]
        problems += own
        return task

    def _make(self, config: dict[str, Any], supplied: dict[str, int], problems: list[str]) -> Task | None:
        made: Task | None = _made(config, "task", supplied, problems)
        return made


def generators(seed: int) -> tuple[np.random.Generator, np.random.Generator, np.random.Generator]:
    """Independent generators for the weights, the batches and the closing samples of a run."""
    weights, batches, samples = np.random.SeedSequence(seed).spawn(3)
    return np.random.default_rng(weights), np.random.default_rng(batches), np.random.default_rng(samples)


def _source(config: dict[str, Any]) -> str:
    """The first key of the initial state beside its class, with its value."""
    keys = {key: value for key, value in config["initial_state"].items() if key != "_target_"}
    return next((f"{key}={value}" for key, value in keys.items()), "_target_")


def _by_key(config: dict[str, Any]) -> dict[str, Any]:
    """The values of the keys and of those of the groups."""
    groups = {group: keys for group, keys in config.items() if isinstance(keys, dict)}
    inside = {f"{group}.{key}": value for group, keys in groups.items() for key, value in keys.items()}
    lyapunov = ((config.get("probe") or {}).get("measurements") or {}).get("lyapunov") or {}
    return config | inside | {LYAPUNOV: lyapunov.get("steps")}


def _made(config: dict[str, Any], group: str, supplied: dict[str, Any], problems: list[str]) -> Any:
    """Make the object of a group, or note its problems and return None."""
    found = _class_and_values(config, group, supplied, problems)
    if found is None:
        return None
    cls, values = found
    try:
        return cls(**supplied, **values)
    except ValueError as error:
        key, named, _ = str(error).partition(":")[0].partition("=")
        own = f"{group}: " if not named else "" if key in supplied else f"{group}."
        problems.append(f"{own}{error}")
        return None


def _class_and_values(
    config: dict[str, Any], group: str, supplied: Collection[str], problems: list[str]
) -> tuple[type, dict[str, Any]] | None:
    """The class that a group names and its checked values, or None and the problems noted."""
    if not config.get(group):
        problems.append(f"{group}: missing")
        return None
    keys = dict(config[group])
    cls = target(keys, group, KINDS[group], problems)
    if cls is None:
        return None
    values = validated(cls.__name__, fields(cls, supplied), keys, f"{group}.", problems, dtype_of(config))
    return None if values is None else (cls, values)


def _probe(config: Any, dtype: str, problems: list[str]) -> Probe | None:
    """The probe with its measurements, each a function that its `_target_` names; null ones are left out."""
    if not isinstance(config, dict) or not isinstance(config.get("measurements"), dict | None):
        problems.append("probe: must have the key measurements, with a key for each")
        return None
    keys = {key: value for key, value in config.items() if key != "measurements"}
    values = validated(Probe.__name__, fields(Probe, ("measurements",)), keys, "probe.", problems, dtype)
    named = {name: keys for name, keys in (config.get("measurements") or {}).items() if keys is not None}
    made = {name: _measurement(name, keys, dtype, problems) for name, keys in named.items()}
    measurements = {name: measurement for name, measurement in made.items() if measurement is not None}
    if values is None or len(measurements) < len(made):
        return None
    return Probe(measurements, **values)


def _measurement(name: str, config: Any, dtype: str, problems: list[str]) -> Measurement | None:
    """A measurement: a function with the options that its own annotations allow, and its schedule."""
    path = f"probe.measurements.{name}"
    if not isinstance(config, dict):
        problems.append(f"{path}={config}: must be null, to leave it out, or have a _target_")
        return None
    keys = dict(config)
    of_measurement = {"snapshot": Snapshot, "return": Readings}
    function = target_function(keys, path, of_measurement, problems)
    if function is None:
        return None
    options = {option: hint for option, hint in annotations(function).items() if option not in of_measurement}
    values = validated(name, options | {"when": Schedule}, keys, f"{path}.", problems, dtype)
    if values is None:
        return None
    when = values.pop("when")
    return Measurement(partial(function, **values), when)


def _task_problem(settings: Settings, task: Task) -> str | None:
    """What is asked of a task that it cannot do, or None."""
    name = type(task).__name__
    if settings.loss is not None and settings.loss not in task.losses:
        return f"loss={settings.loss}: {name} allows {' or '.join(task.losses)}"
    if settings.stop_when_solved and task.goal(settings.loss or task.losses[0]).criterion is None:
        return f"stop_when_solved=true: {name} has no criterion by which it is solved"
    if settings.stop_when_solved and settings.val_every is None:
        return "val_every=null: stop_when_solved=true needs validations on the way"
    return None


def _probe_problem(trainer: Trainer) -> str | None:
    """What is wrong with the probe in view of the task, or None."""
    try:
        inputs = trainer.probe_inputs()
    except ValueError as error:
        return f"probe.length={trainer.probe.length}: {error}"
    first, last = inputs.batch.first_output + 1, inputs.batch.time
    for name, measurement in trainer.probe.measurements.items():
        options = getattr(measurement.measure, "keywords", {})
        for τ in options.get("targets", ()):
            if τ != "last" and not first <= τ <= last:
                steps = f"at time step {last}" if first == last else f"at time steps {first} to {last}"
                return f"probe.measurements.{name}.targets={τ}: the probe has targets {steps}"
    return None
