"""Every key of the configuration with its type and bounds, and the objects made from it.

Defaults live in `conf/` alone. A group whose option names a class (`_target_`) takes its keys, types
and bounds from that class, so a new cell or optimiser needs no line here.
"""

import dataclasses
import importlib
import json
import typing
from collections.abc import Collection
from dataclasses import dataclass
from inspect import isabstract
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, MinLen
from pydantic import ConfigDict, ValidationError, create_model

from rnnlab.cells import Cell
from rnnlab.clipping import Clipping
from rnnlab.diagnostics import Probe
from rnnlab.initial_states import InitialState
from rnnlab.initializers import Init
from rnnlab.losses import Loss
from rnnlab.model import Model
from rnnlab.optimizers import Optimizer
from rnnlab.readout import Readout
from rnnlab.tasks import Task
from rnnlab.training import Trainer

# inf and nan pass Hydra's typing; extra keys come in with a + in front.
_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

SUPPLIED = {
    "cell": ("input_size", "hidden_size"),
    "task": ("seq_len", "batch_size"),
    "optimizer": ("lr",),
    "initial_state": (),
}
"""What a group's class is given from elsewhere than the group's own keys."""


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
    uri: str | None
    experiment: Annotated[str, MinLen(1)]
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
    steps: Annotated[int, Ge(1)]
    seed: Annotated[int, Ge(0)]
    dtype: Literal["float32", "float64"]
    loss: Loss | None
    loss_reduction: Literal["mean", "sum"]
    readout_bias: bool
    val_every: Annotated[int, Ge(1)] | None
    jobs: Annotated[int, Ge(1)] | None
    init: Init
    probe: Probe
    tracking: Tracking


@dataclass(frozen=True)
class Experiment:
    """A configuration made real."""

    settings: Settings
    trainer: Trainer


class InvalidConfig(ValueError):
    """A configuration that breaks the schema, with a line for each problem."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


def build(config: dict[str, Any]) -> Experiment:
    """Check a configuration and make its objects.

    Raises:
        InvalidConfig: With a line for each key at fault: key, value and what is allowed.
    """
    plain = {key: value for key, value in config.items() if key not in SUPPLIED}
    problems: list[str] = []
    settings = _validated(Settings, plain, "", {}, problems)
    if settings is None:
        for group, supplied in SUPPLIED.items():  # their mistakes are told with the others
            _class_and_values(config, group, supplied, problems)
        raise InvalidConfig(problems)
    s = Settings(**settings)
    task: Task | None = _made(config, "task", {"seq_len": s.seq_len, "batch_size": s.batch_size}, problems)
    optimizer: Optimizer | None = _made(config, "optimizer", {"lr": s.lr}, problems)
    sizes = {"input_size": task.input_size if task else 1, "hidden_size": s.hidden_size}
    cell: Cell | None = _made(config, "cell", sizes, problems)
    initial_state: InitialState | None = _made(config, "initial_state", {}, problems)
    if task is None or optimizer is None or cell is None or initial_state is None:
        raise InvalidConfig(problems)
    readout = Readout(s.hidden_size, task.output_size, s.readout_bias)
    model = Model(cell, readout, initial_state, s.loss or task.loss, s.loss_reduction)
    try:
        for state in cell.states:
            initial_state.draw(state, (s.hidden_size, 1), np.random.default_rng(0))
    except ValueError as error:
        raise InvalidConfig([f"initial_state.{error}"]) from None
    clipping = Clipping(s.clip, s.clip_mode)
    return Experiment(s, Trainer(model, task, optimizer, clipping, s.probe, s.steps, s.val_every))


def generators(seed: int) -> tuple[np.random.Generator, np.random.Generator, np.random.Generator]:
    """Independent generators for the weights, the batches and the closing samples of a run."""
    weights, batches, samples = np.random.SeedSequence(seed).spawn(3)
    return np.random.default_rng(weights), np.random.default_rng(batches), np.random.default_rng(samples)


def _made(config: dict[str, Any], group: str, supplied: dict[str, Any], problems: list[str]) -> Any:
    """Make the object of a group, or note its problems and return None."""
    found = _class_and_values(config, group, supplied, problems)
    if found is None:
        return None
    cls, values = found
    try:
        return cls(**supplied, **values)
    except ValueError as error:
        problems.append(f"{group}.{error}" if "=" in str(error).split(":")[0] else f"{group}: {error}")
        return None


def _class_and_values(
    config: dict[str, Any], group: str, supplied: Collection[str], problems: list[str]
) -> tuple[type, dict[str, Any]] | None:
    """The class that a group names and its checked values, or None and the problems noted."""
    if not config.get(group):
        problems.append(f"{group}: missing")
        return None
    keys = dict(config[group])
    target = str(keys.pop("_target_", None) or "null")
    module, _, name = target.rpartition(".")
    if not target.startswith("rnnlab."):
        problems.append(f"{group}._target_={target}: must be a class of rnnlab")
        return None
    try:
        cls = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        cls = None
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)) or isabstract(cls):
        problems.append(f"{group}._target_={target}: no such class")
        return None
    values = _validated(cls, keys, f"{group}.", supplied, problems)
    return None if values is None else (cls, values)


def _validated(
    cls: type, values: dict[str, Any], prefix: str, supplied: Collection[str], problems: list[str]
) -> dict[str, Any] | None:
    """Check values against the annotations of a dataclass, leaving out its supplied fields."""
    hints = typing.get_type_hints(cls, include_extras=True)
    names = [f.name for f in dataclasses.fields(cls) if f.name not in supplied]
    fields: Any = {name: (hints[name], ...) for name in names}
    schema = create_model(cls.__name__, __config__=_STRICT, **fields)
    try:
        # JSON mode is strict about numbers and still makes nested dataclasses and tuples.
        checked = schema.model_validate_json(json.dumps(values))
    except ValidationError as error:
        problems += [_told(prefix, problem) for problem in error.errors()]
        return None
    return {name: getattr(checked, name) for name in names}


def _told(prefix: str, problem: Any) -> str:
    key = prefix + ".".join(str(part) for part in problem["loc"])
    match problem["type"]:
        case "missing":
            return f"{key}: missing"
        case "extra_forbidden" | "unexpected_keyword_argument":
            return f"{key}: no such key"
    value = problem["input"]
    shown = "null" if value is None else str(value).lower() if isinstance(value, bool) else value
    return f"{key}={shown}: {problem['msg'].replace('Input should be', 'must be')}"
