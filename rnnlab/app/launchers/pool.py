"""Worker processes on this machine.

Each has a pipe of its own and shares nothing with the others, no lock and no queue: one that is killed,
wherever it was, takes its run along and nothing else, and another takes its place. (The pools of
`concurrent.futures` and joblib break as a whole.)
"""

import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from rnnlab.app.jobs.run_job import WorkOrder, describe_error, execute, use_one_thread, watch_stop_signals
from rnnlab.signals import block_signals, ignore_keyboard, unblock_signals
from rnnlab.terminal.streams import make_streams_lossy

STOP_SECONDS = 2.0
"""How long a run that is asked to stop may go on, such as in the middle of a validation."""
END_SECONDS = 5.0
"""How long a worker without a run may take to end."""
_SPAWN = multiprocessing.get_context("spawn")  # a forked copy of a process with threads can deadlock


@dataclass
class _Worker:
    process: BaseProcess
    pipe: "Connection[WorkOrder, str | None]"
    order: WorkOrder | None = None


class LocalPool:
    """An `Engine` of processes that are used again, one BLAS thread each."""

    def __init__(self, orders: Sequence[WorkOrder], workers: int) -> None:
        self._waiting = deque(orders)
        self._max_workers = workers
        self._workers: list[_Worker] = []
        self._stopped_at: float | None = None

    @property
    def busy(self) -> bool:
        """Whether there are runs still to end."""
        return bool(self._waiting) or any(worker.order for worker in self._workers)

    def ended(self, timeout: float) -> list[tuple[WorkOrder, str | None]]:
        """Hand out orders, then wait for a run to end."""
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
        """Start no more runs; what goes on after STOP_SECONDS is killed."""
        self._waiting.clear()
        if self._stopped_at is None:
            self._stopped_at = time.monotonic()
            for worker in self._workers:
                worker.process.terminate()
        elif time.monotonic() - self._stopped_at > STOP_SECONDS:
            for worker in self._workers:
                worker.process.kill()

    def close(self) -> None:
        """End the workers."""
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
            except ConnectionError:  # it died while it had nothing to do
                self._waiting.appendleft(order)
                self._remove_dead(idle)
            else:
                idle.order = order

    def _remove_dead(self, worker: _Worker) -> str:
        """Forget a dead worker and say how it died."""
        _join(worker.process)
        worker.pipe.close()
        self._workers.remove(worker)
        code = worker.process.exitcode or 0
        if code >= 0:
            return f"its worker process ended (exit code {code})"
        hint = "; the system does that when memory runs out" if -code == signal.SIGKILL else ""
        return f"its worker process died ({signal.Signals(-code).name}{hint})"


def _start_worker() -> _Worker:
    here, there = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_work, args=(there, os.getpid()), daemon=True)
    with block_signals():
        resource_tracker.ensure_running()  # which lets some signals through at its end
    with block_signals():  # until the worker can answer them: some come to all processes of a command
        process.start()
    there.close()
    return _Worker(process, here)


def _join(process: BaseProcess) -> None:
    """Wait for the end of a process that has nothing left to do."""
    process.join(END_SECONDS)
    if process.is_alive():  # stopped, or hanging at its end
        process.kill()
        process.join()


def _work(pipe: "Connection[str | None, WorkOrder]", launcher: int) -> None:
    """Make runs one after the other until the pipe is closed; a signal ends a run, and the process."""
    make_streams_lossy()
    use_one_thread()
    ignore_keyboard()
    # nobody would ever stop an orphan
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
