"""MLflow as a mirror of run folders.

One thread of the launching process reads the folders while workers fill them and sends what is new,
many steps a call. Training never waits for it: a worker knows no MLflow. When a store does not answer,
the mirror warns once and tries again, ever less often, for as long as runs go on; what is left at the
end is told, and `python -m rnnlab.sync` sends it. As only this process speaks to MLflow, no two of a
sweep's runs can race to create the database.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnnlab.tracking.charts import shared_view
from rnnlab.tracking.folder import RunInUse, close_run
from rnnlab.tracking.host import host
from rnnlab.tracking.mirrored_run import FOLDER_TAG, HOST_TAG, ID_TAG, MirroredRun
from rnnlab.tracking.run_file import read_run_info
from rnnlab.tracking.store import is_server, open_experiment, told

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

POLL_SECONDS = 2.0
LONGEST_WAIT = 30.0
"""Seconds between two attempts, at most."""
GIVE_UP_SECONDS = {True: 12.0, False: 90.0}
"""When all runs have ended: how long a store may take for one step forward. A request to a server waits ten
seconds; a database on this machine may first have to be made, by several commands one after the other."""
NICENESS = 10
LOOK_AHEAD = 32
"""Runs that have not started are looked for among the next so many: runs start nearly in order."""
DIED = "its process died"


@dataclass
class MirrorReport:
    """What became of the mirroring.

    Attributes:
        experiment_id: None when MLflow was not reached.
        error: Why something is left to be sent, or None.
        left: How many runs that concerns.
        closed: Runs that a dead process had left as running, and that are closed now.
    """

    experiment_id: str | None = None
    error: str | None = None
    left: int = 0
    closed: int = 0


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
        self._advanced = time.monotonic()
        self._first = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="mlflow-mirror", daemon=True)
        self._thread.start()

    def finish(self, give_up: Callable[[], bool]) -> MirrorReport:
        """All runs have ended: send the rest while the store takes it, and say how it went.

        A store that hangs is left alone; its thread must not be waited for.

        Args:
            give_up: Whether to leave the rest to `rnnlab.sync`; asked again and again.
        """
        self._ended.set()
        self._advanced = time.monotonic()
        while self._thread.is_alive() and not give_up():
            trouble = self.report.error is not None  # then it has been tried for long
            patience = POLL_SECONDS if trouble else GIVE_UP_SECONDS[is_server(self._uri)]
            if time.monotonic() - self._advanced > patience:
                self.report.error = self.report.error or "no answer"
                break
            self._thread.join(0.05)
        self.report.left = sum(not run.complete and run.folder.is_dir() for run in self._runs)
        return self.report

    def _follow(self) -> None:
        if sys.platform == "linux":  # where a thread has a priority of its own: training goes first
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        wait = POLL_SECONDS
        while True:
            last = self._ended.is_set()
            complete = sum(run.complete for run in self._runs)
            try:
                self._send()
                self.report.error, wait = None, POLL_SECONDS
            except Exception as error:  # whatever a tracker, its database or its server can raise
                self.report.error = told(error)
                wait = min(2 * wait, LONGEST_WAIT)
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
            client, experiment_id = open_experiment(self._uri, self._experiment)
            self._advanced = time.monotonic()
            client.set_experiment_tag(experiment_id, *shared_view(self._sweep))
            own = {run.folder for run in self._runs}
            self.report.closed = close_abandoned(client, experiment_id, self._uri, own)
            self._client, self.report.experiment_id = client, experiment_id
        failed_in_a_row, problem = 0, None
        started = self._started()
        for run in started[self._first :] + started[: self._first]:
            try:
                run.update(self._client, self.report.experiment_id)
            except Exception as error:
                failed_in_a_row, problem = failed_in_a_row + 1, error
                if failed_in_a_row == 2:
                    self._first = (started.index(run) + 1) % len(started)
                    break
            else:
                self._advanced, failed_in_a_row = time.monotonic(), 0
        else:
            self._first = 0
        if problem is not None:
            raise problem

    def _started(self) -> list[MirroredRun]:
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
        close_run(folder, "killed", {"error": DIED})
    except (RunInUse, OSError, ValueError, KeyError):
        return False
    mirrored = MirroredRun(folder, uri)
    mirrored.update(client, experiment_id)
    if mirrored.run_id() == run.info.run_id:
        return True
    client.delete_run(run.info.run_id)  # made by a request whose answer was lost
    return False
