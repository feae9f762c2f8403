"""Runs the jobs of a plan, shows how they go, mirrors them to MLflow."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from rnnlab.app.display import Display
from rnnlab.app.launchers import Engine
from rnnlab.app.orders import Checked
from rnnlab.app.pool import LocalPool
from rnnlab.app.problems import ConfigProblems
from rnnlab.app.resume import note_sweep, sweep_lock
from rnnlab.app.worker import WorkOrder
from rnnlab.records import ENDED, Outcome
from rnnlab.tracking.folder import RunInUse, clear_resume_files, close_run, read_run_info
from rnnlab.tracking.mirror import DIED, Mirror, MirrorReport
from rnnlab.tracking.store import tracking_uri

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

    @property
    def failed(self) -> bool:
        """Whether a run is missing."""
        return any(info["outcome"] not in ENDED for info in self.infos)


def launch(checked: Checked, display: Display) -> Result:
    """Run the jobs of a plan that have not come to their end yet.

    Args:
        checked: The plan and its orders.
        display: Where progress is drawn.

    Raises:
        ConfigProblems: The folder cannot be made, or another process is at this sweep.
    """
    plan, orders, settings = checked.plan, checked.orders, checked.settings
    with ExitStack() as stack:
        _make_folder(checked, stack)
        todo = [order for order in orders if not _is_done(order)]
        display.resumed(plan, orders, len(orders) - len(todo))
        mirror = None
        if settings.tracking.backend == "mlflow":
            folders = [order.folder for order in orders]
            uri = tracking_uri(settings.tracking.uri)
            mirror = Mirror(uri, settings.tracking.experiment, plan.sweep, folders)
        engine = _engine(checked, todo)
        ended: dict[Path, dict[str, Any]] = {}
        with _interrupts_counted() as interrupts, display.progress(plan.jobs):
            _run(engine, interrupts, settings.fail_fast, mirror, display, ended)
        stopped = interrupts.count > 0
        infos = [ended.get(order.folder) or _last_word(order, None) for order in orders]
        report = None
        if mirror is not None:
            try:
                with display.waiting("Sending the rest to MLflow; Ctrl-C leaves it to rnnlab.sync"):
                    report = mirror.finish()
            except KeyboardInterrupt:
                stopped, report = True, mirror.stopped()
    return Result(infos, stopped, report)


def _make_folder(checked: Checked, stack: ExitStack) -> None:
    """Make what a sweep's runs share, and hold it until the stack is unwound."""
    plan = checked.plan
    try:
        if not plan.is_sweep:  # the run itself makes its folder
            plan.folder.parent.mkdir(parents=True, exist_ok=True)
            return
        plan.folder.mkdir(parents=True, exist_ok=plan.goes_on or checked.orders[0].resume)
        lock = sweep_lock(plan.folder)
        stack.callback(lock.release)
        note_sweep(plan, [order.info["identity"] for order in checked.orders])
    except OSError as error:
        raise ConfigProblems([f"{plan.folder}: cannot be made ({error.strerror})"]) from error


def _is_done(order: WorkOrder) -> bool:
    info = read_run_info(order.folder) if order.resume else None
    if info is None or info["outcome"] not in ENDED:
        return False
    clear_resume_files(order.folder)  # its process may have been killed before it could
    return True


def _engine(checked: Checked, todo: list[WorkOrder]) -> Engine:
    plan, jobs = checked.plan, checked.settings.jobs
    if checked.launcher is not None and todo:
        return checked.launcher.engine(todo, jobs, plan.folder if plan.is_sweep else plan.folder.parent)
    return LocalPool(todo, min(jobs or cores(), max(len(todo), 1)))


class _Interrupts:
    """Counts Ctrl-C and SIGTERM; an exception out of nowhere could get lost inside a library."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self.count > 1:
            raise KeyboardInterrupt


@contextmanager
def _interrupts_counted() -> Iterator[_Interrupts]:
    interrupts = _Interrupts()
    before = {number: signal.signal(number, interrupts) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(
    engine: Engine,
    interrupts: _Interrupts,
    fail_fast: bool,
    mirror: Mirror | None,
    display: Display,
    ended: dict[Path, dict[str, Any]],
) -> None:
    """Let the engine run until all runs have ended, and note how by folder.

    The first interrupt asks the runs to end and keep what they have; the second ends them at once.
    """
    failed = False
    try:
        while engine.busy:
            for order, error in engine.ended(REFRESH_SECONDS):
                stopping = interrupts.count > 0 or failed
                info = ended[order.folder] = _last_word(order, error, stopping)
                failed |= fail_fast and info["outcome"] == "failed"
            if interrupts.count or failed:
                engine.stop()
            display.refresh()
            if mirror is not None:
                display.warn_once(mirror.report.error)
    except KeyboardInterrupt:
        assert interrupts.count > 1
    finally:
        engine.close()


def _last_word(order: WorkOrder, error: str | None, stopping: bool = False) -> dict[str, Any]:
    """What a run's folder says at the end; a run without a last word is marked as failed or killed."""
    info = read_run_info(order.folder)
    if stopping:
        error = None  # its process was ended on purpose
    if info is None:
        summary = {} if error is None else {"error": error}
        return {**order.info, "outcome": "not started" if error is None else "failed", "summary": summary}
    if info["outcome"] is not None:
        return info
    outcome: Outcome = "killed" if error is None else "failed"
    summary = {"error": error or ("did not stop in time" if stopping else DIED)}
    with suppress(OSError, RunInUse):  # a full disk may be what ended it
        return close_run(order.folder, outcome, summary)
    return info | {"outcome": outcome, "summary": summary}


def cores() -> int:
    """How many runs this machine can make at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
