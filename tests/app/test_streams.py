"""Tests of lost output: closed streams, full disks, broken pipes and lost terminals."""

import json
import os
import pty
import shlex
import subprocess
import sys
from collections.abc import Iterable
from itertools import cycle, product
from pathlib import Path
from typing import Any

import pytest

from tests.forked import fork_command
from tests.processes import ENDLESS, PATIENCE, TINY, Done, finish, run_info, wait_until
from tests.surroundings import environment, hear_signals
from tests.thorough import thorough

LOST = b"rnnlab: standard output cannot be written (No space left on device); the printed output is lost\n"
CLOSED = {
    "all closed": "<&- >&- 2>&-",
    "output closed": ">&-",
    "errors closed": "2>&-",
    "input closed": "<&-",
}
"""Redirections of streams that are closed before Python starts."""
FULL = {"output full": ("output",), "errors full": ("errors",), "both full": ("output", "errors")}
"""Streams that are connected to `/dev/full`."""
STREAMS = ("all closed", "output full", "both full", "output cut off")
RUN = f"{' '.join(TINY)} figures=false tracking=none"
PRINTING = (
    "rnnlab --help", "rnnlab --hydra-help", "rnnlab --cfg job", "rnnlab --info defaults", "rnnlab -sc install=bash",
    "rnnlab.sync --help", "rnnlab.show task=adding seq_len=5 --examples 1", "rnnlab.compare {rnn} {lstm}",
)  # fmt: skip
"""Commands that only print, so that lost output is a failure."""
WORKING = {
    f"rnnlab {RUN}": 0,
    f"rnnlab -m seed=0,1 {RUN}": 0,
    f"rnnlab -q {RUN}": 0,
    "rnnlab lr=-1": 2,
    "rnnlab.gradcheck cell=rnn seq_len=3 hidden_size=2 task=adding": 0,
    "rnnlab.report {sweep} --out report.html": 0,
    "rnnlab.sync {sweep}": 0,
    "rnnlab.repeat {rnn}": 0,
    "rnnlab.ui --uri http://127.0.0.1:9": 2,
}


def cases(commands: Iterable[str]) -> list[Any]:
    """Return all pairs of command and stream; pairs other than a covering selection are thorough tests.

    All commands handle lost output in the same code, `terminal/streams.py`, so the selection has two streams of the
    first command and one stream of each other command, in turn.
    """
    first, *others = commands
    selected = {(first, stream) for stream in STREAMS[:2]} | set(zip(others, cycle(STREAMS), strict=False))
    pairs = product((first, *others), STREAMS)
    return [pair if pair in selected else thorough(*pair) for pair in pairs]


def end_of(command: str, stream: str, folder: Path) -> tuple[int, bytes]:
    """Return the exit code of a command, and its standard error if that stream is intact."""
    if stream not in CLOSED:
        return end_of_forked(command, stream, folder)
    done = subprocess.run(
        ["bash", "-c", f"{shlex.quote(sys.executable)} -m {command} {CLOSED[stream]}"],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
        timeout=PATIENCE,
    )
    return done.returncode, done.stderr


def end_of_forked(command: str, stream: str, folder: Path) -> tuple[int, bytes]:
    """Do the same for a stream that is full or a pipe without a reader, which need no new interpreter."""
    if stream == "output cut off":
        reader, descriptor = os.pipe()
        os.close(reader)
        streams = {"output": descriptor}
    else:
        descriptor = os.open("/dev/full", os.O_WRONLY)
        streams = dict.fromkeys(FULL[stream], descriptor)
    process = fork_command(folder, *shlex.split(command), **streams)
    os.close(descriptor)
    done = finish(folder, process)
    return done.code, done.err.encode()


def filled_in(command: str, sweep: Done) -> str:
    places = {name: shlex.quote(str(sweep.runs[name])) for name in ("rnn", "lstm")}
    return command.format(sweep=shlex.quote(str(sweep.runs["rnn"].parent)), **places)


@pytest.mark.parametrize(
    ("command", "stream"),
    cases(PRINTING),
)
def test_a_command_that_only_prints_fails_if_its_output_cannot_be_written(
    command: str, stream: str, sweep: Done, tmp_path: Path
) -> None:
    code, errors = end_of(filled_in(command, sweep), stream, tmp_path)
    assert code == (1 if stream in ("output full", "both full") else 0)
    assert errors == (LOST if stream == "output full" else b"")


@pytest.mark.parametrize(
    ("command", "stream"),
    cases(WORKING),
)
def test_the_exit_code_does_not_depend_on_the_reader_of_the_output(
    command: str, stream: str, sweep: Done, tmp_path: Path
) -> None:
    code, errors = end_of(filled_in(command, sweep), stream, tmp_path)
    assert code == WORKING[command]
    assert b"Traceback" not in errors
    if code == 0:
        assert errors == (LOST if stream == "output full" else b"")
    if command.startswith(("rnnlab -", "rnnlab steps")) and code == 0:
        made = [run_info(file.parent)["outcome"] for file in tmp_path.rglob("run.json")]
        assert set(made) == {"finished"} and len(made) == (2 if "-m " in command else 1)


ONE_ALONE = {
    f"rnnlab {RUN}": (0, ()),
    "rnnlab.gradcheck cell=rnn seq_len=3 hidden_size=2 task=adding": (0, ("output closed", "input closed")),
    "rnnlab.repeat nothing": (2, ("errors closed", "errors full")),
}
"""Exit codes, and the streams that the command uses; other streams are thorough tests."""


@pytest.mark.parametrize(
    ("command", "stream"),
    [
        (command, stream) if stream in used else thorough(command, stream)
        for command, (_, used) in ONE_ALONE.items()
        for stream in ("output closed", "errors closed", "errors full", "input closed")
    ],
)
def test_one_lost_stream(command: str, stream: str, tmp_path: Path) -> None:
    assert end_of(command, stream, tmp_path)[0] == ONE_ALONE[command][0]


def test_the_console_script_is_the_same(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("rnnlab")
    if not script.exists():
        pytest.skip("not installed")
    for end, code in ((">/dev/full", 1), ("| head -n 0", 0), (">&- 2>&-", 0)):
        command = f"{shlex.quote(str(script))} --help {end}; exit ${{PIPESTATUS[0]}}"
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environment(), capture_output=True, check=False
        )
        assert (done.returncode, done.stderr) == (code, LOST if code else b"")


def test_a_closed_output_pipe_affects_no_run_of_a_sweep(database: None, tmp_path: Path) -> None:
    """Run with progress bars and colours, as in `FORCE_COLOR=1 … | less`, and with a report and MLflow."""
    command = [sys.executable, "-m", "rnnlab", "-m", "seed=0,1", *TINY, "steps=300", "report=true", "jobs=1"]
    command += ["figures=false"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment(FORCE_COLOR="1", TTY_COMPATIBLE="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    wait_until(lambda: list(tmp_path.rglob("metrics.jsonl")), "the first run records")
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(PATIENCE), errors) == (0, b"")
    assert [run_info(file.parent)["outcome"] for file in tmp_path.rglob("run.json")][:2] == ["finished"] * 2
    assert list(tmp_path.rglob("report.html"))


def test_a_closed_terminal_affects_no_run(tmp_path: Path) -> None:
    """Close the terminal without a hang-up, as for a disowned command; later writes fail."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "rnnlab", *TINY, "steps=2000", "figures=false", "tracking=none"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment(TERM="xterm"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=hear_signals,
    )
    os.close(theirs)
    try:
        wait_until(lambda: list(tmp_path.rglob("metrics.jsonl")), "the run records")
        os.close(ours)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
    (file,) = tmp_path.rglob("run.json")
    assert run_info(file.parent)["outcome"] == "finished"


def test_no_file_receives_the_descriptor_of_a_closed_stream(tmp_path: Path) -> None:
    """Otherwise a library's warning would go into the metrics file."""
    script = f"exec {shlex.quote(sys.executable)} -m rnnlab {ENDLESS} {' '.join(TINY[1:])} tracking=none <&- >&- 2>&-"
    process = subprocess.Popen(["sh", "-c", script], cwd=tmp_path, env=environment(), start_new_session=True)
    try:
        (metrics,) = wait_until(lambda: list(tmp_path.rglob("metrics.jsonl")), "the run records")
        everyone = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
        mine = [pid for pid in everyone if _session(pid) == process.pid]
        opened = {os.readlink(f"/proc/{pid}/fd/{number}") for pid in mine for number in (0, 1, 2)}
        assert len(mine) >= 2 and opened == {"/dev/null"}
        assert all(
            json.loads(line)
            for line in metrics.read_bytes().splitlines(keepends=True)
            if line.endswith(b"\n")
        )
        process.terminate()
        assert process.wait(PATIENCE) == 130
    finally:
        process.kill()
        process.wait()


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None
