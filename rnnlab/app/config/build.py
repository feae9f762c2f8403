"""Construction of the configured objects: the experiment of a run, or a network alone.

All default values are defined in `conf/`; keys, types and bounds are those of `settings` and of the classes
that the options of the groups name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from rnnlab.app.config.groups import TaskCache, build_probe, class_and_values, construct
from rnnlab.app.config.memory_limit import LYAPUNOV, MEMORY_KEYS, memory_problem
from rnnlab.app.config.settings import SUPPLIED, Settings, dtype_of, read_settings
from rnnlab.app.config.uncertain_keys import NO_UNCERTAIN_KEYS, UncertainKeys
from rnnlab.app.config.validation import InvalidConfig
from rnnlab.arrays import Params
from rnnlab.cells import Cell, Stack
from rnnlab.clipping import Clipping
from rnnlab.initial_states import InitialState
from rnnlab.losses import Loss
from rnnlab.model import Model
from rnnlab.optimizers import Optimizer
from rnnlab.readout import Readout
from rnnlab.tasks import Task
from rnnlab.training import Trainer, memory_needed, obstacle

BYTES_PER_WEIGHT = 16
"""Memory for each weight of a new network: the drawn value in float64 and the converted one."""


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


def build(
    config: dict[str, Any],
    is_local: bool = True,
    tasks: TaskCache | None = None,
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
    probe = build_probe(config.get("probe"), dtype_of(config), problems)
    if s is None:
        for group, supplied in SUPPLIED.items():  # also report mistakes in the groups
            class_and_values(config, group, supplied, problems)
        raise InvalidConfig(problems)
    lengths = {"seq_len": s.seq_len, "batch_size": s.batch_size}
    task: Task | None = (tasks or TaskCache()).get(config, lengths, problems, uncertain)
    optimizer: Optimizer | None = construct(config, "optimizer", {"lr": s.lr}, problems, uncertain)
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
    initial_state: InitialState | None = construct(config, "initial_state", {}, problems, uncertain)
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
    cell: Cell | None = construct(config, "cell", sizes, problems, uncertain)
    if cell is None or s.layers == 1:
        return cell
    sizes["input_size"] = cell.output_size
    above: Cell | None = construct(config, "cell", sizes, problems, uncertain)
    return None if above is None else Stack.of([cell, *[above] * (s.layers - 1)], s.residual)


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
