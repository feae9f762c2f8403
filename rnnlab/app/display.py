"""Terminal output of runs and sweeps: progress, a table of results, and links to the results."""

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
from rich.table import Table
from rich.text import Text

from rnnlab.app import results_table as results
from rnnlab.app.config.plan import Job, Plan
from rnnlab.app.config.settings import Tracking
from rnnlab.app.jobs.run_job import WorkOrder
from rnnlab.app.progress import (
    Elapsed,
    Remaining,
    RunProgress,
    SweepProgress,
    counting_bar,
    waiting_line,
)
from rnnlab.mlflow_mirror.links import charts_link
from rnnlab.mlflow_mirror.mirror import MirrorReport
from rnnlab.mlflow_mirror.store import is_server, tracking_uri
from rnnlab.records import (
    ENDED,
    METRICS_FILE,
    ZERO_FRACTION,
)
from rnnlab.runs.log import LOG, LogFile
from rnnlab.terminal.console import Terminal, print_line
from rnnlab.text import (
    ZERO_NOTE,
    format_number,
    format_run_count,
    redact,
)

MAX_COLUMNS = 1000
WARNING = "yellow"
SENDING = "Sending to MLflow"
SENDING_HINT = "Ctrl-C stops sending; to send the remaining runs later, use rnnlab.sync"
SENDING_NOTE_SECONDS = 30.0
"""Time in seconds before the first message about sending runs to MLflow.

The interval doubles after each message.
"""


class Display:
    """Console and log output of a command; progress bars appear only on a terminal."""

    def __init__(
        self, console: Console | None = None, log: LogFile | None = None, quiet: bool = False
    ) -> None:
        """Set up the console and the log.

        Args:
            console: Console for the output; None for the terminal.
            log: Log file; messages are buffered until `open_log` sets the path of the file.
            quiet: If True, print only warnings and what `print_folder` prints.
        """
        self.console = console or Terminal(quiet=quiet)
        self._warnings = Terminal(stderr=True) if quiet else self.console
        self._log, self._quiet = log, quiet
        self._refresh: Callable[[], None] = lambda: None
        self._warned = False

    @contextmanager
    def show_progress(self, jobs: Sequence[Job]) -> Iterator[None]:
        """Show the completed training steps and the metrics of a run or the number of runs that ended."""
        runs = SweepProgress([RunProgress(job) for job in jobs])
        total = sum(int(job.config["steps"]) for job in jobs)
        with counting_bar(self.console, "training steps", Remaining(), note=runs.describe) as progress:
            runs.refresh()  # steps of an earlier command must not count towards the speed
            bar = progress.add_task("Running", total=total, completed=runs.steps_done)

            def refresh() -> None:
                runs.refresh()
                progress.update(bar, completed=runs.steps_done)

            self._refresh = refresh
            yield
            refresh()

    def open_log(self, path: Path) -> None:
        """Open a log file if its folder exists, and write the buffered messages and all later ones to it."""
        if self._log is not None and path.parent.is_dir():
            self._log.open(path)

    def refresh(self) -> None:
        """Update the progress display from the run folders."""
        self._refresh()

    def show_resumption(self, plan: Plan, orders: Sequence[WorkOrder], done: int) -> None:
        """If runs are resumed, print the numbers of finished, unfinished and new runs."""
        if not orders[0].resume:
            return
        unfinished = sum((order.folder / METRICS_FILE).is_file() for order in orders) - done
        new = len(orders) - done - unfinished
        self._line(f"Resuming {plan.sweep}: {done} done, {unfinished} to continue, {new} to start")

    def note(self, line: str | None) -> None:
        """Print a message unless it is None."""
        if line is not None:
            self._line(line)

    def warn(self, line: str) -> None:
        """Print a warning."""
        self._line(line, WARNING)

    def show_report(self, page: Path) -> None:
        """Print the path of the sweep report."""
        self._line(f"Report: {os.path.relpath(page)}")

    def warn_once(self, problem: str | None) -> None:
        """Warn, at most once per command, that MLflow does not accept the runs."""
        if problem is not None and not self._warned:
            self._warned = True
            self._line(
                f"MLflow does not accept the runs ({problem}); "
                "training continues, and sending will be retried.",
                WARNING,
            )

    @contextmanager
    def show_status(self, message: str) -> Iterator[None]:
        """Show a message and the elapsed time while the `with` block runs."""
        with waiting_line(self.console) as progress:
            progress.add_task(message, total=None)
            yield

    @contextmanager
    def show_sending(self, total: int) -> Iterator[Callable[[int, float], None]]:
        """Show how many runs have been sent to MLflow, and the elapsed time.

        Args:
            total: Number of runs.

        Yields:
            A function that takes the number of unsent runs and the elapsed time in seconds, and updates the
            display. At increasing intervals, the function also prints and logs a line.
        """
        due = SENDING_NOTE_SECONDS

        with counting_bar(self.console, "runs sent", Elapsed(), note=lambda: SENDING_HINT) as progress:
            bar = progress.add_task(SENDING, total=total)

            def show(left: int, seconds: float) -> None:
                nonlocal due
                progress.update(bar, completed=total - left)
                if seconds > due:
                    due *= 2
                    elapsed = format_number(seconds, ".0f")
                    self._line(f"{SENDING}: {total - left} of {total} runs sent, {elapsed} s elapsed")

            yield show

    def show_results(
        self,
        plan: Plan,
        infos: Sequence[dict[str, Any]],
        tracking: Tracking,
        mirror_report: MirrorReport | None,
    ) -> None:
        """Print the table of results, the path of the results folder, and a link to MLflow."""
        self._table(plan, infos)
        folder = os.path.relpath(plan.folder)
        self._line(f"\nFiles: {folder}")
        if missing := sum(info["outcome"] not in ENDED for info in infos):
            self.warn(f"{format_run_count(missing)} did not finish; rerun with resume=true to continue.")
        if mirror_report is None:
            return
        if mirror_report.closed_runs:
            closed = format_run_count(mirror_report.closed_runs)
            self._line(
                f"Marked {closed} from earlier commands as killed because their processes no longer exist."
            )
        if mirror_report.unsent_runs or mirror_report.experiment_id is None:
            reason = "" if self._warned or mirror_report.error is None else f" ({mirror_report.error})"
            self._line(
                f"Not fully sent to MLflow: {mirror_report.unsent_runs} of {format_run_count(len(infos))}"
                f"{reason}. "
                f"To send the remaining data, run: {_python()} -m rnnlab.sync {shlex.quote(folder)}",
                WARNING,
            )
        if mirror_report.experiment_id is None:
            return
        uri = tracking_uri(tracking.uri)
        if not is_server(uri):
            option = f" --uri {shlex.quote(redact(uri))}" if tracking.uri else ""
            command = f"{_python()} -m rnnlab.ui{option}"
            self._line(f"MLflow: run {command} and open")
        self._line(charts_link(uri, mirror_report.experiment_id, plan.sweep), "cyan")

    def print_folder(self, folder: Path) -> None:
        """Print the path of the results folder if the command prints nothing else."""
        if self._quiet:
            print_line(os.path.relpath(folder))

    def _table(self, plan: Plan, infos: Sequence[dict[str, Any]]) -> None:
        """Print and log the table of results and the meaning of its columns."""
        columns = results.result_columns(plan.jobs, infos)
        for line in _lines(results.make_table(columns)):
            LOG.info("%s", line)
        width = self.console.width if self.console.is_terminal else MAX_COLUMNS
        shown, shared = columns, ""
        if results.full_width(columns) > width and len(infos) > 1:
            shown, shared = results.without_constants(columns)
        fits = results.min_width(shown) <= width
        is_list = len(infos) == 1 and not fits
        table = results.make_list(columns) if is_list else results.make_table(shown, width if fits else None)
        terminal_width = self.console.width
        self.console.width = terminal_width if is_list else max(terminal_width, MAX_COLUMNS)
        self.console.print(table)  # numbers are never cut
        self.console.width = terminal_width
        if shared:
            self._paragraph(shared)
        self._paragraph(results.explain_columns(columns, infos))
        if any(info.get("summary", {}).get(ZERO_FRACTION) for info in infos):
            self._paragraph(ZERO_NOTE)

    def _paragraph(self, text: str) -> None:
        """Print a line, wrapped between words on a terminal, and log it."""
        self.console.print(Text(text, "dim"), soft_wrap=not self.console.is_terminal)
        LOG.info("%s", text)

    def _line(self, text: str, style: str = "") -> None:
        """Print and log one line without wrapping it, because wrapping would break links."""
        console = self._warnings if style == WARNING else self.console
        console.print(Text(text, style), soft_wrap=True)
        LOG.log(logging.WARNING if style == WARNING else logging.INFO, "%s", text.strip())


def _lines(table: Table) -> list[str]:
    """Return the lines of a table without colours."""
    page = Console(file=StringIO(), width=MAX_COLUMNS, color_system=None, force_jupyter=False)
    with page.capture() as capture:
        page.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]


def _python() -> str:
    """Return the command for the current interpreter: `python` if possible, else the interpreter's path."""
    if shutil.which("python") == sys.executable:
        return "python"
    inside = Path(sys.executable).is_relative_to(Path.cwd())
    return shlex.quote(os.path.relpath(sys.executable) if inside else sys.executable)
