"""The table of all metrics; charts, summaries and documentation are generated from its rows.

In a metric name, `<…>` stands for a variable part, such as a parameter or a lag. Each recorded metric matches
exactly one row of the table.
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
    COSINE_TO_PREVIOUS,
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

MAX_SHOWN = 23
"""Length of the longest chart title that MLflow shows completely."""
_LAYER = re.compile(r"(?<=[/_])l\d+\.")
VARIABLE_PARTS = {
    "matrix": r"W_[^/.]+",
    "parameter": r"[^/]+",
    "other parameter": r"(?!W_[^/.]+$)[^/]+",
    "gate": "[^/]+",
    "number": r"\d{2,}",
    "lag": r"\d{4,}",
    "state": "(?!x_)[^/]+",
    "curve": "[^/]+",
    "end": "first|last",
}
"""Regular expressions for the variable parts `<…>`."""


@dataclass(frozen=True)
class Metric:
    """One row of the metric table: a metric or a family of metrics.

    Attributes:
        name: Name of the metric in `metrics.jsonl`; in the name of a family, `<…>` stands for a variable
            part.
        when: Event at which the metric is recorded: a training step, a validation, a recording of the probe,
            or the end of the run.
        unit: Unit of the values; empty for norms and ratios of norms.
        meaning: Description in one line.
        mlflow: True if MLflow shows the metric.
        summary: True if the summary in `run.json` contains the last value of the metric.
        x: Label of the x axis in the MLflow chart.
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
        """Description with vertical bars escaped for a Markdown table."""
        return self.meaning.replace("|", r"\|")

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Regular expression that matches the complete name of each metric in the family."""
        parts = re.split("<([a-z ]+)>", self.name)
        parts[::2] = map(re.escape, parts[::2])
        parts[1::2] = [f"(?:{VARIABLE_PARTS[part]})" for part in parts[1::2]]
        return re.compile("".join(parts))


# fmt: off
EVERY_STEP = (
    Metric(LOSS, "step", "nats per target, or half the squared error", "training loss of the batch"),
    Metric(GRAD_NORM, "step", "", "global gradient norm before clipping, over all parameters"),
    Metric(GRAD_NORM_CLIPPED, "step", "", "global gradient norm after clipping"),
    Metric(CLIP_RATE, "step", "fraction",
           "clip rate: fraction of the training steps so far at which the gradient was clipped"),
    Metric(CLIP_COEFFICIENT, "step", "factor",
           "clip coefficient: factor by which clipping scales the gradient, for `clip_mode=norm`"),
    Metric(CLIPPED_FRACTION, "step", "fraction",
           "clipped fraction: fraction of gradient elements that are clipped, for `clip_mode=value`"),
    Metric(CLIP_COSINE, "step", "", "cosine similarity between the gradients before and after clipping"),
    Metric(CLIPPED, "step", "0 or 1",
           "1 if the gradient was clipped at this step, otherwise 0", mlflow=False),
    Metric(STEPS_PER_SECOND, "step", "1/s",
           "training steps per second, including time for recording and validation", False, False),
)
VALIDATION = (
    Metric(VAL_LOSS, "validation", "nats per target, or half the squared error",
           "mean validation loss per target"),
    Metric("val/bpc", "validation", "bits per character",
           "bits per character, `val/loss` / ln 2, for the task `char_lm`"),
    Metric("val/mse", "validation", "squared units of the target",
           "mean squared error, without the factor ½"),
    Metric("val/accuracy", "validation", "fraction",
           "fraction of images classified correctly, for the task `digits`"),
    Metric("val/error_rate", "validation", "fraction",
           "fraction of incorrectly predicted sequences, as defined by the task"),
    Metric(VAL_BASELINE, "validation", "unit of the task's metric",
           "baseline: value of the task's metric for a predictor without memory or without inputs"),
    Metric(VAL_SOLVED, "validation", "0 or 1", "1 if the task's success criterion is met, otherwise 0"),
    Metric(STEPS_TO_SOLVE, "validation", "steps",
           "training step of the first validation that meets the success criterion"),
)
LAG_CURVE = (
    Metric(GAIN, "recording", "factor per time step",
           "gain: 10 to the power of `grad/log10_gain`; 0 if g(K) is exactly 0"),
    Metric("grad/gain_short", "recording", "factor per time step",
           "short gain: 10 to the power of `grad/log10_gain_short`; 0 if g is 0 at the last lag of "
           "the fit", mlflow=False),
    Metric(GAIN_TAIL, "recording", "factor per time step",
           "tail gain: 10 to the power of `grad/log10_gain_tail`; 0 if g(K) is exactly 0", mlflow=False),
    Metric(LOG10_GAIN, "recording", "decades per time step",
           "slope of the least-squares line through log10 g(k) for k = 1 … K; `null` if the gain is 0"),
    Metric("grad/r2", "recording", "fraction",
           "fraction of the variance explained by the fit of `grad/log10_gain`"),
    Metric("grad/log10_gain_short", "recording", "decades per time step",
           "slope of the least-squares line through log10 g(k) for k = 1 … 10"),
    Metric(LOG10_GAIN_TAIL, "recording", "decades per time step",
           "slope, which determines the regime, of the least-squares line through log10 g(k) for k ≥ K/2"),
    Metric("grad/half_life", "recording", "time steps",
           "number of lags over which the gradient norm halves; 0 if the gain is 0, `null` if the gain is at "
           "least 1", mlflow=False),
    Metric("grad/log10_decay", "recording", "decades", "log10(g(K)/g(1)); `null` if g(K) is 0"),
    Metric(HORIZON, "recording", "time steps",
           "largest lag k with g(k) ≥ g(1)/100, even if g dips below g(1)/100 at a shorter lag; 0 if "
           "g(1) is 0"),
    Metric(HORIZON_FIRST, "recording", "time steps",
           "largest lag k such that g ≥ g(1)/100 at every lag from 1 to k"),
    Metric(CENSORED, "recording", "0 or 1",
           "1 if the horizon equals the largest lag K and is therefore only a lower bound"),
    Metric("grad/at_task_lag", "recording", "decades",
           "log10(g(k)/g(1)) at the lag k that the task requires; `null` if g(k) is 0"),
    Metric(ZERO_LAG, "recording", "time steps",
           "smallest lag at which every example's gradient is exactly 0"),
    Metric(ZERO_FRACTION, "recording", "fraction",
           "fraction of examples in the probe batch whose gradient is exactly 0 at the largest lag K"),
    Metric(ZERO_AT_HORIZON, "recording", "fraction",
           "fraction of examples in the probe batch whose gradient is exactly 0 at the horizon"),
    Metric("log10_<state>_by_lag/<lag>", "recording", "decades",
           "log10 g(1) at lag 1; log10(g(k)/g(1)) at lags k = 2, 4, 8 …; `state` is the pair (h, c) of "
           "an LSTM", summary=False),
    Metric("log10_x_by_lag/<lag>", "recording", "decades",
           "for the gradient with respect to the input x: log10 g(1) at lag 1; log10(g(k)/g(1)) at lags "
           "k = 2, 4, 8 …", False, False),
)
NETWORK = (
    Metric(COSINE_TO_PREVIOUS, "recording", "",
           "cosine of the angle between the gradient and that of the previous training step", summary=False),
    Metric("grad_norm/<parameter>", "recording", "", "gradient norm ‖dW‖ before clipping", False, False),
    Metric("weight_norm/<parameter>", "recording", "", "weight norm ‖W‖", False, False),
    Metric("update_ratio/<matrix>", "recording", "",
           "update-to-weight ratio ‖ΔW‖/‖W‖ of each matrix, such as `W_hh`", summary=False),
    Metric("update_ratio/<other parameter>", "recording", "",
           "update-to-weight ratio ‖ΔW‖/‖W‖ for all other parameters", False, False),
    Metric("weights/spectral_radius", "recording", "", "spectral radius of W_hh", summary=False),
    Metric("weights/spectral_norm", "recording", "",
           "spectral norm (largest singular value) of W_hh", summary=False),
    Metric("weights/spectral_radius.<gate>", "recording", "",
           "spectral radius of one gate's block of W_hh", False, False),
    Metric("weights/spectral_norm.<gate>", "recording", "",
           "spectral norm of one gate's block of W_hh", False, False),
    Metric(TOP_LYAPUNOV, "recording", "nats per time step", "largest Lyapunov exponent"),
    Metric(TOP_LYAPUNOV_SE, "recording", "nats per time step",
           "standard error of `lyapunov/top`, estimated from 10 blocks of time steps"),
    Metric("lyapunov/<number>", "recording", "nats per time step",
           "further Lyapunov exponents in descending order, numbered `02`, `03` …", mlflow=False),
    Metric("lyapunov/<number>_se", "recording", "nats per time step",
           "standard error of `lyapunov/<number>`", mlflow=False),
)
THEORY = (
    Metric(THEORY_LOG10_GAIN, "recording", "decades per time step",
           "mean-field prediction of `grad/log10_gain` for the untrained network, ½ log10 χ"),
    Metric(THEORY_DIFFERENCE, "recording", "decades per time step",
           "difference between measurement and theory, `grad/log10_gain` - `theory/log10_gain`"),
    Metric(THEORY_CELL_PATH, "recording", "decades per time step",
           "mean log10 f of an LSTM: decay of the gradient with respect to c along the direct path through "
           "the cell states"),
    Metric(THEORY_BOUND, "recording", "decades per time step",
           "log10 of ‖W_hh‖₂ max|φ'|, an upper bound on the gain per time step"),
    Metric("theory/sigma_w", "recording", "", "measured σ_w: √(H · mean W_hh²)", mlflow=False),
    Metric("theory/sigma_x", "recording", "", "measured σ_x: root mean square of W_xh x + b_h", mlflow=False),
    Metric("theory/q", "recording", "", "q, variance of the pre-activations", mlflow=False),
    Metric("theory/chi", "recording", "",
           "χ, factor by which the squared gradient norm changes per time step back in time", mlflow=False),
    Metric("theory/depth", "recording", "time steps",
           "2/|ln χ|, e-folding time of the gradient norm", mlflow=False),
    Metric("theory/critical_sigma_w", "recording", "",
           "critical σ_w: value of σ_w at which χ = 1 for the measured σ_x", mlflow=False),
)
_QUANTILES = {0.5: "median", 1.0: "maximum"}
CLOSING = (
    *(
        Metric(
            name,
            "end",
            "",
            f"{_QUANTILES.get(q, f'{q} quantile')} of `{GRAD_NORM}` over all training steps",
            x="last step",
        )
        for name, q in NORM_QUANTILES.items()
    ),
    Metric("log10_<curve>_lag/<end>", "end", "decades",
           "complete lag curve, log10 g(k), from the first or last recording; `c` and `state` only of an "
           "LSTM", summary=False, x="lag k"),
    Metric("log10_<state>_time/<end>", "end", "decades",
           "log10 of the norm of the total gradient of the training loss with respect to h[t] or c[t]",
           summary=False, x="time step t"),
)
# fmt: on
METRICS = (*EVERY_STEP, *VALIDATION, *LAG_CURVE, *NETWORK, *THEORY, *CLOSING)

MAIN_METRICS = (
    *(VAL_LOSS, "val/bpc", "val/mse", "val/accuracy", "val/error_rate", VAL_BASELINE),
    *(HORIZON, GAIN, LOG10_GAIN, "grad/log10_decay", GRAD_NORM, CLIP_RATE, LOSS, TOP_LYAPUNOV, VAL_SOLVED),
)
"""Metrics shown before all others, most important first; no run has all of them."""


@lru_cache(maxsize=10_000)
def metric_of(name: str) -> Metric | None:
    """Return the row of a metric, or None if the table does not contain the metric.

    The metric of a layer, such as `grad/l2.gain`, has the row of the metric without the layer.
    """
    name = without_layer(name)
    return next((metric for metric in METRICS if metric.pattern.fullmatch(name)), None)


def without_layer(name: str) -> str:
    """Return the name of a metric without the layer that it names.

    >>> without_layer("grad/l2.gain"), without_layer("log10_l2.h_by_lag/0004")
    ('grad/gain', 'log10_h_by_lag/0004')
    """
    return _LAYER.sub("", name)


def is_shown(name: str) -> bool:
    """Return True if MLflow shows the metric; it shows no metric of a layer whose name is too long."""
    metric = metric_of(name)
    fits = name == without_layer(name) or len(name) <= MAX_SHOWN
    return metric is not None and metric.mlflow and fits


def is_per_step(name: str) -> bool:
    """Return True if the metric has one value per training step; MLflow stores only some of these values."""
    metric = metric_of(name)
    return metric is not None and metric.when == "step"


def is_in_summary(name: str) -> bool:
    """Return True if the run summary contains a metric's last value, as for every user-defined metric."""
    metric = metric_of(name)
    return metric is None or metric.summary
