"""Sweeps as tasks of a real Ray cluster."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rnnlab.analysis.frames.identity import find_differences
from tests.conftest import Starter
from tests.processes import TINY, Done, finish, run, run_info, wait_until, worker_of
from tests.surroundings import environment
from tests.tracked import tracked_runs

ON_RAY = ("hydra/launcher=ray",)
SIZES = ("hidden_size=16", "figures=false", "checkpoint_every=0.3")


def the_same(one: Done, other: Done) -> None:
    assert one.runs.keys() == other.runs.keys()
    for name in one.runs:
        assert find_differences(one.runs[name], other.runs[name]) == []


def test_a_killed_task_affects_only_its_run_and_is_resumed(start: Starter, tmp_path: Path) -> None:
    sweep = ("-m", "report=false", "seed=0,1,2", "steps=4000", *SIZES)
    (tmp_path / "here").mkdir(), (tmp_path / "there").mkdir()
    there = tmp_path / "there"
    process = start(there, *sweep, *ON_RAY)
    kept = wait_until(lambda: list(there.glob("multirun/*/*/0_*/checkpoint.safetensors")), "it is under way")
    os.kill(wait_until(lambda: worker_of(None, kept[0].parent), "its process is known"), signal.SIGKILL)
    done = finish(there, process)
    assert done.code == 1
    assert [run_info(folder)["outcome"] for folder in done.runs.values()] == [
        "failed",
        "finished",
        "finished",
    ]
    assert "Ray task lost (WorkerCrashedError" in done.out
    again = run(there, *sweep, *ON_RAY, "resume=true")
    assert again.code == 0 and "2 done, 1 to continue, 0 to start" in again.out
    the_same(run(tmp_path / "here", *sweep, "tracking=none"), again)
    assert {r.status for r in tracked_runs(again.uri).values()} == {"FINISHED"}


def test_ctrl_c_ends_the_tasks(start: Starter, tmp_path: Path) -> None:
    process = start(tmp_path, "-m", "seed=0,1,2", "steps=1000000", *SIZES, *ON_RAY, "jobs=2")
    wait_until(
        lambda: len(list(tmp_path.glob("multirun/*/*/*/checkpoint.safetensors"))) == 2, "two are under way"
    )
    process.send_signal(signal.SIGINT)
    done = finish(tmp_path, process)
    assert done.code == 130
    assert [run_info(folder)["outcome"] for folder in done.runs.values()] == ["killed", "killed"]
    assert done.out.count("not started") == 1
    assert all((folder / "checkpoint.safetensors").is_file() for folder in done.runs.values())


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[None]:
    """Start a Ray cluster before the sweep, and stop it afterwards."""
    ray = [sys.executable, "-m", "ray.scripts.scripts"]
    head = ["start", "--head", "--num-cpus=2", "--include-dashboard=false", "--node-ip-address=127.0.0.1"]
    subprocess.run([*ray, *head], env=environment(), check=True, capture_output=True)
    yield
    subprocess.run([*ray, "stop", "--force"], env=environment(), check=True, capture_output=True)


@pytest.mark.usefixtures("cluster")
def test_a_running_cluster_is_used_and_not_stopped(tmp_path: Path) -> None:
    auto = "hydra.launcher.init.address=auto"
    done = run(
        tmp_path, "-m", "cell=rnn,lstm", *TINY, *ON_RAY, auto, "hydra.launcher.init.include_dashboard=null"
    )
    assert done.code == 0 and "Traceback" not in done.err
    status = subprocess.run(
        [sys.executable, "-m", "ray.scripts.scripts", "status"],
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert status.returncode == 0 and "Active" in status.stdout


def test_a_missing_cluster_is_reported_in_one_line(tmp_path: Path) -> None:
    done = run(tmp_path, "-m", "seed=0", *TINY, *ON_RAY, "hydra.launcher.init.address=auto", "tracking=none")
    assert done.code == 2
    assert done.err.startswith("rnnlab: hydra.launcher.init: ") and len(done.err.splitlines()) == 1
