"""Configuration schema (keys, types, bounds) and construction of the configured objects.

All default values are defined in `conf/`. If the selected option of a configuration group names a class
(`_target_`), that class defines the keys, types and bounds of the group. A new cell or optimiser requires no
change to this module.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, Len, Lt, MinLen

from rnnlab.app.config.memory_limit import LYAPUNOV, MEMORY_KEYS, memory_problem
from rnnlab.app.config.uncertain_keys import NO_UNCERTAIN_KEYS, UncertainKeys
from rnnlab.app.config.validation import (
    InvalidConfig,
    annotations,
    fields,
    pop_class,
    pop_function,
    validate,
)
from rnnlab.arrays import Params
from rnnlab.cells import Cell, Stack
from rnnlab.clipping import Clipping
from rnnlab.diagnostics import Measurement, Probe, Readings, Schedule, Snapshot
from rnnlab.initial_states import InitialState
from rnnlab.initializers import Init
from rnnlab.losses import Loss
from rnnlab.model import Model
from rnnlab.optimizers import Optimizer
from rnnlab.readout import Readout
from rnnlab.tasks import Task
from rnnlab.training import RequestedEngine, Trainer, memory_needed, obstacle
from rnnlab.user_files import UnreadableFile

SUPPLIED = {
    "cell": ("input_size", "hidden_size"),
    "task": ("seq_len", "batch_size"),
    "optimizer": ("lr",),
    "initial_state": (),
}
"""For each configuration group, the constructor arguments whose values come from keys outside the group."""
KINDS = {"cell": Cell, "task": Task, "optimizer": Optimizer, "initial_state": InitialState}
"""Interface that the class of each configuration group must implement."""
TASK_CACHE_SIZE = 4
"""Maximum number of tasks kept in memory while a sweep is checked; the data of a task may be large."""
BYTES_PER_WEIGHT = 16
"""Memory for each weight of a new network: the drawn value in float64 and the converted one."""
MAX_EXPERIMENT = 500
"""Maximum length of an MLflow experiment name, in characters."""


@dataclass(frozen=True)
class Tracking:
    """Settings for MLflow tracking; run folders are written regardless of these settings.

    Attributes:
        backend: `mlflow`, or `none` for run folders only.
        uri: MLflow tracking URI; None selects MLFLOW_TRACKING_URI, or `mlflow.db` in the current folder.
        experiment: Name of the MLflow experiment.
        points: Maximum number of points sent to MLflow for each per-step metric.
    """

    backend: Literal["mlflow", "none"]
    uri: Annotated[str, MinLen(1)] | None
    experiment: Annotated[str, Len(1, MAX_EXPERIMENT)]
    points: Annotated[int, Ge(2)]


@dataclass(frozen=True)
class Settings:
    """Values of the top-level configuration keys, excluding groups whose options name a class."""

    seq_len: Annotated[int, Ge(1)]
    clip: Annotated[float, Gt(0)] | None
    clip_mode: Literal["norm", "value"]
    lr: Annotated[float, Gt(0)]
    hidden_size: Annotated[int, Ge(1)]
    layers: Annotated[int, Ge(1), Le(100)]
    residual: bool
    batch_size: Annotated[int, Ge(1)]
    steps: Annotated[int, Ge(1), Lt(2**53)]
    seed: Annotated[int, Ge(0), Lt(2**63)]
    dtype: Literal["float32", "float64"]
    engine: RequestedEngine
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
    """Objects constructed from a configuration.

    Attributes:
        settings: Values of the top-level configuration keys that are not groups.
        trainer: Trainer constructed from the configuration.
        memory: Estimated memory needed for each part of training, in bytes.
    """

    settings: Settings
    trainer: Trainer
    memory: Mapping[str, int]


def read_settings(config: Mapping[str, Any], problems: list[str]) -> Settings | None:
    """Validate the top-level keys that are not groups; on failure, record the problems and return None."""
    plain = {key: value for key, value in config.items() if key not in (*SUPPLIED, "probe")}
    settings = validate(Settings.__name__, fields(Settings), plain, "", problems, dtype_of(config))
    return None if settings is None else Settings(**settings)


def dtype_of(config: Mapping[str, Any]) -> str:
    """Return the dtype in which numbers in a configuration must be finite; float64 if `dtype` is invalid."""
    return "float32" if config.get("dtype") == "float32" else "float64"


def build(
    config: dict[str, Any],
    is_local: bool = True,
    tasks: "TaskCache | None" = None,
    uncertain: UncertainKeys = NO_UNCERTAIN_KEYS,
) -> Experiment:
    """Validate a configuration and construct its objects.

    Args:
        config: Resolved configuration as dictionaries, lists and literal values.
        is_local: True if the run is executed on this machine and must therefore fit into the memory of this
            machine.
        tasks: Cache of tasks constructed by earlier calls.
        uncertain: Keys that have a default value because the value on the command line is a mistake. Problems
            that depend on such a value are not reported.

    Raises:
        InvalidConfig: If a key is invalid; the exception lists each invalid key with its value and the
            allowed values.
    """
    problems: list[str] = []
    s = read_settings(config, problems)
    probe = _probe(config.get("probe"), dtype_of(config), problems)
    if s is None:
        for group, supplied in SUPPLIED.items():  # also report mistakes in the groups
            _class_and_values(config, group, supplied, problems)
        raise InvalidConfig(problems)
    lengths = {"seq_len": s.seq_len, "batch_size": s.batch_size}
    task: Task | None = (tasks or TaskCache()).get(config, lengths, problems, uncertain)
    optimizer: Optimizer | None = _construct(config, "optimizer", {"lr": s.lr}, problems, uncertain)
    sizes = (task.input_size, task.output_size) if task else (1, 1)
    model = _model(config, s, *sizes, task.losses[0] if task else "squared_error", problems, uncertain)
    if task is None or optimizer is None or model is None or probe is None:
        raise InvalidConfig(problems)
    if problem := _task_problem(s, task, uncertain):
        raise InvalidConfig([problem])
    if s.engine == "compiled" and (reason := obstacle(model.cell)):
        raise InvalidConfig(uncertain.unless_affected([f"engine=compiled: {reason}"], "cell"))
    clipping = Clipping(s.clip, s.clip_mode)
    trainer = Trainer(model, task, optimizer, clipping, probe, s.steps, s.val_every, s.stop_when_solved)
    memory = memory_needed(trainer, s.dtype)
    if is_local and (problem := memory_problem(memory, _values_by_key(config))):
        raise InvalidConfig(uncertain.unless_affected([problem], *MEMORY_KEYS))
    _check_initial_state(config, s, model, uncertain)
    memory = memory_needed(trainer, s.dtype, task.probe_batch(np.random.default_rng(0), 1, task.time))
    if is_local and (problem := memory_problem(memory, _values_by_key(config))):
        raise InvalidConfig(uncertain.unless_affected([problem], *MEMORY_KEYS))
    if problem := _probe_problem(trainer):
        causes = ("task", "seq_len", "probe.length", "probe.examples", "probe.seed")
        raise InvalidConfig(uncertain.unless_affected([problem], *causes))
    return Experiment(s, trainer, memory)


def build_network(
    config: dict[str, Any], inputs: int, outputs: int, loss: Loss
) -> tuple[Settings, Model, Params]:
    """Validate a configuration, and construct its network with the initial parameters of a run.

    Args:
        config: Resolved configuration as dictionaries, lists and literal values; the task is ignored.
        inputs: Number X of input features.
        outputs: Number Y of outputs.
        loss: Loss function, unless the configuration sets `loss`.

    Raises:
        InvalidConfig: If a key is invalid.
    """
    problems: list[str] = []
    s = read_settings(config, problems)
    model = _model(config, s, inputs, outputs, loss, problems, NO_UNCERTAIN_KEYS) if s else None
    if s is None or model is None:
        raise InvalidConfig(problems)
    shapes = (*model.cell.param_shapes().values(), *model.readout.param_shapes().values())
    weights = sum(prod(shape) for shape in shapes) * BYTES_PER_WEIGHT
    if problem := memory_problem({"weights": weights}, _values_by_key(config)):
        raise InvalidConfig([problem])
    _check_initial_state(config, s, model, NO_UNCERTAIN_KEYS)
    return s, model, model.init_params(generators(s.seed)[0], s.init, np.dtype(s.dtype))


def _model(
    config: dict[str, Any],
    s: Settings,
    inputs: int,
    outputs: int,
    loss: Loss,
    problems: list[str],
    uncertain: UncertainKeys,
) -> Model | None:
    """Return the network; on failure, record the problems and return None."""
    cell = _network_cell(config, s, inputs, problems, uncertain)
    initial_state: InitialState | None = _construct(config, "initial_state", {}, problems, uncertain)
    if cell is None or initial_state is None:
        return None
    readout = Readout(cell.output_size, outputs, s.readout_bias)
    return Model(cell, readout, initial_state, s.loss or loss, s.loss_reduction)


def _check_initial_state(config: dict[str, Any], s: Settings, model: Model, uncertain: UncertainKeys) -> None:
    """Raise InvalidConfig unless the initial state has the sizes of the network and values in its range."""
    try:
        for state, size in model.cell.state_sizes.items():
            sample = model.initial_state.draw(state, (size, 1), np.random.default_rng(0))
            with np.errstate(over="ignore"):
                if not np.isfinite(sample.astype(s.dtype)).all():
                    raise ValueError(
                        f"{_source(config)}: values of the state {state} overflow to infinity in {s.dtype}"
                    )
    except ValueError as error:
        keys = ("initial_state", "cell", "hidden_size", "dtype")
        raise InvalidConfig(uncertain.unless_affected([f"initial_state.{error}"], *keys)) from None


def _network_cell(
    config: dict[str, Any], s: Settings, input_size: int, problems: list[str], uncertain: UncertainKeys
) -> Cell | None:
    """Return the cell, or a stack of `layers` cells; on failure, record the problems and return None."""
    sizes = {"input_size": input_size, "hidden_size": s.hidden_size}
    cell: Cell | None = _construct(config, "cell", sizes, problems, uncertain)
    if cell is None or s.layers == 1:
        return cell
    sizes["input_size"] = cell.output_size
    above: Cell | None = _construct(config, "cell", sizes, problems, uncertain)
    return None if above is None else Stack.of([cell, *[above] * (s.layers - 1)], s.residual)


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
        task: Task | None = _construct(config, "task", supplied, problems, uncertain)
        return task


def generators(seed: int) -> tuple[np.random.Generator, np.random.Generator, np.random.Generator]:
    """Return independent random number generators for the weights, batches and final samples of a run."""
    weights, batches, samples = np.random.SeedSequence(seed).spawn(3)
    return np.random.default_rng(weights), np.random.default_rng(batches), np.random.default_rng(samples)


def _source(config: dict[str, Any]) -> str:
    """Return the first key of `initial_state` other than `_target_`, in the form `key=value`."""
    keys = {key: value for key, value in config["initial_state"].items() if key != "_target_"}
    return next((f"{key}={value}" for key, value in keys.items()), "_target_")


def _values_by_key(config: dict[str, Any]) -> dict[str, Any]:
    """Return a flat dictionary of configuration keys and values, including the keys inside groups."""
    groups = {group: keys for group, keys in config.items() if isinstance(keys, dict)}
    inside = {f"{group}.{key}": value for group, keys in groups.items() for key, value in keys.items()}
    lyapunov = ((config.get("probe") or {}).get("measurements") or {}).get("lyapunov") or {}
    return config | inside | {LYAPUNOV: lyapunov.get("steps")}


def _construct(
    config: dict[str, Any],
    group: str,
    supplied: dict[str, Any],
    problems: list[str],
    uncertain: UncertainKeys,
) -> Any:
    """Construct the object for a configuration group; on failure, record the problems and return None."""
    result = _class_and_values(config, group, supplied, problems)
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


def _class_and_values(
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


def _probe(config: Any, dtype: str, problems: list[str]) -> Probe | None:
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


def _task_problem(settings: Settings, task: Task, uncertain: UncertainKeys) -> str | None:
    """Return a message if the task is incompatible with the settings, otherwise None."""
    if uncertain.affect("task", "loss"):
        return None
    name, stops = type(task).__name__, settings.stop_when_solved
    if settings.loss is not None and settings.loss not in task.losses:
        return f"loss={settings.loss}: must be {' or '.join(task.losses)} for the task {name}"
    if stops and task.goal(settings.loss or task.losses[0]).criterion is None:
        return f"stop_when_solved=true: the task {name} has no success criterion"
    if stops and settings.val_every is None:
        return "val_every=null: stop_when_solved=true requires validation during training"
    return None


def _probe_problem(trainer: Trainer) -> str | None:
    """Return a message if the probe is incompatible with the task, otherwise None."""
    try:
        inputs = trainer.probe_inputs()
    except ValueError as error:
        return f"probe.length={trainer.probe.length}: {error}"
    first, last = inputs.batch.first_output + 1, inputs.batch.time
    for name, measurement in trainer.probe.measurements.items():
        for τ in measurement.targets:
            if isinstance(τ, int) and not first <= τ <= last:
                steps = f"at time step {last}" if first == last else f"at time steps {first} to {last}"
                return f"probe.measurements.{name}.targets={τ}: the probe has targets only {steps}"
    return None
