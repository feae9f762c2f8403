"""Runs the jobs of a plan in worker processes, shows how they go, mirrors them to MLflow."""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnlab.app.compose import Plan
from rnnlab.app.display import Display
from rnnlab.app.problems import ConfigProblems
from rnnlab.app.schema import Settings
from rnnlab.app.worker import WorkOrder, execute, start_worker
from rnnlab.records import Outcome
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
    if plan.is_sweep:
        try:
            plan.folder.mkdir(parents=True)
        except OSError as error:
            raise ConfigProblems([f"{plan.folder}: cannot be made ({error.strerror})"]) from error
        listed = {"sweep": plan.sweep, "runs": [job.folder.name for job in plan.jobs]}
        (plan.folder / SWEEP_FILE).write_text(json.dumps(listed, indent=1), encoding="utf-8")
    mirror = None
    if settings.tracking.backend == "mlflow":
        tracking, folders = settings.tracking, [order.folder for order in orders]
        mirror = Mirror(tracking_uri(tracking.uri), tracking.experiment, plan.sweep, tracking.points, folders)
    errors: dict[Path, str] = {}
    with _sigterm_as_interrupt(), display.progress(plan.jobs):
        interrupted = _run_all(orders, settings.jobs or _cores(), display, errors)
    infos = [_ended_info(order, errors.get(order.folder)) for order in orders]
    report = None
    if mirror is not None:
        try:
            with display.waiting("Sending the rest to MLflow"):
                report = mirror.finish()
        except KeyboardInterrupt:
            interrupted, report = True, MirrorReport(error="interrupted")
    return Result(infos, interrupted, report)


def _run_all(orders: list[WorkOrder], workers: int, display: Display, errors: dict[Path, str]) -> bool:
    """Run the orders; return whether they were interrupted.

    A worker that dies takes its pool with it; what had not started by then starts in a new one.
    """
    waiting = orders
    while waiting:
        if _run_pool(waiting, min(workers, len(waiting)), display, errors):
            return True
        left = [order for order in waiting if not order.folder.exists()]
        if len(left) == len(waiting):
            return False  # no worker can even start
        waiting = left
    return False


def _run_pool(orders: list[WorkOrder], workers: int, display: Display, errors: dict[Path, str]) -> bool:
    """Run the orders in one pool of reused workers until all ended or it broke."""
    # spawn: a forked copy of a process with threads (the mirror's) can deadlock.
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    with ProcessPoolExecutor(workers, context, start_worker, (stop,)) as pool:
        futures: dict[Future[Outcome], Path] = {}
        pending: set[Future[Outcome]] = set()
        try:
            for order in orders:
                futures[pool.submit(execute, order)] = order.folder
            pending = set(futures)
            while pending:
                done, pending = wait(pending, REFRESH_SECONDS, FIRST_COMPLETED)
                for future in done:
                    if error := future.exception():
                        errors[futures[future]] = _cause(error)
                display.refresh()
        except KeyboardInterrupt:
            stop.set()
            started = {future for future in futures if not future.cancel()}
            try:
                wait(started)  # and only for those: one that is cancelled never reports that it is done
            except KeyboardInterrupt:
                for process in multiprocessing.active_children():
                    process.kill()
            return True
    return False


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
        return {"outcome": outcome, "summary": summary}
    info |= {"outcome": "killed" if error is None else "failed", "ended": time.time(), "summary": summary}
    with suppress(OSError):  # a full disk may be what ended it
        write_run_info(order.folder, info)
    return info


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C: end the runs, keep what they recorded."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
