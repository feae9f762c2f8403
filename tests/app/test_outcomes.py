"""Tests of divergence as a result: the run keeps its data and the sweep continues."""

from pathlib import Path

import pandas as pd
import pytest

from rnnlab.app.jobs.run_monitor import RunMonitor
from rnnlab.records import StepRecord
from tests.processes import TINY, Done, metric_rows, run, run_info
from tests.tracked import tracked_runs

WILD = ("optimizer=sgd", "clip=null", "lr=0.001,100,1e+38", "val_every=null")
TAME, UNSTABLE, DIVERGED = "lr=0.001", "lr=100", "lr=1e+38"


@pytest.fixture(scope="module")
def wild(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """A sweep over learning rates up to extreme values, mirrored to the store set in the environment."""
    folder = tmp_path_factory.mktemp("wild")
    uri = f"sqlite:///{folder / 'elsewhere.db'}"
    return run(folder, "-m", *WILD, *TINY, MLFLOW_TRACKING_URI=uri)


def test_the_sweep_continues_after_a_failure(wild: Done) -> None:
    assert (wild.code, wild.err) == (0, "")
    outcomes = {name: run_info(folder)["outcome"] for name, folder in wild.runs.items()}
    assert outcomes == {TAME: "finished", UNSTABLE: "unstable", DIVERGED: "diverged"}


def test_the_start_of_divergence_is_recorded(wild: Done) -> None:
    assert run_info(wild.runs[TAME])["summary"]["diverged_at"] is None
    at = run_info(wild.runs[DIVERGED])["summary"]["diverged_at"]
    before = at.pop("before")
    assert at == {"step": 2, "quantity": "loss", "timestep": 1}
    rows = metric_rows(wild.runs[DIVERGED])[:2]
    assert before == [{key: row[key] for key in ("step", "train/loss", "grad/norm")} for row in rows]
    (line,) = (line for line in wild.out.splitlines() if line.startswith("1e+38"))
    assert "diverged at step 2, time step 1: loss" in line


def test_recording_does_not_change_how_a_run_ends(tmp_path: Path) -> None:
    """Updates beyond float32 give infinite ratios, which are recorded as missing, and the run diverges."""
    axes = (
        "probe=none,standard",
        "optimizer=sgd",
        "clip=null",
        "lr=3e38",
        "init.W_xh.gain=1e5",
        "val_every=null",
        "tracking=none",
        "figures=false",
    )
    done = run(tmp_path, "-m", *axes, *TINY)
    infos = [run_info(folder) for folder in done.runs.values()]
    assert [info["outcome"] for info in infos] == ["diverged", "diverged"]
    assert infos[0]["summary"]["diverged_at"] == infos[1]["summary"]["diverged_at"]
    assert infos[0]["summary"]["diverged_at"]["timestep"] is None, "a parameter"


def test_a_summary_contains_no_outdated_value() -> None:
    monitor = RunMonitor()
    monitor.update(StepRecord(0, {"grad/log10_gain_tail": 0.5, "grad/zero_lag": None}))
    monitor.update(StepRecord(1, {"grad/norm": 1.0, "train/loss": 1.0}))
    assert monitor.summary(None)["regime"] == "exploding"
    monitor.update(StepRecord(2, {"grad/log10_gain_tail": None, "grad/gain_tail": 0.0, "grad/zero_lag": 3.0}))
    summary = monitor.summary(7)
    assert summary["grad/log10_gain_tail"] is None and summary["regime"] == "vanishing"
    assert summary["differs_since"] == 7


def test_a_diverged_run_keeps_its_recordings(wild: Done) -> None:
    folder = wild.runs[DIVERGED]
    rows = metric_rows(folder)
    assert [row["step"] for row in rows] == [0, 1, 2]
    assert rows[1]["train/loss"] > 0 and rows[2]["train/loss"] is None
    gradients = pd.read_parquet(folder / "gradients.parquet")
    assert set(gradients["step"]) == {0, 1, 2}, "the step that diverges is measured"
    first = gradients[(gradients["step"] == 0) & (gradients["quantity"] == "h")]
    assert len(first) and first["log10_gmean"].notna().all()
    assert (folder / "weights.safetensors").is_file() and (folder / "figures" / "loss.png").is_file()
    assert not (folder / "sample.txt").exists()


def test_an_unstable_run_continues_to_its_last_step(wild: Done) -> None:
    folder = wild.runs[UNSTABLE]
    assert [row["step"] for row in metric_rows(folder)] == list(range(13))
    since = run_info(folder)["summary"]["unstable_since"]
    assert since == 11  # the window covers this short run
    (line,) = (line for line in wild.out.splitlines() if line.startswith("100 "))
    assert f"unstable since step {since}" in line
    assert run_info(wild.runs[TAME])["summary"]["unstable_since"] is None


def test_mlflow_shows_the_outcome(wild: Done) -> None:
    assert not (wild.folder / "mlflow.db").exists()
    runs = tracked_runs(f"sqlite:///{wild.folder / 'elsewhere.db'}")
    outcomes = {name: run.tags["outcome"] for name, run in runs.items()}
    assert outcomes == {TAME: "finished", UNSTABLE: "unstable", DIVERGED: "diverged"}
    assert {run.status for run in runs.values()} == {"FINISHED"}
    assert [step for step, _ in runs[DIVERGED].history["train/loss"]] == [0, 1]


def test_no_infinite_value_is_sent_to_mlflow(wild: Done) -> None:
    for run_ in tracked_runs(f"sqlite:///{wild.folder / 'elsewhere.db'}").values():
        assert all(abs(value) < 1e300 for points in run_.history.values() for _, value in points)


def test_a_run_that_diverges_at_the_first_step_is_reported_too(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("at_once")
    done = run(folder, *TINY, "init.W_hh.gain=1e38", "cell.nonlinearity=identity", "tracking=none")
    assert (done.code, done.err) == (0, "")
    (info,) = map(run_info, done.runs.values())
    assert info["outcome"] == "diverged" and info["summary"]["diverged_at"]["step"] == 0
