"""MLflow as a mirror of run folders.

One thread of the launching process reads the folders while workers fill them and sends what is new,
many steps a call. Training never waits for it: a worker knows no MLflow. When a store does not answer,
the mirror warns once and tries again, ever less often, for as long as runs go on; what is left at the
end is sent within bounds, and `python -m rnnlab.sync` sends what then remains. As only this process speaks
to MLflow, no two of a sweep's runs can race to create the database.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rnnlab.mlflow_mirror.charts import shared_view
from rnnlab.mlflow_mirror.mirrored_run import FOLDER_TAG, HOST_TAG, ID_TAG, MirroredRun
from rnnlab.mlflow_mirror.store import error_line, import_mlflow, is_server, open_experiment
from rnnlab.runs.closing import close_run
from rnnlab.runs.folder import RunInUse
from rnnlab.runs.host import host
from rnnlab.runs.run_json import read_run_info

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

POLL_SECONDS = 2.0
MAX_WAIT_SECONDS = 30.0
"""Seconds between two attempts, at most."""
GIVE_UP_SECONDS = {True: 12.0, False: 90.0}
"""When all runs have ended: how long a store may take for one step forward. A request to a server waits ten
seconds; a database on this machine may first have to be made, by several commands one after the other."""
SEND_SECONDS, SECONDS_PER_RUN = 60.0, 3.0
"""When all runs have ended: how long a store that goes forward may take, and how much longer a run left."""
LEAVE_SECONDS = 1.0
"""How long the thread may take to leave a store alone."""
CORE_SHARE = 1 / 3
"""Of a core, taken on average while runs go on. A thread of lower priority would starve on a busy machine,
with the interpreter's lock in its hands, and nobody but root could raise its priority again."""
LOOK_AHEAD = 32
"""Runs that have not started are looked for among the next so many: runs start nearly in order."""
PROCESS_DIED = "its process died"


@dataclass
class MirrorReport:
    """What became of the mirroring.

    Attributes:
        experiment_id: None when MLflow was not reached.
        error: Why something is left to be sent, or None.
        unsent_runs: How many runs that concerns.
        closed_runs: Runs that a dead process had left as running, and that are closed now.
    """

    experiment_id: str | None = None
    error: str | None = None
    unsent_runs: int = 0
    closed_runs: int = 0


class Mirror:
    """Follows run folders until told that all runs have ended.

    Attributes:
        report: How it goes.
    """

    def __init__(self, uri: str, experiment: str, sweep: str, folders: Sequence[Path]) -> None:
        self.report = MirrorReport()
        self._uri, self._experiment, self._sweep = uri, experiment, sweep
        self._runs = [MirroredRun(folder, uri) for folder in folders]
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
        """All runs have ended: send the rest while the store takes it, within bounds, and say how it went.

        A store that hangs is left alone; its thread must not be waited for.

        Args:
            give_up: Whether to leave the rest to `rnnlab.sync`; asked again and again.
            show: Given how many runs are left, and for how many seconds they have been sent.
            is_interrupted: Whether a signal asked to end: then more runs get no more time.
        """
        self._ended.set()
        began = self._last_answer = now = time.monotonic()
        longest = SEND_SECONDS + (0 if is_interrupted else SECONDS_PER_RUN * self._count_unsent())
        problem, left, counted = None, self._count_unsent(), began
        while self._thread.is_alive() and not give_up():
            now = time.monotonic()
            if now - counted > 1:  # each count looks at a folder a run
                left, counted = self._count_unsent(), now
            show(left, now - began)
            trouble = self.report.error is not None  # then it has been tried for long
            patience = POLL_SECONDS if trouble else GIVE_UP_SECONDS[is_server(self._uri) and self._imported]
            if now - self._last_answer > patience:
                problem = "no answer"
                break
            if now - began > longest:
                problem = f"not done after {longest:.0f} s"
                break
            self._thread.join(0.1)
        self._abandoned.set()
        self.report.error = self.report.error or problem
        self._thread.join(LEAVE_SECONDS)
        self.report.unsent_runs = self._count_unsent()
        return self.report

    def _count_unsent(self) -> int:
        """How many runs MLflow does not have yet, or not all of."""
        return sum(not run.complete and run.folder.is_dir() for run in self._runs)

    def _follow(self) -> None:
        wait = POLL_SECONDS
        while True:
            last = self._ended.is_set()
            complete = sum(run.complete for run in self._runs)
            try:
                self._send()
                self.report.error, wait = None, POLL_SECONDS
            except Exception as error:  # whatever a tracker, its database or its server can raise
                if self._abandoned.is_set():
                    return
                self.report.error = error_line(error)
                wait = min(2 * wait, MAX_WAIT_SECONDS)
                last = last and sum(run.complete for run in self._runs) == complete  # else others may follow
            if last:
                return
            self._ended.wait(0 if self._ended.is_set() else wait)

    def _send(self) -> None:
        """Send what is new of all runs; after two failures in a row, the next call starts behind them.

        Raises:
            Exception: The last of what MLflow raised.
        """
        if self._client is None or self.report.experiment_id is None:
            import_mlflow(self._uri)
            self._imported = True
            self._note_answer()
            opened, experiment_id = open_experiment(self._uri, self._experiment)
            self._note_answer()
            client = cast("MlflowClient", _MonitoredClient(opened, self._note_answer, self._abandoned))
            client.set_experiment_tag(experiment_id, *shared_view(self._sweep))
            own = {run.folder for run in self._runs}
            self.report.closed_runs = close_abandoned(client, experiment_id, self._uri, own)
            self._client, self.report.experiment_id = client, experiment_id
            self._work_started = time.thread_time()  # a start is made once, and runs do not wait for it
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
        """Note that the store answers."""
        if not self._abandoned.is_set():
            self._last_answer, self.report.error = time.monotonic(), None

    def _yield_cores(self) -> None:
        """Leave the cores to training, while there is any, so that no more than a share of one is taken."""
        self._ended.wait((time.thread_time() - self._work_started) * (1 / CORE_SHARE - 1))
        self._work_started = time.thread_time()

    def _started_runs(self) -> list[MirroredRun]:
        """The runs of which something may be new."""
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
    """The store is left alone."""


class _MonitoredClient:
    """A client whose every answer is a step forward, and which asks nothing once the store is left alone."""

    def __init__(
        self, client: "MlflowClient", on_answer: Callable[[], None], abandoned: threading.Event
    ) -> None:
        self._client, self._on_answer, self._abandoned = client, on_answer, abandoned

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        def ask(*args: Any, **keys: Any) -> Any:
            if self._abandoned.is_set():
                raise _StoreAbandoned
            answer = method(*args, **keys)
            self._on_answer()
            return answer

        return ask


def close_abandoned(client: "MlflowClient", experiment_id: str, uri: str, leave: set[Path]) -> int:
    """Close the runs of this machine that MLflow shows as running and whose process is gone.

    Args:
        client: Of the store.
        experiment_id: Where to look.
        uri: Of the store.
        leave: Folders of runs that are about to be made, or looked after anyway.

    Returns:
        How many were closed.
    """
    running = f"attributes.status = 'RUNNING' and tags.`{HOST_TAG}` = '{host()}'"
    found = client.search_runs([experiment_id], running)
    return sum(
        _close(client, experiment_id, uri, run)
        for run in found
        if {FOLDER_TAG, ID_TAG} <= run.data.tags.keys()  # anybody may have made the others
        and (folder := Path(run.data.tags[FOLDER_TAG])).is_absolute()
        and folder not in leave
    )


def _close(client: "MlflowClient", experiment_id: str, uri: str, run: "Run") -> bool:
    folder = Path(run.data.tags[FOLDER_TAG])
    try:
        info = read_run_info(folder)
        if info is None or info["id"] != run.data.tags[ID_TAG]:
            client.set_terminated(run.info.run_id, "KILLED")  # its folder was removed
            return True
        close_run(folder, "killed", {"error": PROCESS_DIED})
    except (RunInUse, OSError, ValueError, KeyError):
        return False
    mirrored = MirroredRun(folder, uri)
    try:
        mirrored.update(client, experiment_id)
    except ValueError:  # a run.json of another version lacks what is sent
        return False
    if mirrored.run_id() == run.info.run_id:
        return True
    client.delete_run(run.info.run_id)  # made by a request whose answer was lost
    return False
