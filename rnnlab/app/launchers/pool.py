"""Execution of runs in worker processes on this machine.

Each worker has its own pipe and shares no locks or queues with other workers. If a worker is killed, only its
run is lost, and a new worker replaces it. With `concurrent.futures` or joblib, the death of one worker
process would break the entire pool. The first workers of a command are forks of the launching process; see
`rnnlab.app.launchers.forking`.
"""

import gc
import multiprocessing
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

from rnnlab.app.jobs.run_job import WorkOrder, execute, use_one_thread, watch_stop_signals
from rnnlab.app.launchers.forking import can_fork, import_for_workers, leave_to_launcher, open_files
from rnnlab.imports import own_process
from rnnlab.signals import block_signals, ignore_keyboard, unblock_signals
from rnnlab.terminal.streams import make_streams_lossy
from rnnlab.text import describe_error

STOP_SECONDS = 2.0
"""Time limit in seconds for a run to stop after a stop signal; a run stops only after a training step or a
batch of a validation."""
END_SECONDS = 5.0
"""Time limit in seconds for an idle worker to exit."""
_SPAWN = multiprocessing.get_context("spawn")
_FORK = multiprocessing.get_context("fork") if "fork" in multiprocessing.get_all_start_methods() else _SPAWN


@dataclass
class _Worker:
    process: BaseProcess
    pipe: "Connection[WorkOrder, str | None]"
    order: WorkOrder | None = None


class LocalPool:
    """An `Engine` that executes runs in reusable processes with one BLAS thread each."""

    def __init__(self, orders: Sequence[WorkOrder], workers: int) -> None:
        """Fork the workers, if this process may be forked; otherwise, each is started when it is needed."""
        self._waiting = deque(orders)
        self._max_workers = workers
        self._workers: list[_Worker] = []
        self._stopped_at: float | None = None
        if can_fork() and workers > 1 and orders:
            import_for_workers(orders)
        while can_fork() and len(self._workers) < min(workers, len(orders)):
            self._workers.append(_start_worker())

    @property
    def busy(self) -> bool:
        """True until all runs have ended."""
        return bool(self._waiting) or any(worker.order for worker in self._workers)

    def ended(self, timeout: float) -> list[tuple[WorkOrder, str | None]]:
        """Assign runs to idle workers, then wait for a run to end."""
        self._assign_orders()
        ended: list[tuple[WorkOrder, str | None]] = []
        by_pipe = {worker.pipe: worker for worker in self._workers}
        for ready in wait(list(by_pipe), timeout):
            assert isinstance(ready, Connection)
            worker = by_pipe[ready]
            try:
                error = worker.pipe.recv()
            except (EOFError, ConnectionError):
                error = self._remove_dead(worker)
            if worker.order is not None:
                ended.append((worker.order, error))
                worker.order = None
        return ended

    def stop(self) -> None:
        """Start no more runs, and kill active runs after STOP_SECONDS."""
        self._waiting.clear()
        if self._stopped_at is None:
            self._stopped_at = time.monotonic()
            for worker in self._workers:
                worker.process.terminate()
        elif time.monotonic() - self._stopped_at > STOP_SECONDS:
            for worker in self._workers:
                worker.process.kill()

    def close(self) -> None:
        """Stop all workers."""
        for worker in self._workers:
            if worker.order is not None:
                worker.process.kill()
            worker.pipe.close()
        for worker in self._workers:
            _join(worker.process)
        self._workers.clear()

    def _assign_orders(self) -> None:
        while self._waiting:
            idle = next((worker for worker in self._workers if worker.order is None), None)
            if idle is None:
                if len(self._workers) == self._max_workers:
                    return
                idle = _start_worker()
                self._workers.append(idle)
            order = self._waiting.popleft()
            try:
                idle.pipe.send(order)
            except ConnectionError:  # the worker died while idle
                self._waiting.appendleft(order)
                self._remove_dead(idle)
            else:
                idle.order = order

    def _remove_dead(self, worker: _Worker) -> str:
        """Remove a worker process that died, and return the cause."""
        _join(worker.process)
        worker.pipe.close()
        self._workers.remove(worker)
        code = worker.process.exitcode or 0
        if code >= 0:
            return f"worker process exited (exit code {code})"
        hint = "; the system kills processes when memory runs out" if -code == signal.SIGKILL else ""
        return f"worker process died ({signal.Signals(-code).name}{hint})"


def _start_worker() -> _Worker:
    is_fork = can_fork()
    context: Any = _FORK if is_fork else _SPAWN
    own_end, worker_end = context.Pipe()
    if is_fork:
        gc.freeze()  # the worker must not collect, and so close, objects of the launcher
    inherited = open_files() - {worker_end.fileno()} if is_fork else frozenset()
    arguments = (worker_end, os.getpid(), inherited)
    process: BaseProcess = context.Process(target=_work_and_exit, args=arguments, daemon=True)
    if not is_fork:
        with block_signals():
            resource_tracker.ensure_running()  # unblocks some signals when it returns
    with block_signals(), _without_main_module():
        # Signals are blocked until the worker can handle them, because a terminal signals all processes.
        process.start()
    worker_end.close()
    return _Worker(process, own_end)


@contextmanager
def _without_main_module() -> Iterator[None]:
    """Hide the main module from multiprocessing, which would import it in each new process.

    A worker needs only this package. The main module may be a script that starts a sweep without the guard
    `if __name__ == "__main__"`, and would then start the sweep again.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _join(process: BaseProcess) -> None:
    """Wait for an idle process to exit, and kill the process after a timeout."""
    process.join(END_SECONDS)
    if process.is_alive():  # suspended, or hanging on exit
        process.kill()
        process.join()


def _work_and_exit(
    pipe: "Connection[str | None, WorkOrder]", launcher: int, inherited: frozenset[int]
) -> None:
    """Execute runs, and end the process without finalising the Python interpreter, which takes 0.3 s."""
    leave_to_launcher(inherited)
    _work(pipe, launcher)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)


def _work(pipe: "Connection[str | None, WorkOrder]", launcher: int) -> None:
    """Execute runs one after another until the pipe closes; a stop signal ends the run and the process."""
    own_process()
    make_streams_lossy()
    use_one_thread()
    ignore_keyboard()
    # Stop when the launcher has died, because nothing else would stop this process.
    stopping = watch_stop_signals(lambda: os.getppid() != launcher)
    unblock_signals()
    with suppress(EOFError, ConnectionError):
        while not stopping():
            if not pipe.poll(0.2):
                continue
            order, error = pipe.recv(), None
            try:
                execute(order, stopping)
            except Exception as raised:
                error = describe_error(raised)
            pipe.send(error)
