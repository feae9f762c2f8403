"""The contract between those who train, those who track and those who analyse.

Here stand the types that training yields, the names of the metrics and the columns of the tables.
A *step* counts the updates made so far: what is recorded at step s belongs to the network after s
updates, so step 0 is the network as initialised. Inside a sequence, *time steps* count 1 … T.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from rnnlab.arrays import Array

Outcome = Literal["finished", "unstable", "diverged", "failed", "killed"]

ENDED: tuple[Outcome, ...] = ("finished", "unstable", "diverged")
"""Outcomes of runs that came to their own end; the others can be resumed."""

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
    "batch_size",
    "steps",
    "seed",
    "dtype",
)
"""Keys of the configuration that every run shows as parameters; what was overridden joins them."""

# The files of a run's folder.
RUN_FILE = "run.json"
CONFIG_FILE = "config.yaml"
METRICS_FILE = "metrics.jsonl"
GRADIENTS_FILE = "gradients.parquet"
WEIGHTS_FILE = "weights.safetensors"
DIFF_FILE = "code.diff"
FIGURES_FOLDER = "figures"
ARTIFACTS = "artifacts"  # the folder in which MLflow keeps the files of a run
TIMELINE_FOLDER = "timeline"
REPORT_FILE = "report.html"
"""Of a sweep."""

# One row of `gradients.parquet`. Exactly one of timestep and lag is set, target only for a lag curve that
# does not start at the last target; the others are the statistics of a `Curve`, null where not finite.
GRADIENT_COLUMNS = (
    "step",
    "quantity",
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
"""Of a row of `metrics.jsonl`: what is another at every repetition."""
NORM_QUANTILES = {"grad/norm_p50": 0.5, "grad/norm_p90": 0.9, "grad/norm_p99": 0.99, "grad/norm_max": 1.0}
"""Of the gradient's norm before clipping over all steps of a run, in its summary."""


def by_lag_key(quantity: str, lag: int) -> str:
    """The metric that follows one lag of a curve over training; in MLflow at most 23 characters."""
    return f"log10_{quantity}_by_lag/{lag:04d}"


@dataclass(frozen=True, eq=False)
class Curve:
    """Statistics over a batch's examples of one quantity that is never negative, along time steps or lags.

    Arrays are float64 of length N, NaN where a value does not exist. What belongs to a batch as a whole
    has one example.

    Attributes:
        quantity: What was measured; docs/measurements.md lists them.
        axis: `timestep` in the training batch, `lag` counted back from `target`.
        index: The time steps 1 … T or the lags 0 … K.
        mean: Arithmetic mean over examples.
        median: Median over examples.
        max: Largest example.
        log10_gmean: log10 of the geometric mean over the examples whose value is not zero.
        zero_fraction: Share of examples whose value is zero.
        target: Of a lag curve, the time step τ whose loss is sent back; None is each example's last.
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


@dataclass(frozen=True)
class FirstNonFinite:
    """Where a run's numbers stopped being finite.

    Attributes:
        quantity: What it was: `h`, `loss`, a gradient such as `d_h` or `d_W_hh`, `val/loss` …
        timestep: 1 … T (0: an initial state), or None for what has no time step.
    """

    quantity: str
    timestep: int | None


@dataclass(frozen=True)
class StepRecord:
    """What training yields for one step.

    Attributes:
        step: Updates made before this step.
        metrics: Values by metric name; None stands for a number that is not finite.
        gradients: What goes into `gradients.parquet`, empty outside the probe's schedule.
        unstable_since: The step at which the smoothed loss first exceeded twice the baseline.
        non_finite: Set on the record that ends a diverged run.
    """

    step: int
    metrics: Mapping[str, float | None]
    gradients: Sequence[Curve] = field(default=())
    unstable_since: int | None = None
    non_finite: FirstNonFinite | None = None
