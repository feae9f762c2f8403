"""Synchronisation of one run folder with its MLflow run.

The data sent to MLflow, including timestamps, depend only on the run folder, and MLflow stores a repeated
value only once. Resending data after a crash or a lost response therefore creates no duplicates. To avoid
unnecessary resending, rnnlab keeps a record of the data already sent to each MLflow store in the file
`mlflow.json` of the run folder.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from rnnlab.metric_table import MAIN_METRICS, METRICS, is_per_step, is_shown
from rnnlab.mlflow_mirror.description import NOTE_TAG, describe_run, is_unedited
from rnnlab.mlflow_mirror.ledger import LEDGER_FILE, NOTHING_SENT, Ledger
from rnnlab.mlflow_mirror.links import run_link, run_route
from rnnlab.mlflow_mirror.new_run import (
    FOLDER_TAG,
    HOST_TAG,
    create_run,
    find_runs,
    log_params_and_data,
    to_milliseconds,
)
from rnnlab.mlflow_mirror.store import LOCK_SECONDS
from rnnlab.mlflow_mirror.timeline import send_timeline
from rnnlab.records import (
    ENDED,
    FIGURES_FOLDER,
    GRADIENTS_FILE,
    LOSS,
    METRICS_FILE,
    REPORT_FILE,
    TIMELINE_FOLDER,
)
from rnnlab.runs.advance import read_advance
from rnnlab.runs.checkpoint import CHECKPOINT_FILE, GRADIENT_LOG
from rnnlab.runs.files import DamagedFile, link_in
from rnnlab.runs.folder import latest_machine
from rnnlab.runs.metrics_jsonl import MetricsReader, last_rows
from rnnlab.runs.run_json import read_run_info
from rnnlab.text import sanitize_values

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run
    from mlflow.tracking import MlflowClient

BATCH = 1000  # MLflow's limit for one call
CHUNK_BYTES = 4_000_000
"""Maximum number of bytes of `metrics.jsonl` read in one pass."""
STATUS = {"failed": "FAILED", "killed": "KILLED"}
MIRROR_LOCK = ".mirroring"
REQUIRED_KEYS = (
    "id",
    "name",
    "number",
    "steps",
    "params",
    "dataset",
    "tracking",
    "tags",
    "machine",
    "started",
)
"""Keys that `run.json` must contain before the run can be sent to MLflow."""
NOT_ARTIFACTS = (LEDGER_FILE, CHECKPOINT_FILE, GRADIENT_LOG)


class MirroredRun:
    """Run folder whose new data are sent to MLflow.

    Attributes:
        complete: True once MLflow has received all data from the run folder.
        deleted: True if the run was deleted in MLflow; a deleted run is not sent again.
        outdated: True if the run folder is an old copy and MLflow already contains more recent data for the
            run.
        ended: True once no further data will be sent from the run folder.
        summary_id: MLflow run id of the sweep's summary run, to which the description of the run links; None
            if the sweep has no summary run.
    """

    def __init__(self, folder: Path, uri: str, color: str | None = None) -> None:
        """Set up the run.

        Args:
            folder: Run folder.
            uri: Tracking URI.
            color: Colour of the run in MLflow's charts; None for the colour of the run's cell.
        """
        self.folder, self._uri, self._color = folder, uri, color
        self.summary_id: str | None = None
        self._ledger = Ledger(folder, uri)
        self.complete = self.deleted = self.outdated = False
        self.ended = self._is_checked = False
        self._has_artifacts = True  # unless this object has created the MLflow run

    def update(self, client: "MlflowClient", experiment_id: str) -> bool:
        """Send any new data to MLflow, and return False if no new data were found.

        Raises:
            DamagedFile: If the folder contains a symbolic link.
            Exception: If MLflow, the database or the server fails; no data are lost or duplicated.
        """
        if self.ended or not self.folder.is_dir():
            return False
        if not self._is_checked and (link := link_in(self.folder)):
            raise DamagedFile(f"{link}: symbolic link; refusing to read through it")
        with FileLock(self.folder / MIRROR_LOCK, LOCK_SECONDS):
            if (info := sanitize_values(read_run_info(self.folder, REQUIRED_KEYS))) is None:
                return False
            if not self._is_checked:
                self._check(client, info)
            try:
                return not self.ended and self._update(client, experiment_id, info)
            except Exception:
                self._is_checked = False  # the run may have been deleted in the meantime
                self._has_artifacts = True
                raise

    def _check(self, client: "MlflowClient", info: dict[str, Any]) -> None:
        """Check whether the run has been deleted in MLflow and whether the run folder is an outdated copy."""
        from mlflow.exceptions import MlflowException

        run_id = self.run_id()
        if run_id is not None:
            try:
                run = client.get_run(run_id)
                self.deleted = run.info.lifecycle_stage == "deleted"
                self.outdated = _is_outdated(self.folder, info, run)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                self._ledger.write({})  # another database has the same address
        self.complete = self.ended = self.deleted or self.outdated
        self._is_checked = True

    def run_id(self) -> str | None:
        """Return the id of the MLflow run, or None if no MLflow run has been created yet."""
        return self._ledger.entry().get("run_id")

    def _update(self, client: "MlflowClient", experiment_id: str, info: dict[str, Any]) -> bool:
        entry = self._ledger.entry()
        outcome = info["outcome"]
        if outcome is not None and entry.get("sent") == [outcome, info["ended"]]:
            self.complete, self.ended = True, outcome in ENDED  # other outcomes may still be resumed
            return False
        self.complete = False
        if "run_id" not in entry:
            existing = find_runs(client, experiment_id, info)
            if existing and _is_outdated(self.folder, info, existing[0]):
                self.outdated = self.complete = self.ended = True
                return False
            if existing:
                run_id = log_params_and_data(client, existing[0], info)
            else:
                run_id = self._create(client, experiment_id, info)
            entry |= {"run_id": run_id, "link": run_link(self._uri, experiment_id, run_id), **NOTHING_SENT}
            self._ledger.write(entry)
        if outcome is None and entry.get("sent"):  # the run has been resumed
            client.update_run(entry["run_id"], status="RUNNING")
            tags = {HOST_TAG: latest_machine(info).get("host") or "", "outcome": "running"}
            tags |= self._new_description(client, experiment_id, entry["run_id"], info)
            _set_tags(client, entry["run_id"], tags)
            entry["sent"] = None
            self._ledger.write(entry)
        sent = self._send_rows(client, experiment_id, entry, info)
        if outcome is None:
            return sent
        run_id = entry["run_id"]
        if outcome in ENDED:
            _log(client, run_id, self._final_metrics(info))
        tags = self._new_description(client, experiment_id, run_id, info) | {"outcome": outcome}
        if regime := (info.get("summary") or {}).get("regime"):
            tags["regime"] = regime
        _set_tags(client, run_id, tags)
        self._send_artifacts(client, run_id)  # before the final status, after which users may open the files
        client.set_terminated(
            run_id, STATUS.get(outcome, "FINISHED"), end_time=to_milliseconds(info["ended"])
        )
        for other in find_runs(client, experiment_id, info):
            if other.info.run_id != run_id:
                client.delete_run(other.info.run_id)  # duplicate from a request whose answer was lost
        entry["sent"] = [outcome, info["ended"]]
        self._ledger.write(entry)
        self.complete, self.ended = True, outcome in ENDED
        return True

    def _create(self, client: "MlflowClient", experiment_id: str, info: dict[str, Any]) -> str:
        description = self._describe(experiment_id, info | {"outcome": None, "summary": {}})
        run_id = create_run(client, experiment_id, self.folder, info, self._color, description)
        self._has_artifacts = False
        return run_id

    def _describe(self, experiment_id: str, info: dict[str, Any]) -> str:
        summary_id = self.summary_id
        report = None if summary_id is None else run_route(experiment_id, summary_id, REPORT_FILE)
        return describe_run(info, report)

    def _new_description(
        self, client: "MlflowClient", experiment_id: str, run_id: str, info: dict[str, Any]
    ) -> dict[str, str]:
        """Return the tag with the current description; empty if a user has edited the description."""
        if is_unedited(client.get_run(run_id).data.tags.get(NOTE_TAG)):
            return {NOTE_TAG: self._describe(experiment_id, info)}
        return {}

    def _send_rows(
        self, client: "MlflowClient", experiment_id: str, entry: dict[str, Any], info: dict[str, Any]
    ) -> bool:
        reader, sent = MetricsReader(self.folder, entry["position"], entry["tail"]), False
        while (rows := reader.new_rows(CHUNK_BYTES)) or reader.position != entry["position"]:
            if reader.restarted:  # MLflow cannot remove sent values, so a new run replaces this one
                replaced, reader.restarted = entry["run_id"], False
                run_id = self._create(client, experiment_id, info)
                entry |= {
                    "run_id": run_id,
                    "link": run_link(self._uri, experiment_id, run_id),
                    **NOTHING_SENT,
                }
                self._ledger.write(entry)
                client.delete_run(replaced)
            _log(client, entry["run_id"], [metric for row in rows for metric in _thin_row(row, info)])
            entry |= {"position": reader.position, "tail": reader.tail}
            self._ledger.write(entry)
            sent = True
        return sent

    def _final_metrics(self, info: dict[str, Any]) -> list["Metric"]:
        """Return the metrics that are sent only after the run has ended."""
        from mlflow.entities import Metric

        now, summary = to_milliseconds(info["ended"]), info.get("summary") or {}
        keys = [row.name for row in METRICS if row.when == "end" and row.mlflow and row.name in summary]
        metrics = [Metric(key, summary[key], now, int(info["steps"])) for key in keys]
        last = _last_training_row(self.folder)
        if last is not None and last["step"] % _stride(info):  # otherwise already sent
            metrics += _as_metrics(last, info, [key for key in last if is_shown(key) and is_per_step(key)])
        return metrics + _curves(self.folder, info.get("states") or ("h", "c"), now)

    def _send_artifacts(self, client: "MlflowClient", run_id: str) -> None:
        for path in sorted(self.folder.iterdir()):
            if path.is_dir():
                client.log_artifacts(run_id, str(path), path.name)
            elif not path.name.startswith(".") and path.name not in NOT_ARTIFACTS:
                client.log_artifact(run_id, str(path))
        images = self.folder / FIGURES_FOLDER / TIMELINE_FOLDER
        send_timeline(client, run_id, images, is_first=not self._has_artifacts)
        self._has_artifacts = True


def _is_outdated(folder: Path, info: dict[str, Any], run: "Run") -> bool:
    """Return True if `folder` is less recent than MLflow or the folder from which the run was first sent."""
    if info["outcome"] in ENDED:
        return False
    if run.data.tags.get("outcome") in ENDED:
        return True
    original = Path(run.data.tags.get(FOLDER_TAG) or folder)
    if original == folder:
        return False
    with suppress(ValueError, OSError):
        other = read_run_info(original)
        if other is not None and other.get("id") == info["id"]:
            return read_advance(other, original / METRICS_FILE) > read_advance(info, folder / METRICS_FILE)
    return False


def _log(client: "MlflowClient", run_id: str, metrics: Sequence["Metric"]) -> None:
    for start in range(0, len(metrics), BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + BATCH])


def _stride(info: dict[str, Any]) -> int:
    """Return the interval, in training steps, at which values of per-step metrics are sent to MLflow."""
    return max(1, -(-int(info["steps"]) // int(info["tracking"]["points"])))


def _thin_row(row: dict[str, Any], info: dict[str, Any]) -> list["Metric"]:
    between = row["step"] % _stride(info) != 0
    return _as_metrics(
        row, info, [key for key in row if is_shown(key) and not (between and is_per_step(key))]
    )


def _as_metrics(row: dict[str, Any], info: dict[str, Any], keys: Sequence[str]) -> list["Metric"]:
    from mlflow.entities import Metric

    timestamp = to_milliseconds(info["started"] + (row.get("seconds") or 0))
    present = [key for key in keys if row.get(key) is not None]
    first = [key for key in MAIN_METRICS if key in present]  # MLflow lists metrics in the order of arrival
    return [Metric(key, row[key], timestamp, row["step"]) for key in dict.fromkeys((*first, *present))]


def _last_training_row(folder: Path) -> dict[str, Any] | None:
    return next((row for row in last_rows(folder / METRICS_FILE) if LOSS in row), None)


def _curves(folder: Path, states: Sequence[str], timestamp: int) -> list["Metric"]:
    """Return the first and last curves of the states as metrics; MLflow's step is the lag or time step."""
    import pyarrow.compute as pc
    from mlflow.entities import Metric

    from rnnlab.cells import split_layer
    from rnnlab.runs.gradient_table import read_gradients

    path = folder / GRADIENTS_FILE
    if not path.is_file() or (table := read_gradients(path)).num_rows == 0:
        return []
    recorded = set(pc.unique(table["quantity"]).to_pylist())
    is_stack = len(pc.unique(table["layer"])) > 1
    if is_stack:
        states = sorted({split_layer(name)[1] for name in states})
    is_same = (
        not is_stack and len(recorded.intersection(states)) == 1
    )  # `state` is the curve of the only state
    joint = set() if is_same else {"state"}
    shown = {"time": set(states), "lag": {*states, "x"} | joint}
    limits = pc.min_max(table["step"]).as_py()
    metrics = []
    for name, step in (("first", limits["min"]), ("last", limits["max"])):
        for row in table.filter(pc.equal(table["step"], step)).to_pylist():
            axis, x = ("time", row["timestep"]) if row["lag"] is None else ("lag", row["lag"])
            layer = f"l{row['layer']}." if is_stack and row["layer"] else ""
            if layer and row["quantity"] == "state":  # the states of the layer are shown
                continue
            key = f"log10_{layer}{row['quantity']}_{axis}/{name}"
            if row["target"] is not None or row["log10_gmean"] is None or row["quantity"] not in shown[axis]:
                continue
            if is_shown(key):
                metrics.append(Metric(key, row["log10_gmean"], timestamp, x))
    return metrics


def _set_tags(client: "MlflowClient", run_id: str, tags: dict[str, str]) -> None:
    """Set all tags in one request, because each request to a database waits for the disk."""
    from mlflow.entities import RunTag

    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
