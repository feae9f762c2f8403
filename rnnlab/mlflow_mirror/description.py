"""The description at the top of a run's page in MLflow.

The description states the configuration and the results of the run, followed by the most important metrics
and a table of all others. MLflow displays it as Markdown. Text from the run folder appears only as inline
code, so it cannot contain links, images or HTML.

The last line is an invisible comment with a digest of the text. If a user edits the description in MLflow,
the digest no longer matches, and rnnlab leaves the description unchanged.
"""

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from rnnlab.metric_table import MAIN_METRICS, METRICS, Metric, metric_of
from rnnlab.mlflow_mirror.links import metrics_page
from rnnlab.records import CENSORED, HORIZON, HORIZON_FIRST, VAL_LOSS, ZERO_AT_HORIZON
from rnnlab.text import (
    append_notes,
    describe_outcome,
    format_dip,
    format_gain,
    format_metric,
    format_zero_share,
    gain_from_summary,
)

NOTE_TAG = "mlflow.note.content"
MAX_LENGTH = 5000
"""Maximum length of a tag on any MLflow server."""
MAIN_COUNT = 10
MAX_TEXT = 200
"""Maximum length of each text that comes from the run folder."""
SYMBOLS = {"seq_len": "T", "hidden_size": "H", "lr": "lr", "clip": "clip", "seed": "seed"}
_DIGEST = re.compile(r"\n\n\[//\]: # \(rnnlab ([0-9a-f]{12})\)$")


def describe_run(info: Mapping[str, Any], report: str | None = None) -> str:
    """Return the description of a run.

    Args:
        info: Content of `run.json`.
        report: MLflow's route to the report of the sweep; None if the sweep has no report.
    """
    params, summary = info.get("params") or {}, info.get("summary") or {}
    link = f" · [report of the sweep]({report})" if report else ""
    head = [_configuration(params) + link, _results(info, summary)]  # MLflow folds up all but a few lines
    if main := [name for name in MAIN_METRICS if summary.get(name) is not None][:MAIN_COUNT]:
        rows = [f"| `{name}` | {summary[name]:.6g} | {_meaning(metric_of(name))} |" for name in main]
        head.append("\n".join(["| metric | last value | meaning |", "| --- | --- | --- |", *rows]))
    head.append(
        f"**Figures**: artifacts → `figures/` (`lag_curves.png`, `time_heatmap.png` …) · {metrics_page()}\n\n"
        f"{_OTHERS}\n\n"
        "| metric | x axis, if not the training step | meaning |\n| --- | --- | --- |"
    )
    text = "\n\n".join(head)
    for row in METRICS:
        is_recorded = not main or "<" in row.name or summary.get(row.name) is not None
        x = "" if row.x == Metric.x else row.x
        line = f"\n| `{row.name}` | {x} | {_meaning(row)} |"
        if row.mlflow and is_recorded and row.name not in main and len(text + line) <= MAX_LENGTH - 50:
            text += line
    return f"{text}\n\n[//]: # (rnnlab {_digest(text)})"


def is_unedited(description: str | None) -> bool:
    """Return True if a description is empty or identical to one that rnnlab wrote."""
    if not description or description.startswith("\n**Figures**"):  # written by an earlier version
        return True
    found = _DIGEST.search(description)
    return found is not None and found[1] == _digest(description[: found.start()])


_OTHERS = "`gradients.parquet` contains all recordings. Norms are geometric means over the examples with a \
non-zero gradient. `c` is the cell state of an LSTM, `state` its full state, `x` the input."


def _configuration(params: Mapping[str, str]) -> str:
    values = ", ".join(f"{symbol} = {_code(params[key])}" for key, symbol in SYMBOLS.items() if key in params)
    return f"**Cell** {_code(params.get('cell', ''))}, **task** {_code(params.get('task', ''))}: {values}"


def _results(info: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    outcome = info.get("outcome")
    if outcome is None:
        return "**Running**: the results follow when the run ends."
    parts = [f"**Outcome**: {_code(describe_outcome(outcome, summary))}"]
    goal = info.get("goal") or {}
    metric = goal.get("metric", VAL_LOSS)
    value = summary.get(metric)
    if isinstance(value, int | float):  # not if a damaged file names a key that is not a metric
        row = metric_of(metric)
        unit = f" {row.unit}" if row and row.unit else ""
        baseline = f"baseline {format_metric(goal['baseline'])}" if goal.get("baseline") is not None else ""
        parts.append(f"**{_code(metric)}** {append_notes(format_metric(value) + unit, baseline)}")
    if gain_from_summary(summary) is not None:
        parts.append(f"**gain** {format_gain(summary)} per time step")
    if summary.get(HORIZON) is not None:
        parts.append(f"**horizon** {_horizon_in_words(summary)}")
    return " · ".join(parts)


def _horizon_in_words(summary: Mapping[str, Any]) -> str:
    horizon = summary[HORIZON]
    steps = "1 time step" if horizon == 1 else f"{horizon:.0f} time steps"
    notes = [format_dip(horizon, summary.get(HORIZON_FIRST)), format_zero_share(summary.get(ZERO_AT_HORIZON))]
    if summary.get(CENSORED):
        words = (
            f"at least {steps}: the gradient is above 1 % of its norm at lag 1 at the longest lag measured"
        )
    else:
        words = f"{steps}: at all longer lags, the gradient is below 1 % of its norm at lag 1"
    return append_notes(words, *notes)


def _meaning(metric: Metric | None) -> str:
    return "" if metric is None else metric.in_markdown


def _code(text: str) -> str:
    """Return text as inline code on one line, without characters that could end the code."""
    line = re.sub(r"[`<>|\s]+", " ", str(text)).strip()
    return f"`{line[:MAX_TEXT]}`" if line else "–"


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:12]
