"""Tests with real faults: killed workers, interrupts, a missing tracking server, and races."""

import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from rnnlab.analysis.frames.run_tables import read_gradients, read_metrics
from rnnlab.app.config.run_paths import SWEEP_LOCK
from rnnlab.app.jobs.provenance import code
from rnnlab.mlflow_mirror.store import SQLITE_HEADER
from rnnlab.runs.log import SWEEP_LOG
from tests.conftest import Starter
from tests.processes import (
    ENDLESS,
    PATIENCE,
    TINY,
    children,
    end,
    finish,
    metric_rows,
    run,
    run_info,
    suspend,
    wait_until,
    worker_of,
)
from tests.surroundings import ROOT, environment
from tests.tracked import experiments, tracked_runs

SIZES = (*TINY[1:], "figures=false")
LITTLE = ("steps=12", *SIZES)
POINTS = 100_000
"""Recorded points in MLflow for a run of a million steps: one in ten."""
OUT_OF_THE_BLUE = "worker process died (SIGKILL; the system kills processes when memory runs out)"
QUICK = ("steps=3", *SIZES, "probe=none")
DIES_AT_ORDER = """\
import os, signal
from multiprocessing.connection import Connection

def die(connection):
    os.kill(os.getpid(), signal.SIGKILL)

os.register_at_fork(after_in_child=lambda: setattr(Connection, "recv", die))
"""
"""Module `sitecustomize` that kills a forked worker when it is about to read the order of its run."""
PLACE = ("tracking.uri='sqlite:///shared.db'", "tracking.experiment=together")


def recording(folder: Path) -> bool:
    """Return True if a run has saved more than its first steps."""
    path = folder / "metrics.jsonl"
    return path.is_file() and path.read_bytes().count(b"\n") > 20


def folder_of(top: Path, name: str) -> Path:
    """Return the folder of a run of an active sweep as soon as it exists."""
    found = wait_until(lambda: list(top.glob(f"multirun/*/*/{name}")), f"{name} starts")
    return Path(found[0])


@pytest.mark.usefixtures("database")
def test_a_killed_worker_affects_only_its_run(start: Starter, tmp_path: Path) -> None:
    process = start(tmp_path, "-m", "steps=1000000,3000,12,13", *SIZES, "jobs=2")
    killed, beside = folder_of(tmp_path, "0_steps=1000000"), folder_of(tmp_path, "1_steps=3000")
    wait_until(lambda: recording(killed) and recording(beside), "both runs record")
    os.kill(wait_until(lambda: worker_of(process.pid, killed), "the worker is known"), signal.SIGKILL)
    done = finish(tmp_path, process)
    assert done.code == 1
    assert f"failed: {OUT_OF_THE_BLUE}" in done.out
    outcomes = {name: run_info(folder)["outcome"] for name, folder in done.runs.items()}
    assert outcomes == {
        "steps=1000000": "failed",
        "steps=3000": "finished",  # continued in parallel
        "steps=12": "finished",  # not started yet
        "steps=13": "finished",
    }
    statuses = {name: run.status for name, run in tracked_runs(done.uri).items()}
    assert statuses == {name: "FAILED" if name == "steps=1000000" else "FINISHED" for name in outcomes}
    assert run_info(killed)["summary"] == {"error": OUT_OF_THE_BLUE}
    assert read_metrics(killed)["train/loss"].notna().sum() > 20


@pytest.mark.usefixtures("database")
def test_a_worker_that_dies_before_its_run_has_a_folder_is_recorded(start: Starter, tmp_path: Path) -> None:
    (tmp_path / "fault").mkdir()
    (tmp_path / "fault" / "sitecustomize.py").write_text(DIES_AT_ORDER)
    process = start(tmp_path, *LITTLE, PYTHONPATH=f"{tmp_path / 'fault'}{os.pathsep}{ROOT}")
    done = finish(tmp_path, process)
    assert done.code == 1
    (folder,) = done.runs.values()
    assert (run_info(folder)["outcome"], run_info(folder)["summary"]["error"]) == ("failed", OUT_OF_THE_BLUE)
    assert [run.status for run in tracked_runs(done.uri).values()] == ["FAILED"]
    again = run(tmp_path, *LITTLE, "resume=true")
    assert again.code == 0 and again.runs == done.runs
    assert [run.status for run in tracked_runs(done.uri).values()] == ["FINISHED"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.usefixtures("database")
def test_an_interrupt_keeps_what_was_recorded(start: Starter, number: signal.Signals, tmp_path: Path) -> None:
    places = ("-m", "cell=rnn,lstm", "seed=0,1", "jobs=2", f"tracking.points={POINTS}")
    process = start(tmp_path, *places, ENDLESS, *SIZES)
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
    for name, folder in done.runs.items():  # no point that the resumed run lacks
        rows, stride = metric_rows(folder), 1_000_000 // POINTS
        due = [(row["step"], row["train/loss"]) for row in rows if row["step"] % stride == 0]
        assert tracked[name].history["train/loss"] == due and len(due) > 1


NOT_SENT = re.compile(
    r"^Not fully sent to MLflow: 1 of 1 run.*\. "
    r"To send the remaining data, run: \S+ -m rnnlab\.sync (outputs/\S+)$",
    re.MULTILINE,
)


def test_an_unreachable_server_causes_a_warning_and_a_message(tmp_path: Path) -> None:
    done = run(tmp_path, *LITTLE, "tracking.uri=http://127.0.0.1:9")
    assert (done.code, done.err) == (0, "")
    assert done.out.count("MLflow does not accept the runs") <= 1
    (folder,) = done.runs.values()
    assert NOT_SENT.findall(done.out) == [str(folder.relative_to(tmp_path))]
    assert run_info(folder)["outcome"] == "finished"


def test_an_unreadable_database_is_reported_in_one_line_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(SQLITE_HEADER + b"and nothing that would follow")
    done = run(tmp_path, *LITTLE)
    assert (done.code, done.err) == (0, "")
    assert done.out.count("MLflow does not accept the runs") <= 1
    assert [run_info(path)["outcome"] for path in done.runs.values()] == ["finished"]
    (folder,) = NOT_SENT.findall(done.out)
    (tmp_path / "mlflow.db").unlink()
    sent = run(tmp_path, folder, module="rnnlab.sync")
    assert (sent.code, sent.out.splitlines()[-1]) == (0, "1 run: 1 sent")
    (tracked,) = tracked_runs(done.uri).values()
    assert tracked.status == "FINISHED" and len(tracked.history["train/loss"]) == 12


def test_commands_started_simultaneously_lose_no_runs(tmp_path: Path) -> None:
    """Three commands start within one second on a new database; they share the file but no folder."""
    with ThreadPoolExecutor(3) as pool:
        ended = list(pool.map(lambda seed: run(tmp_path, "-m", f"seed={seed}", *LITTLE, *PLACE), range(3)))
    assert [(done.code, done.err) for done in ended] == [(0, "")] * 3
    assert len(list(tmp_path.glob("multirun/*/*/*/run.json"))) == 3
    uri = f"sqlite:///{tmp_path / 'shared.db'}"
    assert experiments(uri) == {"together": 3, "Default": 0}
    assert {run.status for run in tracked_runs(uri, "together").values()} == {"FINISHED"}
    assert not (tmp_path / "mlflow.db").exists()
    assert "-m rnnlab.ui --uri sqlite:///shared.db" in ended[0].out


def test_a_run_never_uses_the_folder_of_another(tmp_path: Path) -> None:
    first = run(tmp_path, *LITTLE, "tracking=none", "hydra.run.dir=mine")
    before = (tmp_path / "mine" / "metrics.jsonl").read_bytes()
    second = run(tmp_path, *LITTLE, "tracking=none", "hydra.run.dir=mine")
    assert (first.code, second.code) == (0, 2)
    assert second.err == f"rnnlab: {tmp_path / 'mine'}: already in use; each run needs its own folder\n"
    assert (tmp_path / "mine" / "metrics.jsonl").read_bytes() == before


def test_workers_end_when_the_launcher_was_killed(start: Starter, tmp_path: Path) -> None:
    process = start(tmp_path, "-m", "seed=0,1", ENDLESS, "jobs=2", *SIZES, "tracking=none")
    folders = [folder_of(tmp_path, "0_seed=0"), folder_of(tmp_path, "1_seed=1")]
    wait_until(lambda: all(map(recording, folders)), "both runs record")
    workers = [worker_of(process.pid, folder) for folder in folders]
    assert None not in workers
    assert set(children(process.pid)) == set(workers)  # forked: a spawned worker needs a resource tracker
    opened = {os.readlink(file) for pid in workers for file in Path(f"/proc/{pid}/fd").iterdir()}
    assert not opened & {str(folders[0].parent / name) for name in (SWEEP_LOCK, SWEEP_LOG)}
    process.kill()
    process.communicate()
    wait_until(
        lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in workers), "the workers have ended"
    )
    assert [run_info(folder)["outcome"] for folder in folders] == ["killed", "killed"]


@pytest.mark.usefixtures("database")
def test_runs_of_a_killed_command_are_closed_by_the_next_one(start: Starter, tmp_path: Path) -> None:
    """The runs are marked as killed in their store by the next command."""
    process = start(tmp_path, "-m", "seed=0,1", ENDLESS, "jobs=2", *SIZES)
    folders = [folder_of(tmp_path, "0_seed=0"), folder_of(tmp_path, "1_seed=1")]
    entries = [folder / "mlflow.json" for folder in folders]
    wait_until(
        lambda: all(path.is_file() and '"position": 0' not in path.read_text() for path in entries),
        "MLflow has rows of both runs",
    )
    end(process)  # also its workers, so that no process records the outcome
    process.communicate()
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert {run.status for run in tracked_runs(uri).values()} == {"RUNNING"}
    assert [run_info(folder)["outcome"] for folder in folders] == [None, None]
    done = run(tmp_path, "hydra.run.dir=other", *QUICK)
    assert (done.code, done.err) == (0, "")
    assert (
        "Marked 2 runs from earlier commands as killed because their processes no longer exist."
        in done.out.splitlines()
    )
    statuses = {name: run.status for name, run in tracked_runs(uri).items()}
    name = run_info(tmp_path / "other")["name"]
    assert statuses == {"seed=0": "KILLED", "seed=1": "KILLED", name: "FINISHED"}
    for folder in folders:
        assert run_info(folder)["outcome"] == "killed"
        assert read_gradients(folder)["step"].max() > 0


def test_fail_fast_ends_all_when_one_fails(start: Starter, tmp_path: Path) -> None:
    process = start(
        tmp_path, "-m", "seed=0,1,2,3", ENDLESS, "jobs=2", "fail_fast=true", "tracking=none", *SIZES
    )
    failing, beside = folder_of(tmp_path, "0_seed=0"), folder_of(tmp_path, "1_seed=1")
    wait_until(lambda: recording(failing) and recording(beside), "both runs record")
    os.kill(wait_until(lambda: worker_of(process.pid, failing), "the worker is known"), signal.SIGKILL)
    done = finish(tmp_path, process)
    assert (done.code, done.err) == (1, "")
    assert {name: run_info(path)["outcome"] for name, path in done.runs.items()} == {
        "seed=0": "failed",
        "seed=1": "killed",
    }
    assert done.out.count("not started") == 2
    assert "4 runs did not finish; rerun with resume=true to continue." in done.out
    assert (beside / "checkpoint.safetensors").is_file() and (beside / "weights.safetensors").is_file()


MANY = "hidden_size=1500"
IN_THE_MIDDLE = {
    "a validation": ("task.held_out=0.5", "batch_size=1", MANY, "probe=none"),
    "a measurement": ("val_every=null", "probe=none", "+measurement=lyapunov", MANY,
                      "probe.measurements.lyapunov.steps=9000",
                      "probe.measurements.lyapunov.when={dense: 1, per_decade: 1, every: null, on_spike: false}"),
}  # fmt: skip
"""Runs whose first step takes longer than the time limit."""


@pytest.mark.parametrize("where", IN_THE_MIDDLE)
@pytest.mark.usefixtures("database")
def test_ctrl_c_ends_a_run_during_a_long_operation(start: Starter, where: str, tmp_path: Path) -> None:
    process = start(
        tmp_path, "-m", "seed=0,1", ENDLESS, "jobs=1", "seq_len=9", "figures=false", *IN_THE_MIDDLE[where]
    )
    folder = folder_of(tmp_path, "0_seed=0")
    worker = wait_until(lambda: worker_of(process.pid, folder), "the worker is known")
    process.send_signal(signal.SIGINT)
    done = finish(tmp_path, process)
    assert (done.code, done.err) == (130, "")
    assert run_info(folder)["outcome"] == "killed" and metric_rows(folder) == []
    assert done.out.count("not started") == 1
    assert not Path(f"/proc/{worker}/exe").exists()
    assert {name: run.status for name, run in tracked_runs(done.uri).items()} == {"seed=0": "KILLED"}


PATIENT = """
import sys
from rnnlab.__main__ import main
from rnnlab.app.launchers import pool

if __name__ == "__main__":
    pool.STOP_SECONDS = 1e9
    sys.exit(main())
"""


def test_a_second_ctrl_c_ends_all_processes_immediately(start: Starter, tmp_path: Path) -> None:
    """The second Ctrl-C also kills a suspended worker, for which the first one would wait forever."""
    (tmp_path / "patient.py").write_text(PATIENT)
    process = start(tmp_path, "-m", "seed=0,1", ENDLESS, "jobs=2", "tracking=none", *SIZES, module="patient")
    folders = [folder_of(tmp_path, "0_seed=0"), folder_of(tmp_path, "1_seed=1")]
    wait_until(lambda: all(map(recording, folders)), "both runs record")
    workers = [worker_of(process.pid, folder) for folder in folders]
    assert None not in workers
    everybody = children(process.pid)
    for pid in workers:
        suspend(pid or 0)
    process.send_signal(signal.SIGINT)
    wait_until(lambda: all(map(has_been_asked_to_end, workers)), "the workers are asked to end")
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    done = finish(tmp_path, process)
    assert (done.code, done.err) == (130, "")
    assert [run_info(folder)["outcome"] for folder in folders] == ["killed", "killed"]
    wait_until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in everybody), "nothing is left")
    assert read_metrics(folders[0])["train/loss"].notna().sum() > 20


def has_been_asked_to_end(pid: int | None) -> bool:
    """Return True if SIGTERM is pending for a suspended process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    pending = next(int(line.split()[1], 16) for line in lines if line.startswith("ShdPnd"))
    return bool(pending & 1 << (signal.SIGTERM - 1))


FULL = """
mkdir disk && mount -t tmpfs -o size={size}k none disk && {{
    {python} -m rnnlab -m {arguments} hydra.sweep.dir=disk/sweep checkpoint_every={often}
    code=$?; cp -r disk/sweep kept; exit $code
}}
"""


def can_mount() -> bool:
    made = "mkdir -p disk && mount -t tmpfs none disk"
    with TemporaryDirectory() as folder:
        command = ["unshare", "-rm", "sh", "-c", made]
        try:
            return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0
        except OSError:
            return False


@pytest.mark.skipif(not can_mount(), reason="needs a small disk, and this user may not mount one")
@pytest.mark.parametrize(("size", "often"), [(300, "null"), (200, "0")])
def test_a_full_disk_is_reported_in_one_line_and_no_data_are_lost(
    size: int, often: str, tmp_path: Path
) -> None:
    arguments = ("cell=rnn", "steps=1500", *SIZES, "tracking=none")
    size += len(code().diff.encode()) // 1024  # saved with every run
    script = FULL.format(size=size, often=often, python=sys.executable, arguments=" ".join(arguments))
    command = ["unshare", "-rm", "sh", "-c", script]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (1, "")
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("rnn "))
    assert re.search("failed: no space left on the disk", line)
    assert "Traceback" not in done.stdout and "rerun with resume=true to continue" in done.stdout
    (kept,) = (tmp_path / "kept").glob("0_*")
    before = read_metrics(kept)["step"].tolist()
    assert len(before) > 5 and before == list(range(len(before))) and len(before) < 1501

    resumed = run(tmp_path, "-m", *arguments, "resume=kept")  # on a disk with free space
    assert (resumed.code, resumed.err) == (0, "")
    assert run_info(kept)["outcome"] == "finished" and not (tmp_path / "multirun").exists()
    assert [row["step"] for row in metric_rows(kept)] == list(range(1501))
    assert set(read_gradients(kept)["step"]) >= {0, 1, 2, 3, 4, 1500}
