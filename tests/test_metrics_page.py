"""docs/metrics.md lists every metric that a run can have, and none besides."""

import re
from collections.abc import Iterator

import numpy as np
import pytest

from rnnlab.app.config.build import generators
from rnnlab.records import MLFLOW_METRICS, NORM_QUANTILES, STEPS_PER_SECOND
from tests.app.test_options import experiment_of
from tests.processes import ROOT, Done, metric_rows, run_info
from tests.tracked import tracked_runs

PAGE = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
PLACES = {"lag": r"\d{4}", "number": r"\d\d", "gate": "[a-z]", "quantity": "h|c|state|x"}
SMALL = ("steps=3", "hidden_size=4", "batch_size=3", "seq_len=9", "val_every=2", "probe.examples=2")
RUNS = (
    ("cell=rnn", "probe=full"),
    ("cell=lstm", "probe=full"),
    ("cell=gru", "probe=full", "initial_state=learned"),
    ("task=adding",),
    ("task=digits_rows", "seq_len=8"),
    ("task=latch", "steps=60", "seq_len=5", "val_every=10", "lr=0.05", "stop_when_solved=true"),
)


def pattern(name: str) -> re.Pattern[str]:
    """A name of the page, which what stands in `<…>` makes that of several metrics."""
    parts = re.split(r"<(\w+)>", name)
    parts[::2] = map(re.escape, parts[::2])
    parts[1::2] = [f"(?:{PLACES.get(part, r'[Wbhc]_[a-z0-9]+(?:[.][a-z])?')})" for part in parts[1::2]]
    return re.compile("".join(parts))


def rows() -> Iterator[tuple[str, bool]]:
    for names, cells in re.findall(r"^\| (`[^|]+`) \| (.+) \|$", PAGE, re.MULTILINE):
        for name in re.findall(r"`(.+?)`", names):
            yield name, cells.split(" | ")[1] == "•"


LISTED = {name: (pattern(name), shown) for name, shown in rows()}


def listed(metric: str) -> list[str]:
    return [name for name, (found, _) in LISTED.items() if found.fullmatch(metric)]


@pytest.fixture(scope="module")
def recorded() -> set[str]:
    """All metrics that these runs yield; a folder adds its own."""
    found = {STEPS_PER_SECOND}
    for overrides in RUNS:
        experiment = experiment_of(*SMALL, *overrides)
        weights, batches, _ = generators(0)
        params = experiment.trainer.model.init_params(weights, experiment.settings.init, np.float32)
        for record in experiment.trainer.train(params, batches):
            found |= record.metrics.keys()
    return found


def test_every_metric_has_one_row(recorded: set[str]) -> None:
    assert {metric: listed(metric) for metric in recorded if len(listed(metric)) != 1} == {}


def test_every_row_is_of_a_metric(recorded: set[str], sweep: Done) -> None:
    in_mlflow = {key for run in tracked_runs(sweep.uri).values() for key in run.history}
    missing = {
        name
        for name, (found, _) in LISTED.items()
        if not any(map(found.fullmatch, recorded | in_mlflow | NORM_QUANTILES.keys()))
    }
    assert missing == set()


def test_the_page_says_what_mlflow_has(recorded: set[str], sweep: Done) -> None:
    in_mlflow = {key for run in tracked_runs(sweep.uri).values() for key in run.history}
    assert {key for key in in_mlflow if len(listed(key)) != 1} == set()
    said = {name for name, (_, shown) in LISTED.items() if shown}
    assert {name for key in in_mlflow | set(MLFLOW_METRICS) for name in listed(key)} == said


def test_a_folder_and_its_summary_hold_nothing_else(sweep: Done) -> None:
    others = {"regime", "unstable_since", "diverged_at", "seconds"}
    for folder in sweep.runs.values():
        keys = {key for row in metric_rows(folder) for key in row} - {"step", "seconds"}
        assert {key for key in keys | run_info(folder)["summary"].keys() - others if not listed(key)} == set()
    assert all(f"`{key}`" in PAGE for key in others)
