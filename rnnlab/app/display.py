"""What a person sees on the terminal: progress, then a table of the runs and where to look further."""

import logging
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from rnnlab.app.config.build import Tracking
from rnnlab.app.config.plan import Job, Plan
from rnnlab.app.jobs.run_job import WorkOrder
from rnnlab.app.progress import Count, Latest, RunProgress, SweepProgress
from rnnlab.mlflow_mirror.charts import charts_link
from rnnlab.mlflow_mirror.mirror import MirrorReport
from rnnlab.mlflow_mirror.store import is_server, tracking_uri, ui_address
from rnnlab.records import (
    CLIP_RATE,
    ENDED,
    METRICS_FILE,
    STEPS_TO_SOLVE,
    ZERO_FRACTION,
)
from rnnlab.runs.log import LOG, LogFile
from rnnlab.terminal.console import Terminal, print_line
from rnnlab.text import (
    ZERO_NOTE,
    describe_outcome,
    format_gain,
    format_horizon,
    format_metric,
    format_number,
    format_run_count,
    redact,
)

MAX_COLUMNS = 1000
WARNING = "yellow"
SENDING_NOTE_SECONDS = 30.0
"""Seconds after which a line says how sending goes, and again after twice as many."""
OUTCOME_STYLES = {"finished": "green", "unstable": "yellow", "diverged": "magenta", "killed": "red"}


class Display:
    """Draws on a console; without a terminal it draws no bars. What it says goes to a log as well."""

    def __init__(
        self, console: Console | None = None, log: LogFile | None = None, quiet: bool = False
    ) -> None:
        """Take the console and the log.

        Args:
            console: Else the terminal.
            log: Written once `open_log` has told where.
            quiet: Whether to say nothing but warnings, and at the end where the files are.
        """
        self.console = console or Terminal(quiet=quiet)
        self._warnings = Terminal(stderr=True) if quiet else self.console
        self._log, self._quiet = log, quiet
        self._refresh: Callable[[], None] = lambda: None
        self._warned = False

    @contextmanager
    def show_progress(self, jobs: Sequence[Job]) -> Iterator[None]:
        """Show a bar while the runs go on: of one run its steps, of a sweep its runs."""
        runs = SweepProgress([RunProgress(job) for job in jobs])
        columns: list[ProgressColumn] = [TextColumn("{task.description}"), BarColumn()]
        columns.append(Latest(runs.all[0]) if len(jobs) == 1 else Count(runs))
        total = sum(int(job.config["steps"]) for job in jobs)
        with Progress(*columns, TimeRemainingColumn(), console=self.console, transient=True) as progress:
            label = jobs[0].name if len(jobs) == 1 else "sweep"
            runs.refresh()  # what an earlier command did is no measure of speed
            bar = progress.add_task(label, total=total, completed=runs.steps_done)

            def refresh() -> None:
                runs.refresh()
                progress.update(bar, completed=runs.steps_done)

            self._refresh = refresh
            yield
            refresh()

    def open_log(self, path: Path) -> None:
        """Write down what was said and will be, if the file's folder is there."""
        if self._log is not None and path.parent.is_dir():
            self._log.open(path)

    def refresh(self) -> None:
        """Read how far the runs are and draw that."""
        self._refresh()

    def show_resumption(self, plan: Plan, orders: Sequence[WorkOrder], done: int) -> None:
        """Say what is left to do of a sweep or run that is taken up again."""
        if not orders[0].resume:
            return
        begun = sum((order.folder / METRICS_FILE).is_file() for order in orders) - done
        new = len(orders) - done - begun
        self._line(f"Resuming {plan.sweep}: {done} done, {begun} to go on with, {new} to start")

    def note(self, line: str | None) -> None:
        """Say something that is good to know, if there is."""
        if line is not None:
            self._line(line)

    def warn(self, line: str) -> None:
        """Say what is not as it should be."""
        self._line(line, WARNING)

    def show_report(self, page: Path) -> None:
        """Say where the page about the whole sweep is."""
        self._line(f"Report: {os.path.relpath(page)}")

    def warn_once(self, problem: str | None) -> None:
        """Say that MLflow does not take the runs, the first time that it does not."""
        if problem is not None and not self._warned:
            self._warned = True
            self._line(
                f"MLflow cannot take the runs now ({problem}); training goes on, and it is tried again.",
                WARNING,
            )

    @contextmanager
    def show_status(self, what: str) -> Iterator[None]:
        """Show that something takes a moment."""
        with self.console.status(what):
            yield

    @contextmanager
    def show_sending(self) -> Iterator[Callable[[int, float], None]]:
        """Show how many runs are still to be sent to MLflow, and for how long that has gone on.

        Yields:
            To be called with the two. Without a terminal, and in the log, a line says so now and then.
        """
        due = SENDING_NOTE_SECONDS

        with self.console.status("Sending to MLflow") as status:

            def show(left: int, seconds: float) -> None:
                nonlocal due
                line = f"Sending to MLflow: {format_run_count(left)} left after {seconds:.0f} s"
                status.update(f"{line}; Ctrl-C leaves the rest to rnnlab.sync")
                if seconds > due:
                    due *= 2
                    self._line(line)

            yield show

    def show_results(
        self,
        plan: Plan,
        infos: Sequence[dict[str, Any]],
        tracking: Tracking,
        mirror_report: MirrorReport | None,
    ) -> None:
        """Show how the runs went, where their files are, and how to see more."""
        self._table(plan, infos)
        folder = os.path.relpath(plan.folder)
        self._line(f"\nFiles: {folder}")
        if self._quiet:
            print_line(folder)
        if missing := sum(info["outcome"] not in ENDED for info in infos):
            ends = "did not come to an end; the same command with resume=true goes on."
            self.warn(f"{format_run_count(missing)} {ends}")
        if mirror_report is None:
            return
        if mirror_report.closed_runs:
            closed = format_run_count(mirror_report.closed_runs)
            self._line(f"Closed {closed} of earlier commands whose process was gone.")
        if mirror_report.unsent_runs or mirror_report.experiment_id is None:
            why = "" if self._warned or mirror_report.error is None else f" ({mirror_report.error})"
            self._line(
                f"Not all in MLflow yet: {mirror_report.unsent_runs} of {format_run_count(len(infos))}{why}. "
                f"This sends the rest: {_python()} -m rnnlab.sync {shlex.quote(folder)}",
                WARNING,
            )
        if mirror_report.experiment_id is None:
            return
        uri = tracking_uri(tracking.uri)
        if not is_server(uri):
            given = f" --uri {shlex.quote(redact(uri))}" if tracking.uri else ""
            command = f"{_python()} -m rnnlab.ui{given}"
            self._line(f"MLflow: {command}, then open")
        self._line(charts_link(ui_address(uri), mirror_report.experiment_id, plan.sweep), "cyan")

    def _table(self, plan: Plan, infos: Sequence[dict[str, Any]]) -> None:
        """One line a run: axes, validation and its baseline, gain, horizon, clip rate, outcome, seconds."""
        axes = list(dict.fromkeys(key for job in plan.jobs for key in job.sweep_values)) or ["cell"]
        summaries = [info.get("summary", {}) for info in infos]
        goals = [info.get("goal") or {} for info in infos]  # a damaged run.json may have none
        metrics = [goal.get("metric") for goal in goals]
        one_metric = metrics[0] if len(set(metrics)) == 1 else None
        can_be_solved = any(goal.get("criterion") for goal in goals)
        table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
        for axis in axes:
            table.add_column(axis)
        for column in (one_metric or "validation", "baseline", "gain", "horizon", "clip rate"):
            table.add_column(column, justify="right")
        table.add_column("outcome")
        if can_be_solved:
            table.add_column("solved at", justify="right")
        table.add_column("seconds", justify="right")
        for job, info, summary, goal in zip(plan.jobs, infos, summaries, goals, strict=True):
            axis_values = [job.sweep_values.get(axis) or job.choices.get(axis, "") for axis in axes]
            outcome, metric = info["outcome"], goal.get("metric", "")
            table.add_row(
                *axis_values,
                ("" if one_metric else f"{metric} ") + format_metric(summary.get(metric)),
                format_metric(goal.get("baseline")),
                format_gain(summary),
                format_horizon(summary),
                format_number(summary.get(CLIP_RATE), ".1%"),
                Text(describe_outcome(outcome, summary), OUTCOME_STYLES.get(outcome, "red")),
                *([format_number(summary.get(STEPS_TO_SOLVE), ".0f")] if can_be_solved else []),
                format_number(summary.get("seconds"), ".1f"),
            )
        unbounded = self.console.options.update(width=MAX_COLUMNS)
        width = self.console.width
        self.console.width = max(self.console.measure(table, options=unbounded).maximum, width)
        self.console.print(table)  # a terminal may wrap its lines, but no number is cut
        for line in _lines(table):
            LOG.info("%s", line)
        self.console.width = width
        if any(summary.get(ZERO_FRACTION) for summary in summaries):
            self._line(ZERO_NOTE)

    def _line(self, text: str, style: str = "") -> None:
        """Print one line, however long: it may be a link."""
        console = self._warnings if style == WARNING else self.console
        console.print(Text(text, style), soft_wrap=True)
        LOG.log(logging.WARNING if style == WARNING else logging.INFO, "%s", text.strip())


def _lines(table: Table) -> list[str]:
    """What a table shows, without colours."""
    page = Console(file=StringIO(), width=MAX_COLUMNS, color_system=None)
    with page.capture() as capture:
        page.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]


def _python() -> str:
    """What to type for this Python: `python` where that is the same one, else its path."""
    if shutil.which("python") == sys.executable:
        return "python"
    inside = Path(sys.executable).is_relative_to(Path.cwd())
    return shlex.quote(os.path.relpath(sys.executable) if inside else sys.executable)
