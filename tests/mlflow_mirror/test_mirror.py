"""MLflow's content for the session's sweep, compared with the mirrored run folders."""

import re
from math import isfinite

import pandas as pd
import pytest

from rnnlab import __version__
from rnnlab.metric_table import EVERY_STEP
from rnnlab.mlflow_mirror.ledger import LEDGER_FILE
from rnnlab.records import CLIPPED_FRACTION
from tests.processes import Done, metric_rows, run_info
from tests.tracked import Tracked, experiments, tracked_runs

CELLS = pytest.mark.parametrize("cell", ["rnn", "lstm"])
BY_LAG = {"rnn": ["h"], "lstm": ["h", "c", "state"]}
CURVES = {
    "rnn": [("h", "lag"), ("x", "lag"), ("h", "time")],
    "lstm": [(name, "lag") for name in ("h", "c", "state", "x")] + [("h", "time"), ("c", "time")],
}
PER_STEP = [row.name for row in EVERY_STEP if row.mlflow and row.name != CLIPPED_FRACTION]
SUMMARY = [
    "grad/gain",
    "grad/log10_gain",
    "grad/log10_gain_short",
    "grad/log10_gain_tail",
    "grad/horizon",
    "grad/horizon_first",
    "grad/zero_fraction",
    "grad/zero_at_horizon",
    "grad/log10_decay",
    "grad/r2",
    "grad/censored",
]
OTHERS = {
    "rnn": [
        "theory/log10_gain",
        "theory/gap",
        "theory/log10_bound",
        "weights/spectral_radius",
        "weights/spectral_norm",
    ],
    "lstm": ["theory/log10_cell_path"],
}
EVERY_CELL = [
    "update_ratio/W_hh",
    "update_ratio/W_xh",
    "update_ratio/W_hy",
]
AT_THE_END = ["grad/norm_p50", "grad/norm_p90", "grad/norm_p99", "grad/norm_max"]
LAGS = ["0001", "0002", "0004", "0008"]


@pytest.fixture(scope="module")
def runs(sweep: Done) -> dict[str, Tracked]:
    return tracked_runs(sweep.uri)


def test_runs_are_complete_named_and_not_nested(sweep: Done, runs: dict[str, Tracked]) -> None:
    assert set(runs) == {"rnn", "lstm"}
    assert experiments(sweep.uri) == {"rnnlab": 2, "Default": 0}
    assert not any("mlflow.parentRunId" in run.tags for run in runs.values())


@CELLS
def test_tags_and_status(sweep: Done, runs: dict[str, Tracked], cell: str) -> None:
    run, folder = runs[cell], sweep.runs[cell].parent
    assert run.status == "FINISHED"
    assert run.tags["sweep"] == f"{folder.parent.name}_{folder.name}"
    assert run.tags["outcome"] == "finished"
    assert run.tags["regime"] in ("vanishing", "stable", "exploding")
    assert run.tags["rnnlab_version"] == __version__
    assert run.tags.get("git_commit") == run_info(sweep.runs[cell])["tags"].get("git_commit")
    assert f"cell={cell}" in run.tags["mlflow.source.name"]


def test_runs_have_colours_of_their_own(runs: dict[str, Tracked]) -> None:
    assert len({run.tags["mlflow.runColor"] for run in runs.values()}) == len(runs)


@CELLS
def test_params_are_the_keys_one_types(runs: dict[str, Tracked], cell: str) -> None:
    assert runs[cell].params == {
        "cell": cell,
        "task": "char_lm",
        "optimizer": "adam",
        "init": "torch",
        "initial_state": "zero",
        "probe": "standard",
        "seq_len": "9",
        "clip": "1.0",
        "clip_mode": "norm",
        "lr": "0.002",
        "hidden_size": "8",
        "layers": "1",
        "residual": "False",
        "batch_size": "4",
        "steps": "12",
        "seed": "0",
        "dtype": "float32",
        "val_every": "6",  # included because it was set
    }


@CELLS
def test_the_dataset_has_its_digest(sweep: Done, runs: dict[str, Tracked], cell: str) -> None:
    info = run_info(sweep.runs[cell])["dataset"]
    assert runs[cell].datasets == [(info["name"], info["digest"])]


@CELLS
def test_metric_keys(runs: dict[str, Tracked], cell: str) -> None:
    expected = {
        *PER_STEP,
        *SUMMARY,
        *OTHERS[cell],
        *EVERY_CELL,
        *AT_THE_END,
        "val/loss",
        "val/bpc",
        "val/baseline",
    }
    expected |= {f"log10_{quantity}_by_lag/{lag}" for quantity in BY_LAG[cell] for lag in LAGS}
    expected |= {f"log10_{quantity}_{x}/{when}" for quantity, x in CURVES[cell] for when in ("first", "last")}
    assert set(runs[cell].history) == expected
    assert max(map(len, runs[cell].history)) <= 23, "MLflow cuts longer chart titles"


@CELLS
def test_all_values_are_finite(runs: dict[str, Tracked], cell: str) -> None:
    assert all(isfinite(value) for points in runs[cell].history.values() for _, value in points)


@CELLS
def test_metrics_of_every_step_are_thinned_and_end_with_the_last(
    sweep: Done, runs: dict[str, Tracked], cell: str
) -> None:
    rows = {row["step"]: row for row in metric_rows(sweep.runs[cell])}
    for key in PER_STEP:  # 12 steps in at most 5 points: every third step and the last
        assert runs[cell].history[key] == [(step, rows[step][key]) for step in (0, 3, 6, 9, 11)]


@CELLS
def test_other_metrics_over_training_are_complete(sweep: Done, runs: dict[str, Tracked], cell: str) -> None:
    rows = metric_rows(sweep.runs[cell])
    by_lag = [f"log10_{quantity}_by_lag/{lag}" for quantity in BY_LAG[cell] for lag in LAGS]
    for key in ("val/loss", "val/bpc", *SUMMARY, *by_lag):
        assert runs[cell].history[key] == [(row["step"], row[key]) for row in rows if key in row]


@CELLS
@pytest.mark.parametrize(("when", "step"), [("first", 0), ("last", 12)])
def test_curves_have_the_lag_or_the_time_step_as_x(
    sweep: Done, runs: dict[str, Tracked], cell: str, when: str, step: int
) -> None:
    frame = pd.read_parquet(sweep.runs[cell] / "gradients.parquet").query(f"step == {step}")
    for quantity, name in CURVES[cell]:
        column, first = {"lag": ("lag", 0), "time": ("timestep", 1)}[name]
        curve = frame[(frame["quantity"] == quantity) & frame[column].notna()]
        points = runs[cell].history[f"log10_{quantity}_{name}/{when}"]
        assert points == list(zip(curve[column].astype(int), curve["log10_gmean"], strict=True))
        assert [x for x, _ in points] == list(range(first, first + 9))


@CELLS
def test_lags_over_training_are_relative_to_lag_1(runs: dict[str, Tracked], cell: str) -> None:
    history = runs[cell].history
    curve = dict(history["log10_h_lag/first"])
    assert history["log10_h_by_lag/0001"][0][1] == curve[1]
    for lag in (2, 4, 8):
        assert history[f"log10_h_by_lag/{lag:04d}"][0][1] == pytest.approx(curve[lag] - curve[1], rel=1e-12)


@CELLS
def test_the_folder_is_among_the_artifacts(sweep: Done, runs: dict[str, Tracked], cell: str) -> None:
    folder = sweep.runs[cell]
    files = {str(file.relative_to(folder)) for file in folder.rglob("[!.]*") if file.is_file()}
    assert LEDGER_FILE in files and not any("checkpoint" in name or ".arrow" in name for name in files)
    files.remove(LEDGER_FILE)  # records the data sent to this store
    assert {path for path in runs[cell].artifacts if not path.startswith("images/")} == files


@CELLS
def test_images_over_training_are_labelled_with_their_step(runs: dict[str, Tracked], cell: str) -> None:
    images = [path for path in runs[cell].artifacts if path.startswith("images/") and path.endswith(".png")]
    steps = sorted({int(re.search(r"[%+]step[%+](\d+)", path)[1]) for path in images})
    assert len(steps) == 5 and (steps[0], steps[-1]) == (0, 12)
