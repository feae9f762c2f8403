"""Sweeps as jobs of a real Slurm cluster."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rnnlab.analysis.frames.identity import find_differences
from tests.cluster.services import slurm
from tests.conftest import Starter
from tests.processes import ENDLESS, TINY, Done, finish, run, run_info, wait_until, worker_of
from tests.tracked import tracked_runs

ON_SLURM = (
    "hydra/launcher=submitit_slurm",
    "hydra.launcher.partition=local",
    "hydra.launcher.poll_seconds=1",
)
SIZES = ("hidden_size=16", "figures=false", "checkpoint_every=0.3")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with slurm(tmp_path_factory.mktemp("cluster") / "slurm") as environment:
        yield {"SLURM_CONF": environment["SLURM_CONF"]}


def jobs(cluster: dict[str, str], folder: Path) -> dict[str, str]:
    """Return the ids of the running jobs by the name of the run folder."""
    listed = subprocess.run(
        ["squeue", "-h", "-r", "-t", "R", "-o", "%i"],
        env=cluster | {"PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(
        zip(
            sorted(p.parent.name for p in folder.glob("multirun/*/*/*/run.json")),
            listed.stdout.split(),
            strict=False,
        )
    )


def the_same(one: Done, other: Done) -> None:
    assert one.runs.keys() == other.runs.keys()
    for name in one.runs:
        assert find_differences(one.runs[name], other.runs[name]) == []


def test_a_sweep_gives_the_same_results_as_on_this_machine(cluster: dict[str, str], tmp_path: Path) -> None:
    sweep = ("-m", "cell=rnn,lstm", "seed=0,1", *TINY)
    (tmp_path / "here").mkdir(), (tmp_path / "there").mkdir()
    here = run(tmp_path / "here", *sweep, "tracking=none")
    there = run(tmp_path / "there", *sweep, *ON_SLURM, **cluster)
    assert (there.code, there.err) == (0, "")
    the_same(here, there)
    assert {r.status for r in tracked_runs(there.uri).values()} == {"FINISHED"}
    logs = list(there.folder.glob("multirun/*/*/.slurm/*/*_log.out"))
    assert len(logs) == 4


def test_a_killed_job_affects_only_its_run_and_is_resumed(
    cluster: dict[str, str], start: Starter, tmp_path: Path
) -> None:
    sweep = ("-m", "report=false", "seed=0,1,2", "steps=4000", *SIZES)
    (tmp_path / "here").mkdir(), (tmp_path / "there").mkdir()
    there = tmp_path / "there"
    process = start(there, *sweep, *ON_SLURM, **cluster)
    (kept,) = wait_until(
        lambda: list(there.glob("multirun/*/*/0_*/checkpoint.safetensors")), "it is under way"
    )
    os.kill(wait_until(lambda: worker_of(None, kept.parent), "its process is known"), signal.SIGKILL)
    done = finish(there, process)
    assert (done.code, done.err) == (1, "")
    outcomes = [run_info(folder)["outcome"] for folder in done.runs.values()]
    assert outcomes == ["failed", "finished", "finished"]
    assert re.search(r"Slurm job \d+_0 was lost, was killed or could not start \(/.*log.out\)", done.out)
    statuses = [r.status for r in tracked_runs(done.uri).values()]
    assert sorted(statuses) == ["FAILED", "FINISHED", "FINISHED"]
    again = run(there, *sweep, *ON_SLURM, "resume=true", **cluster)
    assert again.code == 0 and "2 done, 1 to continue, 0 to start" in again.out
    the_same(run(tmp_path / "here", *sweep, "tracking=none"), again)
    assert {r.status for r in tracked_runs(again.uri).values()} == {"FINISHED"}


def test_ctrl_c_cancels_the_jobs_and_the_same_command_resumes(
    cluster: dict[str, str], start: Starter, tmp_path: Path
) -> None:
    sweep = ("-m", "report=false", "seed=0,1,2,3", "steps=4000", *SIZES)
    (tmp_path / "here").mkdir(), (tmp_path / "there").mkdir()
    there = tmp_path / "there"
    process = start(there, *sweep, *ON_SLURM, **cluster)
    wait_until(
        lambda: len(list(there.glob("multirun/*/*/*/checkpoint.safetensors"))) >= 2, "two are under way"
    )
    process.send_signal(signal.SIGINT)
    done = finish(there, process)
    assert done.code == 130 and done.err == ""
    assert {run_info(folder)["outcome"] for folder in done.runs.values()} <= {"killed", "finished"}
    squeue = subprocess.run(
        ["squeue", "-h"], env=cluster | {"PATH": "/usr/bin"}, capture_output=True, text=True, check=True
    )
    assert squeue.stdout.split() == [] or " CG " in squeue.stdout
    again = run(there, *sweep, *ON_SLURM, "resume=true", **cluster)
    assert again.code == 0
    assert "Resuming" in again.out
    the_same(run(tmp_path / "here", *sweep, "tracking=none"), again)
    assert {r.status for r in tracked_runs(again.uri).values()} == {"FINISHED"}


def test_a_run_that_reaches_its_time_limit_keeps_its_state(
    cluster: dict[str, str], start: Starter, tmp_path: Path
) -> None:
    process = start(tmp_path, "-m", "seed=0", ENDLESS, "hidden_size=8", *ON_SLURM, **cluster)
    wait_until(lambda: list(tmp_path.glob("multirun/*/*/*/metrics.jsonl")), "it is under way")
    job = wait_until(lambda: next(iter(jobs(cluster, tmp_path).values()), None), "its job is known")
    # the signal that submitit requests before the time limit
    subprocess.run(["scancel", "--signal=USR2", job], env=cluster | {"PATH": "/usr/bin"}, check=True)
    done = finish(tmp_path, process)
    (folder,) = done.runs.values()
    assert (done.code, run_info(folder)["outcome"]) == (1, "killed")
    assert (folder / "checkpoint.safetensors").is_file()


def test_a_submission_that_slurm_refuses_is_reported_in_one_line(
    cluster: dict[str, str], tmp_path: Path
) -> None:
    done = run(
        tmp_path,
        "-m",
        "seed=0",
        *TINY,
        *ON_SLURM,
        "hydra.launcher.partition=nowhere",
        "tracking=none",
        **cluster,
    )
    assert done.code == 2
    assert done.err.startswith("rnnlab: hydra/launcher=submitit_slurm: ") and "invalid partition" in done.err
    assert len(done.err.splitlines()) == 1
