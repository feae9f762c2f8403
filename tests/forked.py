"""Commands in processes forked from one that has already imported the libraries.

Importing MLflow, pandas and seaborn takes most of the time of a short command. A forked command is otherwise
like `python -m MODULE`: it has its own process, session, folder, environment and streams, and imports rnnlab
itself. `python -m tests.forked FD` is the process from which commands are forked.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path
from select import select
from threading import Thread
from typing import IO, Any, NoReturn

from tests.spare import keep_spare
from tests.surroundings import ROOT, environment, hear_signals

LIBRARIES = (
    *("hydra._internal.hydra", "omegaconf", "pydantic", "threadpoolctl", "safetensors.numpy", "rich.live"),
    *("mlflow.tracking", "mlflow.store.tracking.sqlalchemy_store"),
    *("pandas", "pyarrow.parquet", "pyarrow.json"),
    *("matplotlib.pyplot", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg", "seaborn"),
    *("numba.extending", "llvmlite.binding"),
    *("multiprocessing.spawn", "filelock", "jinja2", "yaml"),
)

STARTING_WORKERS = ("rnnlab", "rnnlab.repeat")
"""Commands whose workers are forked too."""


class ForkedCommand:
    """A command started by `fork_command`, with the interface of `subprocess.Popen` that the tests use."""

    def __init__(self, status: int, stdout: int, stderr: int) -> None:
        self._status = os.fdopen(status, "rb", buffering=0)
        self.stdout: IO[str] | None = os.fdopen(stdout, encoding="utf-8")
        self.stderr: IO[str] | None = os.fdopen(stderr, encoding="utf-8")
        self.returncode: int | None = None
        self.pid = int(self._status.readline())

    def poll(self) -> int | None:
        """Return the exit code, or None if the command still runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code, as `subprocess.Popen` does."""
        if self.returncode is None:
            if not select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("forked command", timeout or 0)
            self.returncode = int(self._status.readline())
            self._status.close()
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Read both streams to their ends and wait for the end."""
        texts: dict[str, str] = {}

        def read(name: str, stream: IO[str] | None) -> None:
            with contextlib.suppress(ValueError):  # the test has closed the stream
                texts[name] = stream.read() if stream else ""

        readers = [Thread(target=read, args=item) for item in (("out", self.stdout), ("err", self.stderr))]
        for reader in readers:
            reader.start()
        self.wait(timeout)
        for reader in readers:
            reader.join(timeout)
        self.close()
        return texts.get("out", ""), texts.get("err", "")

    def close(self) -> None:
        """Close the reading ends of both streams."""
        for stream in (self.stdout, self.stderr):
            if stream is not None:
                stream.close()

    def send_signal(self, number: int) -> None:
        """Send a signal unless the command has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


def fork_command(
    folder: Path, module: str, *arguments: str, output: int | None = None, errors: int | None = None
) -> ForkedCommand:
    """Start the equivalent of `python -m module` in a folder.

    The standard streams are pipes, unless `output` and `errors` are other descriptors.
    """
    read_ends, write_ends = zip(*(os.pipe() for _ in range(3)), strict=True)
    status, *pipes = write_ends
    streams = [pipe if given is None else given for pipe, given in zip(pipes, (output, errors), strict=True)]
    request = {"folder": str(folder), "environment": environment(), "command": [module, *arguments]}
    socket.send_fds(_server(os.getpid()), [json.dumps(request).encode()], [status, *streams])
    for end in write_ends:
        os.close(end)
    return ForkedCommand(*read_ends)


@cache
def _server(_pid: int) -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    number = theirs.fileno()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.forked", str(number)],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=[number],
        start_new_session=True,
    )
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _serve(requests: socket.socket) -> None:
    """Fork a command for every request until the tests end."""
    for library in LIBRARIES:
        importlib.import_module(library)
    gc.collect()
    gc.freeze()  # forked processes neither search nor copy the libraries' objects
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        data, ends, *_ = socket.recv_fds(requests, 1_000_000, 3)
        if not data:
            return
        if os.fork() == 0:
            requests.close()
            _watch(json.loads(data), *ends)
        for end in ends:
            os.close(end)


def _watch(request: dict[str, Any], status: int, stdout: int, stderr: int) -> NoReturn:
    """Fork the command, report its process id and its exit code, and exit."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        os.close(status)
        _execute(request, stdout, stderr)
    os.close(stdout)
    os.close(stderr)
    os.write(status, b"%d\n" % pid)
    _, ended = os.waitpid(pid, 0)
    os.write(status, b"%d\n" % os.waitstatus_to_exitcode(ended))
    os._exit(0)


def _execute(request: dict[str, Any], stdout: int, stderr: int) -> NoReturn:
    os.setsid()
    hear_signals()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as Python does at startup
    for end, stream in ((stdout, 1), (stderr, 2)):
        os.dup2(end, stream)
        os.close(end)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.path[0] = request["folder"]
    module, *arguments = request["command"]
    if module in STARTING_WORKERS:
        keep_spare()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    sys.exit()


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
