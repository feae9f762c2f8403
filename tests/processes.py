"""Commands as a user types them, each in a separate process, and the runs that the commands write."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.forked import ForkedCommand, fork_command
from tests.spare import NAME
from tests.surroundings import environment, hear_signals

TINY = ("steps=12", "hidden_size=8", "batch_size=4", "seq_len=9", "report=false")
ENDLESS = "steps=1000000"
PATIENCE = 90
"""Time limit for a command in seconds, far longer than any command takes."""


@dataclass(frozen=True)
class Done:
    """Exit code, output and runs of a finished command."""

    folder: Path
    code: int
    out: str
    err: str

    @cached_property
    def runs(self) -> dict[str, Path]:
        """Folders of all runs of the command by run name, ordered by run number."""
        tops = (self.folder / "outputs", self.folder / "multirun")
        folders = [file.parent for top in tops for file in sorted(top.rglob("run.json"))]
        return {run_info(folder)["name"]: folder for folder in folders}

    @property
    def uri(self) -> str:
        """Default tracking URI of MLflow."""
        return f"sqlite:///{self.folder / 'mlflow.db'}"


def run(folder: Path, *arguments: str, module: str = "rnnlab", **settings: str) -> Done:
    """Run `python -m module` in a folder and wait until the process ends."""
    return finish(folder, start(folder, *arguments, module=module, preloaded=True, **settings))


Command = subprocess.Popen[str] | ForkedCommand


def start(
    folder: Path, *arguments: str, module: str = "rnnlab", preloaded: bool = True, **settings: str
) -> Command:
    """Start `python -m module` in a folder.

    A command of rnnlab without settings of its environment is a `ForkedCommand`, unless `preloaded` is False
    because the test is about a command that still imports its libraries.
    """
    if preloaded and not settings and module.startswith("rnnlab"):
        return fork_command(folder, module, *arguments)
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        env=environment(**settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # lets `end` kill all child processes
        preexec_fn=hear_signals,
    )


def finish(folder: Path, process: Command) -> Done:
    """Wait for a process from `start` to end, and return its result."""
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except BaseException:
        end(process)
        raise
    return Done(folder, process.wait(), out, err)


def end(process: Command) -> None:
    """Kill a process from `start` and its child processes, if they still run."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def wait_until(holds: Callable[[], Any], what: str) -> Any:
    """Poll `holds` until the result is true, and return the result."""
    deadline = time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < deadline, f"timed out while waiting until {what}"
        time.sleep(0.02)
    return found


def suspend(pid: int) -> None:
    """Suspend a process, and wait until it has stopped: until then it would still handle other signals."""
    os.kill(pid, signal.SIGSTOP)
    stat = Path(f"/proc/{pid}/stat")
    wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "the process has stopped")


def run_info(folder: Path) -> dict[str, Any]:
    """Return the content of `run.json`."""
    info: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return info


def metric_rows(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of `metrics.jsonl`."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def children(pid: int) -> list[int]:
    """Return the child processes of a process, read from /proc (Linux), without the spare child."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            own, _, rest = stat.read_text().rpartition(")")
        except OSError:  # the process has ended in the meantime
            continue
        number, name = own.split(" (", 1)
        if int(rest.split()[1]) == pid and name != NAME:
            found.append(int(number))
    return found


def worker_of(pid: int | None, folder: Path) -> int | None:
    """Return the child process of a command (None: of any process) that has the metrics file of a run open."""
    everyone = (int(process.name) for process in Path("/proc").glob("[0-9]*"))
    for child in everyone if pid is None else children(pid):
        try:
            opened = [os.readlink(file) for file in Path(f"/proc/{child}/fd").iterdir()]
        except OSError:
            continue
        if str(folder / "metrics.jsonl") in opened:
            return child
    return None
