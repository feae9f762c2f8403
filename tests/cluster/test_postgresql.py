"""Eight workers and an MLflow server with PostgreSQL as its store."""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.services import MLflowServer, PostgreSQL
from tests.conftest import Starter
from tests.processes import TINY, finish, metric_rows, run, run_info, wait_until
from tests.tracked import experiments, tracked_runs


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[MLflowServer, PostgreSQL]]:
    database = PostgreSQL(tmp_path / "postgresql")
    try:
        mlflow = MLflowServer(tmp_path / "server", database.uri)
        yield mlflow, database
        mlflow.stop()
    finally:
        database.stop()


def test_a_sweep_on_eight_workers(server: tuple[MLflowServer, PostgreSQL], tmp_path: Path) -> None:
    mlflow, _ = server
    done = run(
        tmp_path, "-m", "cell=rnn,lstm", "seed=range(8)", *TINY, "jobs=8", f"tracking.uri={mlflow.uri}"
    )
    assert (done.code, done.err) == (0, "")
    assert experiments(mlflow.uri) == {"rnnlab": 16, "Default": 0}
    runs = tracked_runs(mlflow.uri)
    assert {r.status for r in runs.values()} == {"FINISHED"}
    for name, folder in done.runs.items():
        rows = {row["step"]: row["train/loss"] for row in metric_rows(folder) if "train/loss" in row}
        assert dict(runs[name].history["train/loss"]) == rows
        assert "gradients.parquet" in runs[name].artifacts


def test_a_database_failure_loses_no_data(
    server: tuple[MLflowServer, PostgreSQL], start: Starter, tmp_path: Path
) -> None:
    mlflow, database = server
    uri = f"tracking.uri={mlflow.uri}"
    process = start(
        tmp_path,
        "-m",
        "seed=range(4)",
        "steps=3000",
        "hidden_size=32",
        "jobs=2",
        "figures=false",
        "report=false",
        uri,
    )
    wait_until(lambda: experiments(mlflow.uri).get("rnnlab"), "the first run is in MLflow")
    database.kill()
    wait_until(
        lambda: len(list(tmp_path.glob("multirun/*/*/*/weights.safetensors"))) >= 2, "two runs have ended"
    )
    database.start()
    done = finish(tmp_path, process)
    assert done.code == 0
    assert [run_info(folder)["outcome"] for folder in done.runs.values()] == ["finished"] * 4
    assert run(tmp_path, "multirun", "--uri", mlflow.uri, module="rnnlab.sync").code == 0
    complete(mlflow.uri, done.runs)


def test_a_server_that_hangs_and_recovers_creates_no_run_twice(
    server: tuple[MLflowServer, PostgreSQL], start: Starter, tmp_path: Path
) -> None:
    mlflow, _ = server
    uri = f"tracking.uri={mlflow.uri}"
    mlflow.signal(signal.SIGSTOP)
    done = run(tmp_path, "-m", "seed=range(3)", *TINY, uri)
    assert done.code == 0
    assert done.out.count("rnnlab.sync") == 1
    mlflow.signal(signal.SIGCONT)
    wait_until(mlflow.answers, "the server answers again")
    for _ in range(2):
        assert run(tmp_path, "multirun", module="rnnlab.sync", MLFLOW_TRACKING_URI=mlflow.uri).code == 0
    complete(mlflow.uri, done.runs)
    copied = tmp_path / "copied"
    shutil.copytree(tmp_path / "multirun", copied)
    shutil.rmtree(tmp_path / "multirun")
    assert run(tmp_path, "copied", module="rnnlab.sync", MLFLOW_TRACKING_URI=mlflow.uri).code == 0
    assert experiments(mlflow.uri)["rnnlab"] == 3


def complete(uri: str, folders: dict[str, Path]) -> None:
    """Check that MLflow has every run once, with every value of its folder once."""
    assert experiments(uri)["rnnlab"] == len(folders)
    runs = tracked_runs(uri)
    for name, folder in folders.items():
        rows = metric_rows(folder)
        assert runs[name].status == "FINISHED"
        steps = max(1, -(-run_info(folder)["steps"] // 500))
        shown = [(r["step"], r["train/loss"]) for r in rows if "train/loss" in r and r["step"] % steps == 0]
        last = [(r["step"], r["train/loss"]) for r in rows if "train/loss" in r][-1:]
        assert runs[name].history["train/loss"] == shown + [point for point in last if point not in shown]
        assert runs[name].history["val/loss"] == [(r["step"], r["val/loss"]) for r in rows if "val/loss" in r]
