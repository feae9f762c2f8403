"""Progress of runs, read from the run folders, and the columns of the progress bar."""

from typing import Any

from rich.progress import ProgressColumn, Task
from rich.text import Text

from rnnlab.app.config.plan import Job
from rnnlab.mlflow_mirror.mirror import LOOK_AHEAD
from rnnlab.records import ENDED, GRAD_NORM, LOSS, STEPS_PER_SECOND
from rnnlab.runs.metrics_jsonl import MetricsReader
from rnnlab.runs.run_json import read_run_info


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


class RunProgress:
    """Progress of one run, read from its folder."""

    def __init__(self, job: Job) -> None:
        self._folder, self._steps = job.folder, int(job.config["steps"])
        self._reader = MetricsReader(job.folder)
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
        for row in self._reader.new_rows():
            self.steps_done = min(row["step"] + 1, self._steps)
            self.latest.update({key: value for key, value in row.items() if value is not None})
        if info is not None and info["outcome"] in (*ENDED, "failed"):
            self.steps_done, self.ended = self._steps, True


class Latest(ProgressColumn):
    """Progress-bar column with the step, loss, gradient norm and speed of one run."""

    def __init__(self, run: RunProgress) -> None:
        super().__init__()
        self._run = run

    def render(self, task: Task) -> Text:
        """Return the latest metrics of the run as text."""
        latest = self._run.latest
        if LOSS not in latest:
            return Text("starting")
        return Text(
            f"step {int(task.completed)}/{int(task.total or 0)}  loss {latest[LOSS]:.3f}  "
            f"gradient norm {latest.get(GRAD_NORM, float('nan')):.2g}  {latest[STEPS_PER_SECOND]:.0f} steps/s"
        )


class Count(ProgressColumn):
    """Progress-bar column with the number of finished runs in a sweep."""

    def __init__(self, runs: SweepProgress) -> None:
        super().__init__()
        self._runs = runs

    def render(self, task: Task) -> Text:
        """Return the number of finished runs as text."""
        return Text(f"{self._runs.ended} of {len(self._runs.all)} runs")
