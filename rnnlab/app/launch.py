"""Execution of a checked plan, including the progress display and the mirroring of runs to MLflow."""

import os
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnlab.app.check import CheckedPlan
from rnnlab.app.config.memory_limit import cores
from rnnlab.app.config.messages import ConfigProblems
from rnnlab.app.display import Display
from rnnlab.app.jobs.compile_loops import compile_loops
from rnnlab.app.jobs.provenance import machine
from rnnlab.app.jobs.resume import is_complete, sweep_lock, write_sweep_file
from rnnlab.app.jobs.run_job import WorkOrder
from rnnlab.app.launchers.base import Engine
from rnnlab.app.launchers.pool import LocalPool
from rnnlab.app.launchers.this_process import ThisProcess
from rnnlab.mlflow_mirror.mirror import PROCESS_DIED, Mirror, MirrorReport
from rnnlab.mlflow_mirror.store import tracking_uri
from rnnlab.records import ENDED, Outcome
from rnnlab.runs.closing import close_run, record_failure
from rnnlab.runs.folder import LOCK_SECONDS, RunInUse, is_in_use
from rnnlab.runs.log import LOG, RUN_LOG, SWEEP_LOG
from rnnlab.runs.run_json import read_run_info
from rnnlab.signals import INTERRUPTED, Interrupts, temporary_handler
from rnnlab.text import describe_error, redact

REFRESH_SECONDS = 0.25


@dataclass(frozen=True)
class Result:
    """Result of executing a plan.

    Attributes:
        infos: Final content of each run's `run.json`, including at least the outcome and the summary.
        interrupted: True if a signal, for example from Ctrl-C, stopped the execution early.
        mirror_report: Result of mirroring the runs to MLflow; None if tracking is disabled.
    """

    infos: list[dict[str, Any]]
    interrupted: bool
    mirror_report: MirrorReport | None

    @property
    def failed(self) -> bool:
        """True if at least one run did not finish."""
        return any(info["outcome"] not in ENDED for info in self.infos)

    @property
    def exit_code(self) -> int:
        """Exit code: 0 if all runs finished, 1 if a run did not finish, 130 if interrupted."""
        return INTERRUPTED if self.interrupted else int(self.failed)


def launch(checked: CheckedPlan, display: Display, in_this_process: bool = False) -> Result:
    """Execute the unfinished jobs of a plan.

    Args:
        checked: Validated plan and its work orders.
        display: Display for progress and messages.
        in_this_process: True to execute the runs in the calling process instead of worker processes.

    Raises:
        ConfigProblems: If the folder cannot be created, or if another process is running this sweep.
    """
    plan, orders, settings = checked.plan, checked.orders, checked.settings
    ended: dict[Path, dict[str, Any]] = {}
    with ExitStack() as stack:
        interrupts = Interrupts(raises=in_this_process)
        stack.enter_context(temporary_handler(interrupts))
        _make_folder(checked, stack)
        display.open_log(plan.folder / (SWEEP_LOG if plan.is_sweep else RUN_LOG))
        todo = [order for order in orders if not (order.resume and is_complete(order.folder))]
        if plan.is_sweep:  # a single run logs its own command
            LOG.info("%s runs: %s", len(orders), redact(plan.command))
        for line in (checked.note, *checked.remarks):
            display.note(line)
        if checked.launcher is None:
            compile_loops(todo, display.note)
        display.show_resumption(plan, orders, len(orders) - len(todo))
        elsewhere = _runs_in_other_processes(todo, interrupts)
        first, engine, mirror = [order for order in todo if order not in elsewhere], None, None
        if not in_this_process:  # before the mirror starts a thread, after which no workers can be forked
            engine = _engine(checked, first)
            stack.callback(engine.close)
        if settings.tracking.backend == "mlflow":
            uri = tracking_uri(settings.tracking.uri)
            folders, params = [order.folder for order in orders], [order.info["params"] for order in orders]
            has_report = plan.is_sweep and settings.report
            mirror = Mirror(uri, settings.tracking.experiment, plan.sweep, folders, params, has_report)
        monitor = _SweepMonitor(interrupts, settings.fail_fast, mirror, display, ended)

        def follow(orders: list[WorkOrder], engine: Engine | None = None) -> None:
            if in_this_process:
                engine = ThisProcess(orders, monitor.proceed, REFRESH_SECONDS)
            monitor.follow(engine or _engine(checked, orders))

        with display.show_progress(plan.jobs):
            follow(first, engine)
            while elsewhere and not monitor.stopping:
                elsewhere, left = monitor.wait_for(elsewhere)
                follow(left)
        infos = [ended.get(order.folder) or _final_info(order, None, monitor.stopping) for order in orders]
        report = None
        if mirror is not None:
            before = min(interrupts.count, 1)
            started = sum(order.folder.is_dir() for order in orders)
            with display.show_sending(started) as show:
                report = mirror.finish(lambda: interrupts.count > before, show, is_interrupted=before > 0)
        display.open_log(plan.folder / RUN_LOG)  # the folder of a single run did not exist until now
    return Result(infos, interrupts.count > 0, report)


def _make_folder(checked: CheckedPlan, stack: ExitStack) -> None:
    """Create and lock the folder of a sweep, or check that the folder of a single run can be created.

    Raises:
        ConfigProblems: If the folder cannot be created; any new parent folders are removed.
    """
    plan = checked.plan
    new = [folder for folder in (plan.folder, *plan.folder.parents) if not os.path.exists(folder)]
    try:
        plan.folder.mkdir(parents=True, exist_ok=plan.is_continuation or checked.orders[0].resume)
        if not plan.is_sweep:
            if plan.folder in new:  # the run creates its folder itself
                plan.folder.rmdir()
            return
        lock = sweep_lock(plan.folder)
        stack.callback(lock.release)
        write_sweep_file(plan, [order.info["identity"] for order in checked.orders])
    except OSError as error:
        for folder in new:
            with suppress(OSError):  # not created, or not empty
                folder.rmdir()
        raise ConfigProblems([f"{plan.folder}: cannot be written ({error.strerror})"]) from error


def _runs_in_other_processes(orders: list[WorkOrder], interrupts: Interrupts) -> list[WorkOrder]:
    """Return the runs that other processes are still executing after a grace period for orphaned workers."""
    deadline = time.monotonic() + LOCK_SECONDS
    busy = [order for order in orders if order.resume and order.folder.is_dir()]
    while (busy := [order for order in busy if is_in_use(order.folder)]) and not interrupts.count:
        if time.monotonic() > deadline:
            return busy
        time.sleep(REFRESH_SECONDS)
    return busy


def _engine(checked: CheckedPlan, orders: list[WorkOrder]) -> Engine:
    plan, jobs = checked.plan, checked.settings.jobs
    if checked.launcher is not None and orders:
        return checked.launcher.engine(orders, jobs, plan.folder if plan.is_sweep else plan.folder.parent)
    return LocalPool(orders, min(jobs or cores(), max(len(orders), 1)))


@dataclass
class _SweepMonitor:
    """Monitor that follows the runs of an engine and records the outcome of each run.

    After the first stop signal, the runs save their progress and stop; a later Ctrl-C kills them immediately.
    """

    interrupts: Interrupts
    fail_fast: bool
    mirror: Mirror | None
    display: Display
    ended: dict[Path, dict[str, Any]]
    failed: bool = False

    @property
    def stopping(self) -> bool:
        """True if all runs must stop."""
        return self.interrupts.count > 0 or (self.fail_fast and self.failed)

    def follow(self, engine: Engine) -> None:
        """Follow the runs of an engine until all of them have ended."""
        try:
            while engine.busy and self.interrupts.count < 2:
                for order, error in engine.ended(REFRESH_SECONDS):
                    self._record_end(order, error)
                if self.stopping:
                    engine.stop()
                self._refresh()
        finally:
            engine.close()

    def proceed(self) -> bool:
        """Refresh the display, and return False if all runs must stop."""
        self._refresh()
        return not self.stopping

    def wait_for(self, elsewhere: list[WorkOrder]) -> tuple[list[WorkOrder], list[WorkOrder]]:
        """Return the runs active in other processes and the runs that those processes left unfinished."""
        time.sleep(REFRESH_SECONDS)
        self._refresh()
        free = [order for order in elsewhere if not is_in_use(order.folder)]
        return [order for order in elsewhere if order not in free], [
            o for o in free if not is_complete(o.folder)
        ]

    def _record_end(self, order: WorkOrder, error: str | None) -> None:
        info = self.ended[order.folder] = _final_info(order, error, self.stopping)
        self.failed |= info["outcome"] == "failed"

    def _refresh(self) -> None:
        self.display.refresh()
        if self.mirror is not None:
            self.display.warn_once(self.mirror.report.error)


def _final_info(order: WorkOrder, error: str | None, stopping: bool) -> dict[str, Any]:
    """Return the final content of a run's `run.json`; mark a run without an outcome as failed or killed.

    Args:
        order: Work order of the run.
        error: Description of the error, or None.
        stopping: True if the runs were stopped deliberately, for example with Ctrl-C.
    """
    if stopping:
        error = None
    try:
        info = read_run_info(order.folder)
        if info is None and error is None:
            return order.info | {"outcome": "not started", "summary": {}}
        if info is None or (info["outcome"] not in (*ENDED, None) and error is not None):
            config, info_with_machine = order.config, order.info | {"machine": machine()}
            return record_failure(order.folder, info_with_machine, config, {"error": error})
        if info["outcome"] is not None:
            return info
        outcome: Outcome = "killed" if error is None else "failed"
        reason = "the run did not stop in time" if stopping else PROCESS_DIED
        return close_run(order.folder, outcome, {"error": error or reason})
    except RunInUse:
        return order.info | {"outcome": "running in another process", "summary": {}}
    except (OSError, ValueError) as broken:  # for example on a full disk
        return order.info | {"outcome": "failed", "summary": {"error": error or describe_error(broken)}}
