"""Worker processes forked from a process that has already imported the libraries.

A worker of the local pool would import the libraries that `tests.forked` has imported already. Each forked
command therefore has a spare child, forked before the command imports rnnlab, which forks the workers. Apart from
the imported libraries, such a worker is like one that `multiprocessing` spawns: it is a child of the command,
receives the pickled function through a pipe, imports rnnlab itself, and has the signal mask, ignored signals,
folder, environment and descriptors that `exec` would hand down.
"""

import atexit
import ctypes
import json
import multiprocessing.util
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

NAME = "spare"
"""Process name of the spare child, by which `tests.processes.children` leaves it out."""
_SET_NAME, _SET_CHILD_SUBREAPER = 15, 36  # of <sys/prctl.h>


def keep_spare() -> None:
    """Fork the spare child, and let `multiprocessing` start its processes there."""
    if sys.platform != "linux":
        return
    control = ctypes.CDLL(None).prctl
    own_name = Path("/proc/self/comm").read_bytes().strip()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if control(_SET_CHILD_SUBREAPER, 1, 0, 0, 0):  # makes this process the parent of the forked workers
        return
    if os.fork() == 0:
        ours.close()
        control(_SET_NAME, NAME.encode(), 0, 0, 0)
        _serve(theirs, lambda: control(_SET_NAME, own_name, 0, 0, 0))
    theirs.close()
    spawn = multiprocessing.util.spawnv_passfds

    def fork(path: bytes, arguments: Sequence[Any], descriptors: Sequence[int]) -> int:
        if "-c" not in arguments:
            return int(spawn(path, arguments, descriptors))
        code = arguments.index("-c") + 1
        numbers = sorted({0, 1, 2, *map(int, descriptors)})
        request = {
            "code": arguments[code],
            "arguments": ["-c", *arguments[code + 1 :]],
            "descriptors": numbers,
            "folder": os.getcwd(),
            "environment": dict(os.environ),
            "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
            "ignored": [
                number for number in signal.valid_signals() if signal.getsignal(number) is signal.SIG_IGN
            ],
        }
        socket.send_fds(ours, [json.dumps(request).encode()], numbers)
        return int(ours.recv(100))

    multiprocessing.util.spawnv_passfds = fork  # type: ignore[assignment]


def _serve(requests: socket.socket, restore_name: Callable[[], int]) -> NoReturn:
    """Fork a process for every request until the command ends."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.close(null)
    while True:
        data, descriptors, *_ = socket.recv_fds(requests, 1_000_000, 100)
        if not data:
            os._exit(0)
        between = os.fork()
        if between == 0:
            own = os.getpid()
            if os.fork():
                os._exit(0)
            while os.getppid() == own:  # until the child is handed to the command
                time.sleep(0.0005)
            restore_name()
            requests.send(b"%d" % os.getpid())
            requests.close()
            _execute(json.loads(data), descriptors)
        os.waitpid(between, 0)
        for descriptor in descriptors:
            os.close(descriptor)


def _execute(request: dict[str, Any], descriptors: list[int]) -> NoReturn:
    _place(descriptors, request["descriptors"])
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for number in request["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, request["blocked"])
    sys.argv = request["arguments"]
    ended = 1
    try:
        exec(request["code"], {"__name__": "__main__"})
        ended = 0
    except SystemExit as end:
        ended = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if not stream.closed:  # as `resource_tracker` does
            stream.flush()
    os._exit(ended)


def _place(descriptors: list[int], numbers: list[int]) -> None:
    """Give each received descriptor the number that it has in the command."""
    above = max(*descriptors, *numbers) + 1
    moved: list[int] = []
    for descriptor in descriptors:
        os.dup2(descriptor, above + len(moved))
        moved.append(above + len(moved))
        os.close(descriptor)
    for descriptor, number in zip(moved, numbers, strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
