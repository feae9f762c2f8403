"""Faults that are really caused: killed workers, interrupts, a tracker that is not there, races."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rnnlab.analysis.frames import read_gradients, read_metrics
from tests.commands import (
    ENDLESS,
    TINY,
    finish,
    metric_rows,
    run,
    run_info,
    wait_until,
    worker_of,
)
from tests.conftest import Starter
from tests.tracked import experiments, tracked_runs

SIZES = TINY[1:]
PLACE = ("tracking.uri='sqlite:///shared.db'", "tracking.experiment=together")


def recording(folder: Path) -> bool:
    """Whether a run has put more than its first steps on disk."""
    path = folder / "metrics.jsonl"
    return path.is_file() and path.read_bytes().count(b"\n") > 20


def folder_of(top: Path, name: str) -> Path:
    """The folder of a run of a sweep that goes on, once it is there."""
    found = wait_until(lambda: list(top.glob(f"multirun/*/*/{name}")), f"{name} starts")
    return Path(found[0])


def test_a_killed_worker_costs_its_own_run(start: Starter, tmp_path: Path) -> None:
    process = start(tmp_path, "-m", "steps=1000000,8000,12,13", *SIZES, "jobs=2")
    killed, beside = folder_of(tmp_path, "0_steps=1000000"), folder_of(tmp_path, "1_steps=8000")
    wait_until(lambda: recording(killed) and recording(beside), "both runs record")
    os.kill(wait_until(lambda: worker_of(process.pid, killed), "the worker is known"), signal.SIGKILL)
    done = finish(tmp_path, process)
    assert done.code == 1
    assert "failed: its worker process died" in done.out
    outcomes = {name: run_info(folder)["outcome"] for name, folder in done.runs.items()}
    assert outcomes == {
        "steps=1000000": "failed",
        "steps=8000": "finished",  # went on beside it
        "steps=12": "finished",  # had not started yet
        "steps=13": "finished",
    }
    statuses = {name: run.status for name, run in tracked_runs(done.uri).items()}
    assert statuses == {name: "FAILED" if name == "steps=1000000" else "FINISHED" for name in outcomes}
    assert run_info(killed)["summary"] == {"error": "its worker process died"}
    assert read_metrics(killed)["train/loss"].notna().sum() > 20


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_what_was_recorded(start: Starter, number: signal.Signals, tmp_path: Path) -> None:
    process = start(tmp_path, "-m", "cell=rnn,lstm", "seed=0,1", ENDLESS, "jobs=2", *SIZES)
    folders = [folder_of(tmp_path, "0_rnn_seed=0"), folder_of(tmp_path, "1_rnn_seed=1")]
    wait_until(lambda: all(map(recording, folders)), "both runs record")
    process.send_signal(number)
    done = finish(tmp_path, process)
    assert done.code == 130
    assert done.err == ""
    assert {run_info(path)["outcome"] for path in done.runs.values()} == {"killed"}
    assert done.out.count("not started") == 2
    for folder in folders:
        rows = metric_rows(folder)
        assert [row["step"] for row in rows] == list(range(len(rows)))
        assert read_gradients(folder)["step"].max() > 0
        assert run_info(folder)["summary"]["train/loss"] == rows[-1]["train/loss"]
        assert (folder / "weights.safetensors").is_file()
    tracked = tracked_runs(done.uri)
    assert {name: run.status for name, run in tracked.items()} == dict.fromkeys(done.runs, "KILLED")
    for name, folder in done.runs.items():
        last = metric_rows(folder)[-1]
        assert tracked[name].history["train/loss"][-1] == (last["step"], last["train/loss"])


def test_an_unreachable_server_costs_one_line(tmp_path: Path) -> None:
    done = run(tmp_path, *TINY, "tracking.uri=http://127.0.0.1:9")
    assert done.code == 0
    told = [line for line in done.out.splitlines() if "MLflow could not take the runs" in line]
    assert len(told) == 1 and "files are complete" in told[0]
    assert [run_info(path)["outcome"] for path in done.runs.values()] == ["finished"]


def test_a_database_that_cannot_be_opened_costs_one_line(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").mkdir()
    done = run(tmp_path, *TINY)
    assert (done.code, done.err) == (0, "")
    assert done.out.count("MLflow could not take the runs") == 1
    assert [run_info(path)["outcome"] for path in done.runs.values()] == ["finished"]


def test_commands_that_start_together_lose_nothing(tmp_path: Path) -> None:
    """On a fresh database file, and in one second: they share the file and no folder."""
    with ThreadPoolExecutor(4) as pool:
        ended = list(pool.map(lambda seed: run(tmp_path, "-m", f"seed={seed}", *TINY, *PLACE), range(4)))
    assert [(done.code, done.err) for done in ended] == [(0, "")] * 4
    assert len(list(tmp_path.glob("multirun/*/*/*/run.json"))) == 4
    uri = f"sqlite:///{tmp_path / 'shared.db'}"
    assert experiments(uri) == {"together": 4, "Default": 0}
    assert {run.status for run in tracked_runs(uri, "together").values()} == {"FINISHED"}
    assert not (tmp_path / "mlflow.db").exists()
    assert "-m rnnlab.ui --uri 'sqlite:///shared.db'" in ended[0].out


def test_a_run_never_goes_into_anothers_folder(tmp_path: Path) -> None:
    first = run(tmp_path, *TINY, "tracking=none", "hydra.run.dir=mine")
    before = (tmp_path / "mine" / "metrics.jsonl").read_bytes()
    second = run(tmp_path, *TINY, "tracking=none", "hydra.run.dir=mine")
    assert (first.code, second.code) == (0, 2)
    assert second.err == f"rnnlab: {tmp_path / 'mine'}: exists, and a run needs a folder of its own\n"
    assert (tmp_path / "mine" / "metrics.jsonl").read_bytes() == before


def test_workers_end_when_the_launcher_was_killed(start: Starter, tmp_path: Path) -> None:
    process = start(tmp_path, "-m", "seed=0,1", ENDLESS, "jobs=2", *SIZES, "tracking=none")
    folders = [folder_of(tmp_path, "0_seed=0"), folder_of(tmp_path, "1_seed=1")]
    wait_until(lambda: all(map(recording, folders)), "both runs record")
    workers = [worker_of(process.pid, folder) for folder in folders]
    assert None not in workers
    process.kill()
    process.communicate()
    wait_until(
        lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in workers), "the workers have ended"
    )
    assert [run_info(folder)["outcome"] for folder in folders] == ["killed", "killed"]
