"""Mirroring of run folders to MLflow in a background thread.

While workers write the run folders, a thread of the launching process reads the folders and sends new data to
MLflow; each call sends the data of many training steps. Training never waits for MLflow, because workers do
not import MLflow. If the MLflow store does not respond, the mirror warns once and retries at increasing
intervals. Once all runs have ended, the mirror sends the remaining data within a time limit; the command
`python -m rnnlab.sync` can send any unsent data later. Only the launching process connects to MLflow, so the
runs of a sweep never try to create the database at the same time.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rnnlab.mlflow_mirror.charts import Params, run_colors, shared_view
from rnnlab.mlflow_mirror.mirrored_run import MirroredRun
from rnnlab.mlflow_mirror.new_run import FOLDER_TAG, HOST_TAG, ID_TAG
from rnnlab.mlflow_mirror.store import error_line, import_mlflow, is_server, open_experiment
from rnnlab.mlflow_mirror.summary_run import find_summary, open_summary
from rnnlab.runs.closing import close_run
from rnnlab.runs.folder import RunInUse
from rnnlab.runs.host_identity import host
from rnnlab.runs.run_json import read_run_info

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

POLL_SECONDS = 2.0
MAX_WAIT_SECONDS = 30.0
"""Longest pause, in seconds, between two attempts to reach the MLflow store."""
GIVE_UP_SECONDS = {True: 12.0, False: 90.0}
"""Seconds without a response after which the mirror gives up, once all runs have ended.

The entry for True applies to an MLflow server, where requests time out after 10 seconds. The entry for False
applies to a database. While one command creates a local database, other commands have to wait.
"""
SEND_SECONDS, SECONDS_PER_RUN = 60.0, 3.0
"""Time limit, in seconds, for sending data after all runs have ended: a base and an increment per run."""
LEAVE_SECONDS = 1.0
"""Seconds to wait for the mirror's thread to exit after the mirror has stopped sending data."""
CORE_SHARE = 1 / 3
"""Maximum mean fraction of one CPU core that the mirror uses while runs are in progress.

Lowering the priority of the mirror's thread would be unsafe. On a busy machine, a low-priority thread may get
no CPU time while holding Python's global interpreter lock. Only root could restore the priority.
"""
LOOK_AHEAD = 32
"""Maximum number of runs not yet started that the mirror checks per pass; runs start nearly in order."""
PROCESS_DIED = "its process died"


@dataclass
class MirrorReport:
    """Result of mirroring runs to MLflow.

    Attributes:
        experiment_id: MLflow experiment id; None if MLflow could not be reached.
        error: Reason why some data have not been sent to MLflow, or None.
        unsent_runs: Number of runs with data that have not been sent to MLflow.
        closed_runs: Number of runs that the mirror marked as killed because the run's process had died.
    """

    experiment_id: str | None = None
    error: str | None = None
    unsent_runs: int = 0
    closed_runs: int = 0


class Mirror:
    """Thread that mirrors run folders to MLflow until all runs have ended.

    Attributes:
        report: Current result of mirroring.
    """

    def __init__(
        self,
        uri: str,
        experiment: str,
        sweep: str,
        folders: Sequence[Path],
        params: Sequence[Params] = (),
        has_report: bool = False,
    ) -> None:
        """Start the thread.

        Args:
            uri: Tracking URI.
            experiment: Name of the MLflow experiment.
            sweep: Name of the sweep.
            folders: Folder of each run.
            params: Parameters of each run in MLflow, in the order of `folders`; empty if unknown.
            has_report: True if a report is written when the sweep ends.
        """
        self.report = MirrorReport()
        self._uri, self._experiment, self._sweep = uri, experiment, sweep
        self._params, self._has_report = params, has_report
        colors: Sequence[str | None] = run_colors(params) or [None] * len(folders)
        self._runs = [MirroredRun(folder, uri, color) for folder, color in zip(folders, colors, strict=True)]
        self._client: MlflowClient | None = None
        self._last_answer = time.monotonic()
        self._imported = False
        self._first = 0
        self._work_started = 0.0
        self._ended, self._abandoned = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._follow, name="mlflow-mirror", daemon=True)
        self._thread.start()

    def finish(
        self,
        give_up: Callable[[], bool],
        show: Callable[[int, float], None] = lambda left, seconds: None,
        is_interrupted: bool = False,
    ) -> MirrorReport:
        """Send the remaining data to MLflow within a time limit, and return the result.

        The mirror gives up if the store stops responding. The caller must not wait for the mirror's thread,
        which may still be blocked.

        Args:
            give_up: Function that returns True if the mirror should stop and leave the remaining data to
                `rnnlab.sync`.
            show: Function that displays the progress, given the number of unsent runs and the elapsed
                seconds.
            is_interrupted: True after a stop signal; the time limit then does not increase with the number of
                runs.
        """
        self._ended.set()
        began = self._last_answer = now = time.monotonic()
        longest = SEND_SECONDS + (0 if is_interrupted else SECONDS_PER_RUN * self._count_unsent())
        problem, left, counted = None, self._count_unsent(), began
        while self._thread.is_alive() and not give_up():
            now = time.monotonic()
            if now - counted > 1:  # each count checks one folder per run
                left, counted = self._count_unsent(), now
            show(left, now - began)
            has_failed = self.report.error is not None  # a failed attempt has already waited long
            patience = (
                POLL_SECONDS if has_failed else GIVE_UP_SECONDS[is_server(self._uri) and self._imported]
            )
            if now - self._last_answer > patience:
                problem = "no answer"
                break
            if now - began > longest:
                problem = f"not finished after {longest:.0f} s"
                break
            self._thread.join(0.1)
        self._abandoned.set()
        self.report.error = self.report.error or problem
        self._thread.join(LEAVE_SECONDS)
        self.report.unsent_runs = self._count_unsent()
        return self.report

    def _count_unsent(self) -> int:
        """Return the number of runs with data that have not been sent to MLflow."""
        return sum(not run.complete and run.folder.is_dir() for run in self._runs)

    def _follow(self) -> None:
        wait = POLL_SECONDS
        while True:
            last = self._ended.is_set()
            complete = sum(run.complete for run in self._runs)
            try:
                self._send()
                self.report.error, wait = None, POLL_SECONDS
            except Exception as error:  # MLflow, its database or its server may raise anything
                if self._abandoned.is_set():
                    return
                self.report.error = error_line(error)
                wait = min(2 * wait, MAX_WAIT_SECONDS)
                last = last and sum(run.complete for run in self._runs) == complete  # stop without progress
            if last:
                return
            self._ended.wait(0 if self._ended.is_set() else wait)

    def _send(self) -> None:
        """Send the new data of all runs, but stop after two consecutive failures.

        After two consecutive failures, the next call starts with the run that follows the second failed run.

        Raises:
            Exception: If sending fails for at least one run; the most recent exception is raised.
        """
        if self._client is None or self.report.experiment_id is None:
            import_mlflow(self._uri)
            self._imported = True
            self._note_answer()
            opened, experiment_id = open_experiment(self._uri, self._experiment)
            self._note_answer()
            client = cast("MlflowClient", _MonitoredClient(opened, self._note_answer, self._abandoned))
            client.set_experiment_tag(experiment_id, *shared_view(self._sweep, self._params))
            summary_id = open_summary(client, experiment_id, self._sweep) if self._has_report else None
            for run in self._runs:
                run.summary_id = summary_id
            own = {run.folder for run in self._runs}
            self.report.closed_runs = close_abandoned(client, experiment_id, self._uri, own)
            self._client, self.report.experiment_id = client, experiment_id
            self._work_started = time.thread_time()  # the one-time start does not count
        failed_in_a_row, problem = 0, None
        started = self._started_runs()
        for run in started[self._first :] + started[: self._first]:
            try:
                run.update(self._client, self.report.experiment_id)
            except Exception as error:
                failed_in_a_row, problem = failed_in_a_row + 1, error
                if failed_in_a_row == 2:
                    self._first = (started.index(run) + 1) % len(started)
                    break
            else:
                failed_in_a_row = 0
            self._yield_cores()
        else:
            self._first = 0
        if problem is not None:
            raise problem

    def _note_answer(self) -> None:
        """Record that the store has responded."""
        if not self._abandoned.is_set():
            self._last_answer, self.report.error = time.monotonic(), None

    def _yield_cores(self) -> None:
        """Pause to keep the mirror's CPU use below CORE_SHARE while runs are in progress."""
        self._ended.wait((time.thread_time() - self._work_started) * (1 / CORE_SHARE - 1))
        self._work_started = time.thread_time()

    def _started_runs(self) -> list[MirroredRun]:
        """Return the started runs that may have new data to send."""
        started, not_started = [], 0
        for run in self._runs:
            if run.folder.is_dir():
                started.append(run)
            else:
                not_started += 1
                if not_started > LOOK_AHEAD:
                    break
        return [run for run in started if not run.ended]


class _StoreAbandoned(Exception):
    """Exception raised on an attempt to send a request after the mirror has given up."""


class _MonitoredClient:
    """MLflow client that reports each response and sends no requests once the mirror has given up."""

    def __init__(
        self, client: "MlflowClient", on_answer: Callable[[], None], abandoned: threading.Event
    ) -> None:
        self._client, self._on_answer, self._abandoned = client, on_answer, abandoned

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        def call(*args: Any, **keys: Any) -> Any:
            if self._abandoned.is_set():
                raise _StoreAbandoned
            answer = method(*args, **keys)
            self._on_answer()
            return answer

        return call


def close_abandoned(client: "MlflowClient", experiment_id: str, uri: str, leave: set[Path]) -> int:
    """Mark as killed each run on this machine that MLflow lists as running although its process has died.

    Args:
        client: MLflow client of the store.
        experiment_id: Experiment to search.
        uri: URI of the store.
        leave: Folders to skip, namely the folders of runs that the current process executes or mirrors.

    Returns:
        Number of runs marked as killed.
    """
    running = f"attributes.status = 'RUNNING' and tags.`{HOST_TAG}` = '{host()}'"
    runs = client.search_runs([experiment_id], running)
    return sum(
        _close(client, experiment_id, uri, run)
        for run in runs
        if {FOLDER_TAG, ID_TAG} <= run.data.tags.keys()  # other runs may come from another program
        and (folder := Path(run.data.tags[FOLDER_TAG])).is_absolute()
        and folder not in leave
    )


def _close(client: "MlflowClient", experiment_id: str, uri: str, run: "Run") -> bool:
    folder = Path(run.data.tags[FOLDER_TAG])
    try:
        info = read_run_info(folder)
        if info is None or info["id"] != run.data.tags[ID_TAG]:
            client.set_terminated(run.info.run_id, "KILLED")  # the run folder is gone
            return True
        close_run(folder, "killed", {"error": PROCESS_DIED})
    except (RunInUse, OSError, ValueError, KeyError):
        return False
    mirrored = MirroredRun(folder, uri)
    try:
        mirrored.summary_id = find_summary(client, experiment_id, run.data.tags.get("sweep", ""))
        mirrored.update(client, experiment_id)
    except ValueError:  # a run.json of another version lacks required keys
        return False
    if mirrored.run_id() == run.info.run_id:
        return True
    client.delete_run(run.info.run_id)  # duplicate from a request whose answer was lost
    return False
