"""Tests that the table of metrics has exactly one row for every metric that a run can record."""

import re
from collections.abc import Iterator

import numpy as np
import pytest

from docs import metric_tables
from rnnlab import records
from rnnlab.app.config.build import Experiment, generators
from rnnlab.metric_table import METRICS, is_per_step, is_shown, metric_of, without_layer
from rnnlab.mlflow_mirror.charts import FIRST_CHARTS
from rnnlab.mlflow_mirror.description import describe_run
from rnnlab.records import LOSS, NORM_QUANTILES, STEPS_PER_SECOND
from tests.app.test_options import DRAWN, LENGTH, OPTIONS, experiment_of
from tests.processes import Done, metric_rows, run_info
from tests.surroundings import ROOT
from tests.tracked import tracked_runs

PAGE = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
SMALL = ("steps=9", "hidden_size=4", "batch_size=3", "seq_len=9", "val_every=2", "probe.examples=2")
RUNS = (
    *((f"cell={cell}", "probe=full", "initial_state=learned") for cell in OPTIONS["cell"]),
    ("cell=lstm", "layers=2", "residual=true", "probe=full", "initial_state=learned"),
    ("cell=rnn", "layers=2", "probe=full"),
    ("task=adding", "clip_mode=value", "clip=0.01"),
    ("task=adding", "clip_mode=value", "clip=null"),
    ("task=latch", "steps=60", "seq_len=5", "val_every=10", "lr=0.05", "stop_when_solved=true"),
)
SUMMARY_FACTS = {"regime", "unstable_since", "diverged_at", "seconds"}
"""Keys of a summary that are not metrics."""


def train(experiment: Experiment) -> Iterator[dict[str, float | None]]:
    weights, batches, _ = generators(0)
    params = experiment.trainer.model.init_params(weights, experiment.settings.init, np.float32)
    return (dict(record.metrics) for record in experiment.trainer.train(params, batches))


def validation_metrics(task: str) -> set[str]:
    overrides = [f"task={task}", f"seq_len={LENGTH.get(task, 6)}", "hidden_size=4", "batch_size=3"]
    overrides += ["task.validation_examples=3"] if task in DRAWN else []
    experiment = experiment_of(*overrides)
    weights, _, _ = generators(0)
    params = experiment.trainer.model.init_params(weights, experiment.settings.init, np.float32)
    return set(experiment.trainer.validate(params))


@pytest.fixture(scope="module")
def metrics_of_runs() -> list[list[dict[str, float | None]]]:
    """Return the metrics of every training step of every run."""
    return [list(train(experiment_of(*SMALL, *overrides))) for overrides in RUNS]


@pytest.fixture(scope="module")
def names(metrics_of_runs: list[list[dict[str, float | None]]]) -> set[str]:
    """Return all metrics that runs yield, plus the training speed, which the run folder adds."""
    of_runs = {name for run in metrics_of_runs for metrics in run for name in metrics}
    return of_runs.union({STEPS_PER_SECOND}, *map(validation_metrics, OPTIONS["task"]))


@pytest.fixture(scope="module")
def in_mlflow(sweep: Done) -> set[str]:
    return {key for run in tracked_runs(sweep.uri).values() for key in run.history}


def rows_of(name: str) -> list[str]:
    return [row.name for row in METRICS if row.pattern.fullmatch(without_layer(name))]


def test_every_metric_has_one_row(names: set[str], in_mlflow: set[str]) -> None:
    matches = {name: rows_of(name) for name in names | in_mlflow | NORM_QUANTILES.keys()}
    assert {name: rows for name, rows in matches.items() if len(rows) != 1} == {}


def test_every_row_has_a_recorded_metric(names: set[str], in_mlflow: set[str]) -> None:
    matched = {row for name in names | in_mlflow | NORM_QUANTILES.keys() for row in rows_of(name)}
    assert {row.name for row in METRICS} - matched == set()
    assert len({row.name for row in METRICS}) == len(METRICS)


def test_every_name_in_records_has_a_row() -> None:
    constants = {value for key, value in vars(records).items() if key.isupper() and isinstance(value, str)}
    metrics = {value for value in constants if re.fullmatch(r"[a-z_]+/\w+|steps_to_solve", value)}
    assert LOSS in metrics and {name for name in metrics if metric_of(name) is None} == set()


def test_per_step_metrics_have_a_value_at_every_step(
    metrics_of_runs: list[list[dict[str, float | None]]],
) -> None:
    for run in metrics_of_runs:
        steps = [metrics for metrics in run if LOSS in metrics]
        names = {name for metrics in run for name in metrics}
        always = {name for name in names if all(name in metrics for metrics in steps)}
        per_step = {name for name in names if is_per_step(name)}
        assert always == per_step and len(names) > len(per_step)
    assert is_per_step(STEPS_PER_SECOND)


def test_clipping_records_either_its_coefficient_or_its_fraction(
    metrics_of_runs: list[list[dict[str, float | None]]],
) -> None:
    for overrides, run in zip(RUNS, metrics_of_runs, strict=True):
        by_value = "clip_mode=value" in overrides
        for metrics in run:
            assert ("grad/clip_coefficient" in metrics) == (LOSS in metrics and not by_value)
            assert ("grad/clipped_fraction" in metrics) == (LOSS in metrics and by_value)


def test_mlflow_has_the_metrics_marked_in_the_table(sweep: Done, in_mlflow: set[str]) -> None:
    written = {key for folder in sweep.runs.values() for row in metric_rows(folder) for key in row}
    missing = {key for key in written if is_shown(key)} - in_mlflow
    empty = {
        key
        for key in missing
        if all(row.get(key) is None for folder in sweep.runs.values() for row in metric_rows(folder))
    }
    assert missing == empty
    assert {key for key in in_mlflow if not is_shown(key)} == set()


def test_folder_and_summary_contain_only_listed_metrics(sweep: Done) -> None:
    for folder in sweep.runs.values():
        keys = {key for row in metric_rows(folder) for key in row} - {"step", "seconds"}
        assert {key for key in keys if metric_of(key) is None} == set()
        summary = run_info(folder)["summary"].keys() - SUMMARY_FACTS
        rows = {key: metric_of(key) for key in summary | keys}
        assert summary - NORM_QUANTILES.keys() == {key for key in keys if (row := rows[key]) and row.summary}
    assert all(f"`{key}`" in PAGE for key in SUMMARY_FACTS)


def test_charts_and_pages_follow_the_table() -> None:
    assert all(is_shown(name) for chart in FIRST_CHARTS for name in chart)
    description = describe_run({"outcome": None})
    assert [row.name for row in METRICS if row.mlflow] == re.findall(r"^\| `(.+?)` \|", description, re.M)
    assert re.findall("<!-- metrics: (.+) -->", PAGE) == list(metric_tables.TABLES)
    tables = "\n".join(map(metric_tables.table, metric_tables.TABLES))
    listed = re.findall(r"^\| `(.+?)` \| .+ \| (•?) \| .+ \|$", tables, re.M)
    assert listed == [(row.name, "•" if row.mlflow else "") for row in METRICS]


def test_mlflow_shows_metrics_of_layers_only_under_names_that_it_does_not_shorten(names: set[str]) -> None:
    shown = {name for name in names if is_shown(name) and name != without_layer(name)}
    assert {"grad/l2.gain", "grad/l1.horizon", "log10_l2.h_by_lag/0001"} <= shown
    assert max(map(len, shown)) <= 23 and "weights/l2.spectral_norm" in names - shown
