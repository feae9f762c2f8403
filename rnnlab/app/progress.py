"""Progress of runs, read from the run folders, and the progress bars of all commands.

Each bar names what it counts and states whether its time is elapsed or remaining.
"""

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

from rnnlab.app.config.plan import Job
from rnnlab.mlflow_mirror.mirror import LOOK_AHEAD
from rnnlab.records import ENDED, GRAD_NORM, LOSS, STEPS_PER_SECOND
from rnnlab.runs.metrics_jsonl import MetricsReader
from rnnlab.runs.run_json import read_run_info
from rnnlab.terminal.notebook import NotebookBar, in_notebook
from rnnlab.text import format_loss, format_number, format_run_count


class SweepProgress:
    """Progress of several runs.

    Progress is read from the run folders four times per second. Runs that have ended and runs that will
    not start soon are skipped, because a sweep may contain thousands of runs.
    """

    def __init__(self, runs: list["RunProgress"]) -> None:
        self.all = runs
        self._open = list(runs)
        self._steps_of_ended = self.ended = 0

    def refresh(self) -> None:
        """Update the progress of all runs from their folders."""
        not_started = 0
        for run in list(self._open):
            run.refresh()
            not_started += not run.started
            if run.ended:
                self._open.remove(run)
                self._steps_of_ended += run.steps_done
                self.ended += 1
            elif not_started > LOOK_AHEAD:
                break

    @property
    def steps_done(self) -> int:
        """Total number of completed training steps, summed over all runs."""
        return self._steps_of_ended + sum(run.steps_done for run in self._open if run.started)

    def describe(self) -> str:
        """Return the latest metrics of a single run, or the number of runs of a sweep that have ended."""
        if len(self.all) == 1:
            return self.all[0].describe()
        return f"{self.ended} of {format_run_count(len(self.all))} ended"


class RunProgress:
    """Progress of one run, read from its folder."""

    def __init__(self, job: Job) -> None:
        self._folder, self._steps = job.folder, int(job.config["steps"])
        self._reader = MetricsReader(job.folder)
        self._info: dict[str, Any] = {}
        self.latest: dict[str, Any] = {}
        self.steps_done = 0
        self.started = self.ended = False

    def refresh(self) -> None:
        """Update the progress of the run from its folder."""
        try:
            info = read_run_info(self._folder)
        except ValueError:  # damaged; reported at the end
            info = None
        self.started = info is not None
        self._info = info or self._info
        for row in self._reader.new_rows():
            self.steps_done = min(row["step"] + 1, self._steps)
            self.latest.update({key: value for key, value in row.items() if value is not None})
        if info is not None and info["outcome"] in (*ENDED, "failed"):
            self.steps_done, self.ended = self._steps, True

    def describe(self) -> str:
        """Return the training loss with its unit, the gradient norm and the speed."""
        if LOSS not in self.latest:
            return "starting"
        loss = format_loss(self.latest[LOSS], self._info)
        norm = format_number(self.latest.get(GRAD_NORM), ".2g")
        speed = format_number(self.latest[STEPS_PER_SECOND], ".0f")
        return f"training loss {loss}, gradient norm {norm}, {speed} steps/s"


class Bar(Progress):
    """Progress bar that disappears at the end, with an optional line below it; shown only on a terminal."""

    def __init__(
        self, console: Console, *columns: ProgressColumn, note: Callable[[], str] = lambda: ""
    ) -> None:
        """Create a bar.

        Args:
            console: Console on which the bar is shown.
            columns: Columns of the bar.
            note: Function that returns the line below the bar.
        """
        self._note = note
        super().__init__(*columns, console=console, transient=True, disable=not console.is_terminal)

    def get_renderables(self) -> Iterable[RenderableType]:
        """Yield the bar and the line below it."""
        yield from super().get_renderables()
        if note := self._note():
            yield Text(note)


def counting_bar(
    console: Console, noun: str, time: ProgressColumn, note: Callable[[], str] = lambda: ""
) -> Progress:
    """Return a bar that counts something, such as `training steps`, and on a terminal shows a time."""
    if in_notebook() and not console.quiet:
        return NotebookBar(noun, note)
    return Bar(console, TextColumn("{task.description}"), BarColumn(20), Count(noun), time, note=note)


def waiting_line(console: Console) -> Progress:
    """Return a line for an activity of unknown duration, on a terminal with the elapsed time."""
    if in_notebook() and not console.quiet:
        return NotebookBar("", lambda: "")
    return Bar(console, SpinnerColumn(), TextColumn("{task.description}"), Elapsed())


class Count(ProgressColumn):
    """Column with the completed and total number of items and their name."""

    def __init__(self, noun: str) -> None:
        super().__init__()
        self._noun = noun

    def render(self, task: Task) -> Text:
        """Return text such as `3 of 12 runs`."""
        return Text(f"{int(task.completed):,} of {int(task.total or 0):,} {self._noun}")


class Remaining(ProgressColumn):
    """Column with the estimated remaining time."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        """Return text such as `0:01:20 left`, or nothing before the first estimate."""
        seconds = task.time_remaining
        return Text("" if seconds is None else f"{_format_duration(seconds)} left")


class Elapsed(ProgressColumn):
    """Column with the elapsed time."""

    def render(self, task: Task) -> Text:
        """Return text such as `0:00:31 elapsed`."""
        return Text(f"{_format_duration(task.elapsed or 0)} elapsed")


def _format_duration(seconds: float) -> str:
    return str(timedelta(seconds=int(seconds)))
