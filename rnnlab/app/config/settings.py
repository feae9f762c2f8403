"""Settings: types and bounds of the configuration keys outside the groups."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Len, Lt, MinLen

from rnnlab.app.config.validation import fields, validate
from rnnlab.initializers import Init
from rnnlab.losses import Loss
from rnnlab.training import RequestedEngine

SUPPLIED = {
    "cell": ("input_size", "hidden_size"),
    "task": ("seq_len", "batch_size"),
    "optimizer": ("lr",),
    "initial_state": (),
}
"""For each configuration group, the constructor arguments whose values come from keys outside the group."""
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


def read_settings(config: Mapping[str, Any], problems: list[str]) -> Settings | None:
    """Validate the top-level keys that are not groups; on failure, record the problems and return None."""
    plain = {key: value for key, value in config.items() if key not in (*SUPPLIED, "probe")}
    settings = validate(Settings.__name__, fields(Settings), plain, "", problems, dtype_of(config))
    return None if settings is None else Settings(**settings)


def dtype_of(config: Mapping[str, Any]) -> str:
    """Return the dtype in which numbers in a configuration must be finite; float64 if `dtype` is invalid."""
    return "float32" if config.get("dtype") == "float32" else "float64"
