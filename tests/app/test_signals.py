"""Tests that send stop signals to real commands, whose resumed runs are bit-identical."""

import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.conftest import Starter
from tests.processes import (
    ENDLESS,
    PATIENCE,
    TINY,
    Done,
    children,
    finish,
    run,
    run_info,
    wait_until,
    worker_of,
)
from tests.processes import (
    start as started,
)
from tests.surroundings import environment, hear_signals
from tests.tracked import tracked_runs

SWEEP = (
    "-m",
    "seed=0,1",
    "jobs=2",
    "steps=2500",
    *TINY[1:],
    "figures=false",
    "val_every=null",
    "probe=light",
)
UNTRACKED = (*SWEEP, "tracking=none")
ANNOUNCING = [signal.SIGHUP, signal.SIGXCPU]
"""Signals of a terminal and of a cluster; `tests/test_signals.py` tests the others, which have the same handler."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the weights of the sweep's runs."""
    done = run(tmp_path_factory.mktemp("undisturbed"), *UNTRACKED)
    assert done.code == 0
    return weights(done)


def weights(done: Done) -> dict[str, bytes]:
    return {name: (folder / "weights.safetensors").read_bytes() for name, folder in done.runs.items()}


def recording(top: Path, runs: int = 2) -> bool:
    """Return True if this number of runs have saved more than their first steps."""
    files = list(top.rglob("metrics.jsonl"))
    return sum(file.read_bytes().count(b"\n") > 20 for file in files) == runs


def outcomes(top: Path) -> list[str]:
    return [run_info(file.parent)["outcome"] for file in sorted(top.rglob("run.json"))]


def checkpoints(top: Path) -> int:
    return len(list(top.rglob("checkpoint.safetensors")))


@pytest.mark.parametrize("number", ANNOUNCING)
def test_a_signal_to_all_processes_keeps_existing_results(
    start: Starter, number: signal.Signals, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """Send a signal as terminals and clusters do: after SIGCONT, and several times."""
    process = start(tmp_path, *UNTRACKED)
    wait_until(lambda: recording(tmp_path), "both runs record")
    for each in (signal.SIGCONT, number, number):
        os.killpg(process.pid, each)
    done = finish(tmp_path, process)
    assert (done.code, done.err) == (130, "")
    assert outcomes(tmp_path) == ["killed"] * 2 and checkpoints(tmp_path) == 2
    resumed = run(tmp_path, *UNTRACKED, "resume=true")
    assert (resumed.code, weights(resumed)) == (0, undisturbed)


@pytest.mark.usefixtures("database")
def test_mlflow_records_a_hangup(start: Starter, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    process = start(tmp_path, *SWEEP)
    wait_until(lambda: recording(tmp_path), "both runs record")
    os.killpg(process.pid, signal.SIGHUP)
    done = finish(tmp_path, process)
    assert (done.code, done.err) == (130, "")
    assert {run.status for run in tracked_runs(done.uri).values()} == {"KILLED"}
    resumed = run(tmp_path, *SWEEP, "resume=true")
    assert (resumed.code, weights(resumed)) == (0, undisturbed)
    assert {run.status for run in tracked_runs(done.uri).values()} == {"FINISHED"}


def test_a_terminal_hangup(undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    """Close the other side of the command's terminal, as a lost `ssh` connection does."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        hear_signals()
        os.execve(sys.executable, [sys.executable, "-m", "rnnlab", *UNTRACKED], environment(TERM="xterm"))
    wait_until(lambda: recording(tmp_path), "both runs record")
    everybody = children(pid)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 130
    wait_until(lambda: not any(Path(f"/proc/{child}/exe").exists() for child in everybody), "nothing is left")
    assert outcomes(tmp_path) == ["killed"] * 2 and checkpoints(tmp_path) == 2
    resumed = run(tmp_path, *UNTRACKED, "resume=true")
    assert (resumed.code, weights(resumed)) == (0, undisturbed)


def test_signals_ignored_by_nohup_stay_ignored(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    process = subprocess.Popen(
        ["nohup", sys.executable, "-m", "rnnlab", *UNTRACKED],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=hear_signals,
    )
    wait_until(lambda: recording(tmp_path), "both runs record")
    os.killpg(process.pid, signal.SIGHUP)
    done = finish(tmp_path, process)
    assert (done.code, weights(done)) == (0, undisturbed)


def test_sigquit_ends_the_command_immediately_and_workers_keep_their_recordings(
    start: Starter, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    process = start(tmp_path, *UNTRACKED)
    wait_until(lambda: recording(tmp_path), "both runs record")
    folders = [file.parent for file in tmp_path.rglob("metrics.jsonl")]
    workers = [worker_of(process.pid, folder) for folder in folders]
    os.killpg(process.pid, signal.SIGQUIT)
    assert finish(tmp_path, process).code == -signal.SIGQUIT
    wait_until(
        lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in workers), "the workers have ended"
    )
    assert outcomes(tmp_path) == ["killed"] * 2 and checkpoints(tmp_path) == 2
    resumed = run(tmp_path, *UNTRACKED, "resume=true")
    assert (resumed.code, weights(resumed)) == (0, undisturbed)


@pytest.mark.parametrize("after", [0.0, 0.4])
def test_a_signal_while_workers_start_leaves_no_failed_run(
    start: Starter, after: float, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    process = start(tmp_path, *UNTRACKED, preloaded=False)  # so that its workers still import libraries
    wait_until(
        lambda: len(children(process.pid)) >= 2, "a worker starts"
    )  # in addition to Python's resource tracker
    time.sleep(after)
    os.killpg(process.pid, signal.SIGHUP)
    done = finish(tmp_path, process)
    assert (done.code, done.err) == (130, "")
    assert set(outcomes(tmp_path)) <= {"killed"}
    resumed = run(tmp_path, *UNTRACKED, "resume=true")
    assert (resumed.code, weights(resumed)) == (0, undisturbed)


def test_the_time_limit_of_timeout_is_one_request(tmp_path: Path) -> None:
    """`timeout` signals the command and then its group; a second request would kill runs without a checkpoint.

    SIGALRM lets `timeout` act as at its limit, so that the limit passes exactly when both runs record.
    """
    arguments = [ENDLESS if key.startswith("steps=") else key for key in UNTRACKED]
    process = subprocess.Popen(
        ["timeout", str(PATIENCE), sys.executable, "-m", "rnnlab", *arguments],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=hear_signals,
    )
    wait_until(lambda: recording(tmp_path), "both runs record")
    process.send_signal(signal.SIGALRM)
    done = finish(tmp_path, process)
    assert (done.code, done.err) == (124, "")
    assert outcomes(tmp_path) == ["killed"] * 2 and checkpoints(tmp_path) == 2


@pytest.fixture
def hung() -> object:
    """Yield the address of a server that accepts connections but never responds."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            while True:
                try:
                    taken.append(server.accept()[0])
                except OSError:  # the connection was closed
                    return

        thread = threading.Thread(target=take)
        thread.start()
        yield taken, f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    thread.join()
    for connection in taken:
        connection.close()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_sync_ends_and_reports_the_remaining_runs(
    hung: tuple[list[socket.socket], str], number: signal.Signals, sweep: Done, tmp_path: Path
) -> None:
    taken, address = hung
    shutil.copytree(
        next(iter(sweep.runs.values())).parent, tmp_path / "sweep"
    )  # used by others at the same time
    process = started(tmp_path, "sweep", "--uri", address, module="rnnlab.sync")
    wait_until(lambda: taken, "the server is asked")
    process.send_signal(number)
    done = finish(tmp_path, process)
    assert (done.code, done.out) == (130, "2 runs: 2 not reached\n")
    assert done.err == "rnnlab.sync: interrupted; repeat the command to send the remaining runs\n"


@pytest.mark.parametrize("command", ["rnnlab.report {}", "rnnlab.repeat {}/0_rnn"])
def test_other_long_commands_end_in_silence(command: str, sweep: Done, tmp_path: Path) -> None:
    module, place = command.format(sweep.runs["rnn"].parent).split(" ", 1)
    output = ["--out", "page.html"] if "report" in module else []
    process = started(tmp_path, place, *output, module=module, preloaded=False)
    mapped = Path(f"/proc/{process.pid}/maps")
    wait_until(lambda: b"_multiarray_umath" in mapped.read_bytes(), "it has begun to load")
    wait_until(lambda: handles(process.pid, signal.SIGHUP) or process.poll() is not None, "it listens")
    process.send_signal(signal.SIGHUP)
    done = finish(tmp_path, process)
    assert (done.code, done.out, done.err) == (130, "", "")
    assert not (tmp_path / "page.html").exists()
    assert process.wait(PATIENCE) == 130


def handles(pid: int, number: signal.Signals) -> bool:
    """Return True if a process has a handler for a signal."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt"))
    return bool(caught & 1 << (number - 1))
