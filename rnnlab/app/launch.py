"""Runs the jobs of a plan in worker processes, shows how they go, mirrors them to MLflow."""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from rnnlab.app.compose import Plan
from rnnlab.app.display import Display
from rnnlab.app.problems import ConfigProblems
from rnnlab.app.schema import Settings
from rnnlab.app.worker import WorkOrder, execute, start_worker
from rnnlab.tracking.folder import read_run_info, write_run_info
from rnnlab.tracking.mirror import Mirror, MirrorReport, tracking_uri

SWEEP_FILE = "sweep.json"
REFRESH_SECONDS = 0.25


@dataclass(frozen=True)
class Result:
    """How a plan went.

    Attributes:
        infos: What each run's `run.json` says at the end, its outcome and summary at least.
        interrupted: Whether Ctrl-C or SIGTERM ended it early.
        mirrored: How the mirroring to MLflow went; None when it is off.
    """

    infos: list[dict[str, Any]]
    interrupted: bool
    mirrored: MirrorReport | None


def launch(plan: Plan, orders: list[WorkOrder], settings: Settings, display: Display) -> Result:
    """Run all jobs of a plan.

    Args:
        plan: The jobs and their common folder.
        orders: The same jobs, checked.
        settings: Of the first job, for what concerns them all.
        display: Where progress is drawn.
    """
    try:
        if plan.is_sweep:
            plan.folder.mkdir(parents=True)
        else:  # the run itself makes its folder
            plan.folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigProblems([f"{plan.folder}: cannot be made ({error.strerror})"]) from error
    if plan.is_sweep:
        listed = {"sweep": plan.sweep, "runs": [job.folder.name for job in plan.jobs]}
        (plan.folder / SWEEP_FILE).write_text(json.dumps(listed, indent=1), encoding="utf-8")
    mirror = None
    if settings.tracking.backend == "mlflow":
        tracking, folders = settings.tracking, [order.folder for order in orders]
        mirror = Mirror(tracking_uri(tracking.uri), tracking.experiment, plan.sweep, tracking.points, folders)
    errors: dict[Path, str] = {}
    with _interrupts_counted() as interrupts, display.progress(plan.jobs):
        _run_all(orders, settings.jobs or _cores(), interrupts, display, errors)
    interrupted = interrupts.count > 0
    infos = [_ended_info(order, None if interrupted else errors.get(order.folder)) for order in orders]
    report = None
    if mirror is not None:
        try:
            with display.waiting("Sending the rest to MLflow"):
                report = mirror.finish()
        except KeyboardInterrupt:
            interrupted, report = True, MirrorReport(error="interrupted")
    return Result(infos, interrupted, report)


class _Interrupts:
    """Counts Ctrl-C and SIGTERM; an exception out of nowhere could get lost inside a library."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1


@contextmanager
def _interrupts_counted() -> Iterator[_Interrupts]:
    interrupts = _Interrupts()
    before = {number: signal.signal(number, interrupts) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run_all(
    orders: list[WorkOrder],
    workers: int,
    interrupts: _Interrupts,
    display: Display,
    errors: dict[Path, str],
) -> None:
    """Run the orders, and note what went wrong by folder.

    A worker that dies takes its pool with it; what had not started by then starts in a new one.
    """
    waiting = orders
    while waiting and not interrupts.count:
        _run_pool(waiting, min(workers, len(waiting)), interrupts, display, errors)
        left = [order for order in waiting if not order.folder.exists()]
        if len(left) == len(waiting):
            return  # no worker can even start
        waiting = left


def _run_pool(
    orders: list[WorkOrder],
    workers: int,
    interrupts: _Interrupts,
    display: Display,
    errors: dict[Path, str],
) -> None:
    """Run the orders in one pool of reused workers until all ended, it broke, or was interrupted.

    The first interrupt asks the workers to end their runs and keep what they have; the second kills them.
    """
    # spawn: a forked copy of a process with threads (the mirror's) can deadlock.
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    with ProcessPoolExecutor(workers, context, start_worker, (stop,)) as pool:
        with _ctrl_c_blocked():
            futures = {pool.submit(execute, order): order.folder for order in orders}
        pending = set(futures)
        while pending:
            done, pending = wait(pending, REFRESH_SECONDS, FIRST_COMPLETED)
            for future in done:
                if not future.cancelled() and (error := future.exception()):
                    errors[futures[future]] = _cause(error)
            if interrupts.count and not stop.is_set():
                stop.set()
                for future in pending:
                    future.cancel()
            if interrupts.count > 1:
                for process in multiprocessing.active_children():
                    process.kill()
            display.refresh()


@contextmanager
def _ctrl_c_blocked() -> Iterator[None]:
    """Processes started inside never see Ctrl-C, which a terminal sends to all of a command's processes."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _cause(error: BaseException) -> str:
    if isinstance(error, BrokenProcessPool):
        return "its worker process died"
    return f"{type(error).__name__}: {error}"


def _ended_info(order: WorkOrder, error: str | None) -> dict[str, Any]:
    """What a run's folder says at the end; a run without a last word is marked as failed or killed."""
    info = read_run_info(order.folder)
    if info is not None and info["outcome"] is not None:
        return info
    outcome = "not started" if error is None else "failed"
    summary = {} if error is None else {"error": error}
    if info is None:
        return {**order.info, "outcome": outcome, "summary": summary}
    info |= {"outcome": "killed" if error is None else "failed", "ended": time.time(), "summary": summary}
    with suppress(OSError):  # a full disk may be what ended it
        write_run_info(order.folder, info)
    return info


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
