"""Faults that are really caused: killed workers, interrupts, a tracker that is not there, races."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from rnnlab.analysis.frames import read_gradients
from tests.commands import (
    ENDLESS,
    TINY,
    Done,
    finish,
    metric_rows,
    run,
    run_info,
    start,
    wait_until,
    worker_of,
)

SIZES = TINY[1:]


def statuses(done: Done) -> dict[str, str]:
    """The status of every run that MLflow knows, by name."""
    client = MlflowClient(done.uri)
    runs = client.search_runs([found.experiment_id for found in client.search_experiments()])
    return {found.info.run_name: found.info.status for found in runs}


def recording(folder: Path) -> bool:
    """Whether a run has put more than its first steps on disk."""
    path = folder / "metrics.jsonl"
    return path.is_file() and path.read_bytes().count(b"\n") > 20


def folder_of(top: Path, name: str) -> Path:
    """The folder of a run of a sweep that goes on, once it is there."""
    found = wait_until(lambda: list(top.glob(f"multirun/*/*/{name}")), f"{name} starts")
    return Path(found[0])


def test_a_killed_worker_costs_its_own_run(tmp_path: Path) -> None:
    process = start(tmp_path, "-m", "steps=1000000,12,13,14", *SIZES, "jobs=1")
    folder = folder_of(tmp_path, "0_steps=1000000")
    wait_until(lambda: recording(folder), "the run records")
    os.kill(wait_until(lambda: worker_of(process.pid, folder), "the worker is known"), signal.SIGKILL)
    done = finish(tmp_path, process)
    assert done.code == 1
    assert "its worker process died" in done.out
    outcomes = {name: run_info(path)["outcome"] for name, path in done.runs.items()}
    assert outcomes.pop("steps=1000000") == "failed"
    assert outcomes == {f"steps={steps}": "finished" for steps in (12, 13, 14)}
    assert statuses(done) == {name: "FINISHED" for name in outcomes} | {"steps=1000000": "FAILED"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_what_was_recorded(number: signal.Signals, tmp_path: Path) -> None:
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
    assert statuses(done) == {"rnn seed=0": "KILLED", "rnn seed=1": "KILLED"}


def test_an_unreachable_server_costs_one_line(tmp_path: Path) -> None:
    done = run(tmp_path, *TINY, "tracking.uri=http://127.0.0.1:9")
    assert done.code == 0
    told = [line for line in done.out.splitlines() if "MLflow could not take the runs" in line]
    assert len(told) == 1 and "files are complete" in told[0]
    assert [run_info(path)["outcome"] for path in done.runs.values()] == ["finished"]


def test_commands_that_start_together_lose_nothing(tmp_path: Path) -> None:
    """On a fresh database file, and in one second: they share the file and no folder."""
    with ThreadPoolExecutor(4) as pool:
        ended = list(pool.map(lambda seed: run(tmp_path, "-m", f"seed={seed}", *TINY), range(4)))
    assert [(done.code, done.err) for done in ended] == [(0, "")] * 4
    assert len(list(tmp_path.glob("multirun/*/*/*/run.json"))) == 4
    client = MlflowClient(ended[0].uri)
    by_name = {found.name: found.experiment_id for found in client.search_experiments()}
    assert len(client.search_runs([by_name["rnnlab"]])) == 4
    assert not client.search_runs([by_name["Default"]])


def test_a_run_never_goes_into_anothers_folder(tmp_path: Path) -> None:
    first = run(tmp_path, *TINY, "tracking=none", "hydra.run.dir=mine")
    before = (tmp_path / "mine" / "metrics.jsonl").read_bytes()
    second = run(tmp_path, *TINY, "tracking=none", "hydra.run.dir=mine")
    assert (first.code, second.code) == (0, 2)
    assert second.err == f"rnnlab: {tmp_path / 'mine'}: exists, and a run needs a folder of its own\n"
    assert (tmp_path / "mine" / "metrics.jsonl").read_bytes() == before


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    done = run(tmp_path, "-m", "seed=0,1", *TINY, "hydra.sweep.dir=file/sweep")
    assert done.code == 2
    assert done.err == f"rnnlab: {tmp_path / 'file' / 'sweep'}: cannot be made (Not a directory)\n"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_diverged_run_is_a_result(tmp_path: Path) -> None:
    relu = ("cell.nonlinearity=relu", "optimizer=sgd", "clip=null", "lr=1e6")
    done = run(tmp_path, "-m", "seed=0,1", *TINY, *relu, "probe.dense=3")
    assert (done.code, done.err) == (0, "")
    for name, folder in done.runs.items():
        info = run_info(folder)
        at = info["summary"]["diverged_at"]
        assert info["outcome"] == "diverged"
        assert f"diverged at step {at['step']}" in done.out
        assert metric_rows(folder)[-1]["step"] == at["step"] > 0
        assert read_gradients(folder)["step"].max() < at["step"]
        assert statuses(done)[name] == "FINISHED"


def test_a_run_that_stays_finite_and_learns_nothing_is_unstable(tmp_path: Path) -> None:
    done = run(tmp_path, *TINY, "optimizer=sgd", "clip=null", "lr=1000", "tracking=none")
    (folder,) = done.runs.values()
    info = run_info(folder)
    assert (done.code, info["outcome"]) == (0, "unstable")
    assert f"unstable since step {info['summary']['unstable_since']}" in done.out
    assert metric_rows(folder)[-1]["step"] == 12
