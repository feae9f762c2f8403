"""How far runs are, read from their folders, and how bars show it."""

from typing import Any

from rich.progress import ProgressColumn, Task
from rich.text import Text

from rnnlab.app.config.plan import Job
from rnnlab.mlflow_mirror.mirror import LOOK_AHEAD
from rnnlab.records import ENDED, GRAD_NORM, LOSS, STEPS_PER_SECOND
from rnnlab.runs.metrics_jsonl import MetricsReader
from rnnlab.runs.run_json import read_run_info


class SweepProgress:
    """How far several runs are.

    A sweep of thousands is looked at four times a second: only at runs that go on, and at the next few
    of those that have not started.
    """

    def __init__(self, runs: list["RunProgress"]) -> None:
        self.all = runs
        self._open = list(runs)
        self._steps_of_ended = self.ended = 0

    def refresh(self) -> None:
        """Read what is new."""
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
        """Training steps of all runs."""
        return self._steps_of_ended + sum(run.steps_done for run in self._open if run.started)


class RunProgress:
    """How far one run is, read from its folder."""

    def __init__(self, job: Job) -> None:
        self._folder, self._steps = job.folder, int(job.config["steps"])
        self._reader = MetricsReader(job.folder)
        self.latest: dict[str, Any] = {}
        self.steps_done = 0
        self.started = self.ended = False

    def refresh(self) -> None:
        """Read what is new."""
        try:
            info = read_run_info(self._folder)
        except ValueError:  # damaged; told at the end
            info = None
        self.started = info is not None
        for row in self._reader.new_rows():
            self.steps_done = min(row["step"] + 1, self._steps)
            self.latest.update({key: value for key, value in row.items() if value is not None})
        if info is not None and info["outcome"] in (*ENDED, "failed"):
            self.steps_done, self.ended = self._steps, True


class Latest(ProgressColumn):
    """Step, loss, gradient norm and speed of one run."""

    def __init__(self, run: RunProgress) -> None:
        super().__init__()
        self._run = run

    def render(self, task: Task) -> Text:
        """Show the last values."""
        latest = self._run.latest
        if LOSS not in latest:
            return Text("starting")
        return Text(
            f"step {int(task.completed)}/{int(task.total or 0)}  loss {latest[LOSS]:.3f}  "
            f"grad norm {latest.get(GRAD_NORM, float('nan')):.2g}  {latest[STEPS_PER_SECOND]:.0f} steps/s"
        )


class Count(ProgressColumn):
    """How many runs of a sweep have ended."""

    def __init__(self, runs: SweepProgress) -> None:
        super().__init__()
        self._runs = runs

    def render(self, task: Task) -> Text:
        """Show the count."""
        return Text(f"{self._runs.ended} of {len(self._runs.all)} runs")
