"""Types and names shared by training, tracking and analysis.

This module defines the records produced by training, the names of the metrics and the columns of the recorded
tables. A *step* counts parameter updates: a value recorded at step s describes the network after s updates,
and step 0 describes the network at initialisation. The *time steps* of a sequence are numbered from 1 to T.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal

from rnnlab.arrays import Array

Outcome = Literal["finished", "unstable", "diverged", "failed", "killed"]

ENDED: tuple[Outcome, ...] = ("finished", "unstable", "diverged")
"""Outcomes of completed runs; runs with any other outcome can be resumed."""

AXES = (
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
    "layers",
    "residual",
    "batch_size",
    "steps",
    "seed",
    "dtype",
)
"""Configuration keys that are shown as parameters of every run, in addition to the overridden keys."""

UNLIMITED = ("clip", "val_every", "checkpoint_every")
"""Keys whose null value means no limit, which is infinity in a data frame; `groupby` would drop NaN."""

# Files in a run folder.
RUN_FILE = "run.json"
CONFIG_FILE = "config.yaml"
METRICS_FILE = "metrics.jsonl"
GRADIENTS_FILE = "gradients.parquet"
WEIGHTS_FILE = "weights.safetensors"
DIFF_FILE = "code.diff"
FIGURES_FOLDER = "figures"
ARTIFACTS = "artifacts"  # folder in which MLflow stores the files of a run
TIMELINE_FOLDER = "timeline"
REPORT_FILE = "report.html"
"""File name of the report in a sweep folder."""

# Columns of `gradients.parquet`. Each row sets exactly one of timestep and lag. A row sets target only if its
# lag curve does not start at the last target. Layers are numbered from 1; layer 0 stands for all layers of a
# stack together. Only quantities by unit set unit, 1 … H. The other columns are statistics of a `Curve`, null
# where they are not finite.
GRADIENT_COLUMNS = (
    "step",
    "quantity",
    "layer",
    "unit",
    "timestep",
    "lag",
    "target",
    "mean",
    "median",
    "max",
    "log10_gmean",
    "zero_fraction",
)

LOSS = "train/loss"
VAL_LOSS = "val/loss"
VAL_BASELINE = "val/baseline"
VAL_SOLVED = "val/solved"
STEPS_TO_SOLVE = "steps_to_solve"
GRAD_NORM = "grad/norm"
GRAD_NORM_CLIPPED = "grad/norm_clipped"
CLIP_RATE = "grad/clip_rate"
CLIP_COEFFICIENT = "grad/clip_coefficient"
CLIPPED_FRACTION = "grad/clipped_fraction"
CLIPPED = "grad/clipped"
CLIP_COSINE = "grad/clip_cosine"
COSINE_TO_PREVIOUS = "grad/cosine_to_previous"
GAIN = "grad/gain"
GAIN_TAIL = "grad/gain_tail"
LOG10_GAIN = "grad/log10_gain"
LOG10_GAIN_TAIL = "grad/log10_gain_tail"
ZERO_LAG = "grad/zero_lag"
ZERO_FRACTION = "grad/zero_fraction"
ZERO_AT_HORIZON = "grad/zero_at_horizon"
HORIZON = "grad/horizon"
HORIZON_FIRST = "grad/horizon_first"
CENSORED = "grad/censored"
THEORY_LOG10_GAIN = "theory/log10_gain"
THEORY_CELL_PATH = "theory/log10_cell_path"
THEORY_DIFFERENCE = "theory/gap"
THEORY_BOUND = "theory/log10_bound"
TOP_LYAPUNOV = "lyapunov/top"
TOP_LYAPUNOV_SE = "lyapunov/top_se"
STEPS_PER_SECOND = "time/steps_per_second"
TIMING_COLUMNS = ("seconds", STEPS_PER_SECOND)
"""Columns of `metrics.jsonl` that contain timings, which differ between repetitions of the same run."""
NORM_QUANTILES = {"grad/norm_p50": 0.5, "grad/norm_p90": 0.9, "grad/norm_p99": 0.99, "grad/norm_max": 1.0}
"""Quantiles, over all training steps, of the global gradient norm before clipping; part of run summaries."""


def by_lag_key(quantity: str, lag: int) -> str:
    """Return the metric name for one lag of a curve; the names sent to MLflow have at most 23 characters."""
    return f"log10_{quantity}_by_lag/{lag:04d}"


@dataclass(frozen=True, eq=False)
class Curve:
    """Statistics of a nonnegative quantity over the examples of a batch, for each time step or lag.

    All arrays have the dtype float64 and the same length; NaN marks a missing value. A quantity that is
    defined only for the entire batch is treated as if it were the value of a single example.

    Attributes:
        quantity: Name of the measured quantity, as listed in docs/measurements.md.
        axis: `timestep` for the time steps of the training batch, or `lag` for lags counted back from
            `target`.
        index: Time steps 1 … T or lags 0 … K.
        mean: Arithmetic mean over examples.
        median: Median over examples.
        max: Maximum over examples.
        log10_gmean: Base-10 logarithm of the geometric mean over the examples with a nonzero value.
        zero_fraction: Fraction of the examples whose value is zero.
        target: Time step τ whose loss is backpropagated to compute a lag curve; None means the last target of
            each example.
        layer: Layer of the network, 1 … L from bottom to top; 0 for all layers of a stack together.
        unit: Unit of the layer, 1 … H; None for a norm over all units.
    """

    quantity: str
    axis: Literal["timestep", "lag"]
    index: Array
    mean: Array
    median: Array
    max: Array
    log10_gmean: Array
    zero_fraction: Array
    target: int | None = None
    layer: int = 1
    unit: int | None = None


@dataclass(frozen=True)
class FirstNonFinite:
    """Location of the first non-finite value in a run.

    Attributes:
        quantity: Name of the quantity, such as `h`, `loss`, `val/loss` or the gradient `d_W_hh`.
        timestep: Time step from 1 to T, 0 for an initial state, or None for a quantity without a time step.
    """

    quantity: str
    timestep: int | None


@dataclass(frozen=True)
class StepRecord:
    """Results of one training step.

    Attributes:
        step: Number of parameter updates made before this step.
        metrics: Metric values by name; None replaces a non-finite value.
        gradients: Curves for `gradients.parquet`; empty if the probe is not scheduled at this step.
        unstable_since: Step at which the smoothed loss first exceeded twice the chance-level loss, or None.
        non_finite: Location of the first non-finite value, set only on the last record of a diverged run.
    """

    step: int
    metrics: Mapping[str, float | None]
    gradients: Sequence[Curve] = field(default=())
    unstable_since: int | None = None
    non_finite: FirstNonFinite | None = None


def finite_or_none(value: float | None) -> float | None:
    """Return the value of a metric as a record stores it: None if the value is missing or not finite."""
    return None if value is None or not isfinite(value) else float(value)
