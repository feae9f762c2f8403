"""Every metric of a run in one table, from which whatever lists metrics is made.

In a name, `<…>` stands for a part that varies, such as a parameter or a lag; a name of a run matches one row.
"""

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

from rnnlab.records import (
    CENSORED,
    CLIP_COEFFICIENT,
    CLIP_COSINE,
    CLIP_RATE,
    CLIPPED,
    CLIPPED_FRACTION,
    GAIN,
    GAIN_TAIL,
    GRAD_NORM,
    GRAD_NORM_CLIPPED,
    HORIZON,
    HORIZON_FIRST,
    LOG10_GAIN,
    LOG10_GAIN_TAIL,
    LOSS,
    NORM_QUANTILES,
    STEPS_PER_SECOND,
    STEPS_TO_SOLVE,
    THEORY_BOUND,
    THEORY_CELL_PATH,
    THEORY_DIFFERENCE,
    THEORY_LOG10_GAIN,
    TOP_LYAPUNOV,
    TOP_LYAPUNOV_SE,
    VAL_BASELINE,
    VAL_LOSS,
    VAL_SOLVED,
    ZERO_AT_HORIZON,
    ZERO_FRACTION,
    ZERO_LAG,
)

When = Literal["step", "validation", "recording", "end"]

VARIABLE_PARTS = {
    "matrix": "W_hh|W_xh|W_hy",
    "parameter": r"[^/]+",
    "other parameter": r"(?!(?:W_hh|W_xh|W_hy)$)[^/]+",
    "gate": "[^/]+",
    "number": r"\d{2,}",
    "lag": r"\d{4,}",
    "state": "(?!x_)[^/]+",
    "curve": "h|c|state|x",
    "layer": "h|c",
    "end": "first|last",
}
"""What may stand in place of `<…>`, as regular expressions."""


@dataclass(frozen=True)
class Metric:
    """A row: one metric, or a family of them.

    Attributes:
        name: As in `metrics.jsonl`, with `<…>` for the variable parts of a family.
        when: At every training step, at validations, at the recordings of a measurement, or only at the end.
        unit: Empty for a ratio of norms, which has none.
        meaning: One line.
        mlflow: Whether MLflow shows it.
        summary: Whether the summary in `run.json` holds its last value.
        x: The x axis of its chart in MLflow.
    """

    name: str
    when: When
    unit: str
    meaning: str
    mlflow: bool = True
    summary: bool = True
    x: str = "training step"

    @property
    def in_markdown(self) -> str:
        """The meaning in a cell of a Markdown table."""
        return self.meaning.replace("|", r"\|")

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Matches the names of the family as a whole."""
        parts = re.split("<([a-z ]+)>", self.name)
        parts[::2] = map(re.escape, parts[::2])
        parts[1::2] = [f"(?:{VARIABLE_PARTS[part]})" for part in parts[1::2]]
        return re.compile("".join(parts))


EVERY_STEP = (
    Metric(LOSS, "step", "nats per target, or half the squared error", "training loss of the step's batch"),
    Metric(GRAD_NORM, "step", "", "global norm of the gradient before clipping, over all parameters"),
    Metric(GRAD_NORM_CLIPPED, "step", "", "global norm of the gradient after clipping"),
    Metric(CLIP_RATE, "step", "share", "share of the steps so far whose gradient was clipped"),
    Metric(CLIP_COEFFICIENT, "step", "factor", "factor applied to the gradient, with `clip_mode=norm`"),
    Metric(CLIPPED_FRACTION, "step", "share", "share of the elements clipped, with `clip_mode=value`"),
    Metric(CLIP_COSINE, "step", "", "cosine similarity of the gradient before and after clipping"),
    Metric(CLIPPED, "step", "0 or 1", "whether this step's gradient was clipped", mlflow=False),
    Metric(STEPS_PER_SECOND, "step", "1/s", "speed of this step with recording and validation", False, False),
)
VALIDATION = (
    Metric(VAL_LOSS, "validation", "nats per target, or half the squared error", "mean loss of a target"),
    Metric("val/bpc", "validation", "bits per character", "`val/loss` / ln 2, of `char_lm`"),
    Metric("val/mse", "validation", "squared units of the target", "mean squared error, without the ½"),
    Metric("val/accuracy", "validation", "share", "share of images classified correctly, of `digits`"),
    Metric(
        "val/error_rate", "validation", "share", "share of sequences that are wrong by the task's criterion"
    ),
    Metric(
        VAL_BASELINE,
        "validation",
        "unit of the task's metric",
        "the task's metric without memory, or without looking at the inputs",
    ),
    Metric(VAL_SOLVED, "validation", "0 or 1", "whether the task's criterion is met"),
    Metric(STEPS_TO_SOLVE, "validation", "steps", "step of the first validation that meets the criterion"),
)
LAG_CURVE = (
    Metric(
        GAIN, "recording", "factor per time step", "gain, 10 to `grad/log10_gain`; 0 where g(K) is exactly 0"
    ),
    Metric(
        "grad/gain_short",
        "recording",
        "factor per time step",
        "short gain, 10 to `grad/log10_gain_short`; 0 where g is 0 at the last of its lags",
        mlflow=False,
    ),
    Metric(
        GAIN_TAIL,
        "recording",
        "factor per time step",
        "tail gain, 10 to `grad/log10_gain_tail`; 0 where g(K) is exactly 0",
        mlflow=False,
    ),
    Metric(
        LOG10_GAIN,
        "recording",
        "decades per time step",
        "slope of the least-squares line through log10 g(k), k = 1 … K; `null` where the gain is 0",
    ),
    Metric(
        "grad/r2", "recording", "share", "share of the variance explained by the line of `grad/log10_gain`"
    ),
    Metric(
        "grad/log10_gain_short", "recording", "decades per time step", "slope of log10 g(k) over k = 1 … 10"
    ),
    Metric(
        LOG10_GAIN_TAIL,
        "recording",
        "decades per time step",
        "slope of log10 g(k) over k ≥ K/2, which decides the regime",
    ),
    Metric(
        "grad/half_life",
        "recording",
        "time steps",
        "lags in which the gradient halves; 0 where the gain is 0, `null` where it does not decay",
        mlflow=False,
    ),
    Metric("grad/log10_decay", "recording", "decades", "log10 g(K)/g(1); `null` where g(K) is 0"),
    Metric(
        HORIZON,
        "recording",
        "time steps",
        "last lag k with g(k) ≥ g(1)/100, even after a dip; 0 where g(1) is 0",
    ),
    Metric(
        HORIZON_FIRST,
        "recording",
        "time steps",
        "lags before the first drop below 1 %: largest k with g ≥ g(1)/100 at all lags 1 … k",
    ),
    Metric(CENSORED, "recording", "0 or 1", "whether the horizon is K, so that the true one may be longer"),
    Metric(
        "grad/at_task_lag",
        "recording",
        "decades",
        "log10 g(k)/g(1) at the lag that the task needs; `null` where g is 0 there",
    ),
    Metric(ZERO_LAG, "recording", "time steps", "first lag at which every example's gradient is exactly 0"),
    Metric(
        ZERO_FRACTION,
        "recording",
        "share",
        "share of the probe's examples whose gradient is exactly 0 at lag K",
    ),
    Metric(
        ZERO_AT_HORIZON,
        "recording",
        "share",
        "share of the probe's examples whose gradient is exactly 0 at the horizon",
    ),
    Metric(
        "log10_<state>_by_lag/<lag>",
        "recording",
        "decades",
        "at lag 1 the level log10 g(1), at lags 2, 4, 8 … log10 g(k)/g(1); `state` is an LSTM's (h, c)",
        summary=False,
    ),
    Metric(
        "log10_x_by_lag/<lag>", "recording", "decades", "the same for the gradient at the input", False, False
    ),
)
NETWORK = (
    Metric("grad_norm/<parameter>", "recording", "", "‖dW‖ before clipping", False, False),
    Metric("weight_norm/<parameter>", "recording", "", "‖W‖", False, False),
    Metric("update_ratio/<matrix>", "recording", "", "‖ΔW‖/‖W‖ of `W_hh`, `W_xh`, `W_hy`", summary=False),
    Metric(
        "update_ratio/<other parameter>", "recording", "", "‖ΔW‖/‖W‖ of the other parameters", False, False
    ),
    Metric(
        "weights/spectral_radius", "recording", "", "largest modulus of an eigenvalue of W_hh", summary=False
    ),
    Metric("weights/spectral_norm", "recording", "", "largest singular value of W_hh", summary=False),
    Metric(
        "weights/spectral_radius.<gate>", "recording", "", "the same for the block of one gate", False, False
    ),
    Metric(
        "weights/spectral_norm.<gate>", "recording", "", "the same for the block of one gate", False, False
    ),
    Metric(TOP_LYAPUNOV, "recording", "nats per time step", "largest Lyapunov exponent"),
    Metric(
        TOP_LYAPUNOV_SE,
        "recording",
        "nats per time step",
        "standard error of `lyapunov/top`, from 10 blocks of time steps",
    ),
    Metric(
        "lyapunov/<number>",
        "recording",
        "nats per time step",
        "the following exponents, `02`, `03` …",
        mlflow=False,
    ),
    Metric("lyapunov/<number>_se", "recording", "nats per time step", "their standard errors", mlflow=False),
)
THEORY = (
    Metric(
        THEORY_LOG10_GAIN,
        "recording",
        "decades per time step",
        "mean-field prediction for the untrained network, ½ log10 χ",
    ),
    Metric(
        THEORY_DIFFERENCE, "recording", "decades per time step", "`grad/log10_gain` minus `theory/log10_gain`"
    ),
    Metric(
        THEORY_CELL_PATH,
        "recording",
        "decades per time step",
        "of an LSTM: mean log10 f, what the cell path alone keeps of a gradient at c",
    ),
    Metric(
        THEORY_BOUND,
        "recording",
        "decades per time step",
        "log10 of ‖W_hh‖₂ max|φ'|, which no step's gain exceeds",
    ),
    Metric("theory/sigma_w", "recording", "", "measured σ_w: √(H · mean W_hh²)", mlflow=False),
    Metric("theory/sigma_x", "recording", "", "measured σ_x: root mean square of W_xh x + b_h", mlflow=False),
    Metric("theory/q", "recording", "", "variance of the pre-activations", mlflow=False),
    Metric("theory/chi", "recording", "", "χ, growth of a gradient's squared norm a step back", mlflow=False),
    Metric("theory/depth", "recording", "time steps", "2/|ln χ|, e-folding time of the norm", mlflow=False),
    Metric("theory/critical_sigma_w", "recording", "", "σ_w at which χ = 1, for this σ_x", mlflow=False),
)
_QUANTILES = {0.5: "median", 1.0: "maximum"}
CLOSING = (
    *(
        Metric(
            name,
            "end",
            "",
            f"{_QUANTILES.get(q, f'quantile {q}')} of `{GRAD_NORM}` over all steps",
            x="last step",
        )
        for name, q in NORM_QUANTILES.items()
    ),
    Metric(
        "log10_<curve>_lag/<end>",
        "end",
        "decades",
        "the whole lag curve, log10 g(k), of the first or last recording; `c` and `state` of an LSTM only",
        summary=False,
        x="lag k",
    ),
    Metric(
        "log10_<layer>_time/<end>",
        "end",
        "decades",
        "total gradient of the training loss at h[t] or c[t], over the training batch",
        summary=False,
        x="time step t",
    ),
)
METRICS = (*EVERY_STEP, *VALIDATION, *LAG_CURVE, *NETWORK, *THEORY, *CLOSING)


@lru_cache(maxsize=10_000)
def metric_of(name: str) -> Metric | None:
    """The row of a metric; None for one that is not of the lab."""
    return next((metric for metric in METRICS if metric.pattern.fullmatch(name)), None)


def is_shown(name: str) -> bool:
    """Whether MLflow shows a metric."""
    metric = metric_of(name)
    return metric is not None and metric.mlflow


def is_per_step(name: str) -> bool:
    """Whether a metric has a value at every training step, of which MLflow gets `tracking.points`."""
    metric = metric_of(name)
    return metric is not None and metric.when == "step"


def is_in_summary(name: str) -> bool:
    """Whether a run's summary holds a metric's last value; it does those of a user's own measurement."""
    metric = metric_of(name)
    return metric is None or metric.summary
