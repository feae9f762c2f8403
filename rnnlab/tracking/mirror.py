"""MLflow as a mirror of run folders.

One thread of the launching process reads the folders while workers fill them and sends what is new,
many steps a call. Training never waits for it: a worker knows no MLflow. When a store does not answer,
the mirror warns once and tries again, ever less often, for as long as runs go on; what is left at the
end is told, and `python -m rnnlab.sync` sends it. As only this process speaks to MLflow, no two of a
sweep's runs can race to create the database.
"""

import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnnlab.tracking.charts import shared_view
from rnnlab.tracking.folder import RunInUse, close_run, read_run_info
from rnnlab.tracking.mirrored_run import FOLDER_TAG, HOST_TAG, MirroredRun
from rnnlab.tracking.store import is_server, open_experiment

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

MAX_ERROR = 120
POLL_SECONDS = 2.0
LONGEST_WAIT = 30.0
"""Seconds between two attempts, at most."""
GIVE_UP_SECONDS = {True: 12.0, False: 90.0}
"""When all runs have ended: how long a store may take for one step forward. A request to a server waits ten
seconds; a database on this machine may first have to be made, by several commands one after the other."""
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
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="mlflow-mirror", daemon=True)
        self._thread.start()

    def finish(self) -> MirrorReport:
        """All runs have ended: send the rest while the store takes it, and say how it went.

        A store that hangs is left alone; its thread must not be waited for.
        """
        self._ended.set()
        self._advanced = time.monotonic()
        while self._thread.is_alive():
            trouble = self.report.error is not None  # then it has been tried for long
            patience = POLL_SECONDS if trouble else GIVE_UP_SECONDS[is_server(self._uri)]
            if time.monotonic() - self._advanced > patience:
                break
            self._thread.join(0.05)
        if self._thread.is_alive():
            self.report.error = self.report.error or "no answer"
        return self.stopped()

    def stopped(self) -> MirrorReport:
        """How it went, as far as it went."""
        self.report.left = sum(not run.complete and run.folder.is_dir() for run in self._runs)
        if self.report.left and self.report.error is None:
            self.report.error = "interrupted"
        return self.report

    @property
    def at_work(self) -> bool:
        """Whether a request is still being made, which a process should not wait for at its end."""
        return self._thread.is_alive()

    def _follow(self) -> None:
        wait = POLL_SECONDS
        while True:
            last = self._ended.is_set()
            try:
                self._send()
                self.report.error, wait = None, POLL_SECONDS
            except Exception as error:  # whatever a tracker, its database or its server can raise
                self.report.error = told(error)
                wait = min(2 * wait, LONGEST_WAIT)
            if last:
                return
            self._ended.wait(wait)

    def _send(self) -> None:
        if self._client is None or self.report.experiment_id is None:
            client, experiment_id = open_experiment(self._uri, self._experiment)
            self._advanced = time.monotonic()
            client.set_experiment_tag(experiment_id, *shared_view(self._sweep))
            own = {run.folder for run in self._runs}
            self.report.closed = close_abandoned(client, experiment_id, self._uri, own)
            self._client, self.report.experiment_id = client, experiment_id
        not_started, failed_in_a_row, problem = 0, 0, None
        for run in list(self._runs):
            try:
                run.update(self._client, self.report.experiment_id)
            except Exception as error:
                failed_in_a_row, problem = failed_in_a_row + 1, error
                self._runs.remove(run)
                self._runs.append(run)  # the others come before it next time
                if failed_in_a_row == 2:
                    break
            else:
                self._advanced, failed_in_a_row = time.monotonic(), 0
            not_started += not run.folder.is_dir()
            if not_started > LOOK_AHEAD:
                break
        if problem is not None:
            raise problem


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
    closed = 0
    running = f"attributes.status = 'RUNNING' and tags.`{HOST_TAG}` = '{socket.gethostname()}'"
    for run in client.search_runs([experiment_id], running):
        folder = Path(run.data.tags[FOLDER_TAG])
        if folder in leave:
            continue
        if read_run_info(folder) is None:
            client.set_terminated(run.info.run_id, "KILLED")  # its folder was removed
        else:
            try:
                close_run(folder, "killed", {"error": DIED})
            except (RunInUse, OSError):
                continue
            mirrored = MirroredRun(folder, uri)
            mirrored.update(client, experiment_id)
            if mirrored.run_id() != run.info.run_id:
                client.delete_run(run.info.run_id)  # made by a request whose answer was lost
                continue
        closed += 1
    return closed


def told(error: Exception) -> str:
    """An exception's first line, in bounds."""
    line = (str(error).strip() or repr(error)).splitlines()[0]
    return line if len(line) <= MAX_ERROR else f"{line[:MAX_ERROR]} …"
