"""MLflow as a mirror of run folders.

One thread of the launching process reads the folders while workers fill them and sends what is new,
many steps a call. Training never waits for it: a worker knows no MLflow, and when a server does not
answer, the mirror gives up after bounded retries with one message, and the folders are complete.
As only this process speaks to MLflow, no two of a sweep's runs can race to create the database.
"""

import json
import logging
import os
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rnnlab.records import (
    CLIP_COEFFICIENT,
    CLIP_COSINE,
    CLIP_RATE,
    FIGURES_FOLDER,
    GRAD_NORM,
    GRAD_NORM_CLIPPED,
    GRADIENTS_FILE,
    LOSS,
    MLFLOW_METRICS,
    NORM_QUANTILES,
    TIMELINE_FOLDER,
)
from rnnlab.tracking.charts import DESCRIPTION, RUN_COLORS, shared_view
from rnnlab.tracking.folder import MetricsReader, read_run_info

if TYPE_CHECKING:
    from mlflow.entities import Metric
    from mlflow.tracking import MlflowClient

DATABASE_SCHEMES = ("sqlite", "postgresql", "mysql", "mssql")
SERVER_SCHEMES = ("http", "https")
PER_STEP = (LOSS, GRAD_NORM, GRAD_NORM_CLIPPED, CLIP_RATE, CLIP_COSINE, CLIP_COEFFICIENT)
TIMELINE_IMAGE = "lag curve over training"
UI_PORT = 5000
MAX_ERROR = 120
POLL_SECONDS = 2.0
BATCH = 1000  # MLflow's limit for one call
STATUS = {"failed": "FAILED", "killed": "KILLED"}
# Else the UI takes the experiment for one with language models.
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
DATABASE_ATTEMPTS = 4  # a second in all; MLflow has no setting for its own ten, which take 100 seconds
# Bounds what an unreachable server can cost; MLflow's own defaults wait four minutes.
PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def tracking_uri(configured: str | None) -> str:
    """The configured URI, or MLFLOW_TRACKING_URI, or `mlflow.db` in the current folder."""
    return configured or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / 'mlflow.db'}"


def uri_problem(uri: str) -> str | None:
    """Say what is wrong with a tracking URI, without importing MLflow."""
    scheme = urlsplit(uri).scheme.partition("+")[0]
    if scheme not in (*DATABASE_SCHEMES, *SERVER_SCHEMES):
        return "must be sqlite:///<file>, http(s)://<server> or a database; MLflow 3 takes no plain folder"
    database = sqlite_file(uri)
    if database is not None and not database.parent.is_dir():
        return f"the folder {database.parent} does not exist"
    return None


def sqlite_file(uri: str) -> Path | None:
    """The database file of a SQLite URI, else None."""
    prefix = "sqlite:///"
    return Path(uri.removeprefix(prefix)).absolute() if uri.startswith(prefix) else None


def is_server(uri: str) -> bool:
    """Whether the URI is of a running MLflow server rather than of a database."""
    return urlsplit(uri).scheme in SERVER_SCHEMES


def ui_address(uri: str, port: int = UI_PORT) -> str:
    """Where a browser finds the UI: at the server itself, or where `rnnlab.ui` serves a database."""
    return uri if is_server(uri) else f"http://127.0.0.1:{port}"


def connect(uri: str) -> "MlflowClient":
    """Import MLflow, late because that takes a second, and return a client that gives up in time."""
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    from mlflow.tracking import MlflowClient

    for name in ("alembic", "mlflow"):  # after the import, which sets its own levels
        logging.getLogger(name).setLevel(logging.WARNING)
    if not is_server(uri):
        from mlflow.store.db import utils

        utils.MAX_RETRY_COUNT = DATABASE_ATTEMPTS
        logging.getLogger(utils.__name__).setLevel(logging.ERROR)  # each attempt is three lines
    return MlflowClient(tracking_uri=uri)


def open_experiment(uri: str, name: str) -> tuple["MlflowClient", str]:
    """Return a client and the id of the experiment, both database and experiment made if need be.

    A SQLite file is made under a lock: two commands that start at once on a fresh file would
    otherwise create the same tables, and one of them would lose its runs.
    """
    from filelock import FileLock

    database = sqlite_file(uri)
    with FileLock(f"{database}.lock") if database else nullcontext():
        client = connect(uri)
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            location = (database.parent / "mlartifacts").as_uri() if database else None
            return client, client.create_experiment(name, artifact_location=location, tags=EXPERIMENT_TAGS)
        if experiment.lifecycle_stage != "active":
            raise RuntimeError(f"the experiment {name!r} is deleted; restore it or name another")
        return client, str(experiment.experiment_id)


@dataclass
class MirrorReport:
    """What became of the mirroring.

    Attributes:
        experiment_id: None when MLflow was not reached.
        error: Why it stopped early, or None.
    """

    experiment_id: str | None = None
    error: str | None = None


class Mirror:
    """Follows run folders until told that all runs have ended."""

    def __init__(self, uri: str, experiment: str, sweep: str, points: int, folders: Sequence[Path]) -> None:
        self.report = MirrorReport()
        self._uri, self._experiment, self._sweep = uri, experiment, sweep
        self._runs = [
            _MirroredRun(folder, points, color)
            for folder, color in zip(folders, cycle(RUN_COLORS), strict=False)
        ]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="mlflow-mirror", daemon=True)
        self._thread.start()

    def finish(self) -> MirrorReport:
        """All runs have ended: send the rest, and say how it went."""
        self._ended.set()
        self._thread.join()
        return self.report

    def _follow(self) -> None:
        try:
            client, self.report.experiment_id = open_experiment(self._uri, self._experiment)
            client.set_experiment_tag(self.report.experiment_id, *shared_view(self._sweep))
            while True:
                ended = self._ended.is_set()
                for run in self._runs:
                    run.update(client, self.report.experiment_id)
                if ended:
                    return
                self._ended.wait(POLL_SECONDS)
        except Exception as error:  # whatever a tracker, its database or its server can raise
            told = (str(error).strip() or repr(error)).splitlines()[0]
            self.report.error = told if len(told) <= MAX_ERROR else f"{told[:MAX_ERROR]} …"


class _MirroredRun:
    """One run folder and its MLflow run."""

    def __init__(self, folder: Path, points: int, color: str) -> None:
        self._folder = folder
        self._color = color
        self._points = points
        self._reader = MetricsReader(folder)
        self._run_id: str | None = None
        self._stride = 1
        self._started_ms = 0
        self._held_back: list[Metric] = []
        self._complete = False

    def update(self, client: "MlflowClient", experiment_id: str) -> None:
        """Send what the folder has and MLflow has not."""
        if self._complete or (info := read_run_info(self._folder)) is None:
            return
        if self._run_id is None:
            self._open(client, experiment_id, info)
        assert self._run_id is not None
        ended = info["outcome"] is not None
        metrics = [metric for row in self._reader.new_rows() for metric in self._as_metrics(row)]
        if ended:
            metrics += self._held_back + list(self._curves()) + self._summary(info)
        for start in range(0, len(metrics), BATCH):
            client.log_batch(self._run_id, metrics=metrics[start : start + BATCH])
        if ended:
            client.log_artifacts(self._run_id, str(self._folder))
            self._send_timeline(client)
            client.set_tag(self._run_id, "outcome", info["outcome"])
            if regime := (info.get("summary") or {}).get("regime"):
                client.set_tag(self._run_id, "regime", regime)
            status = STATUS.get(info["outcome"], "FINISHED")
            client.set_terminated(self._run_id, status, end_time=round(1000 * info["ended"]))
            self._complete = True

    def _open(self, client: "MlflowClient", experiment_id: str, info: dict[str, Any]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag, Param

        self._started_ms = round(1000 * info["started"])
        self._stride = max(1, -(-int(info["steps"]) // self._points))
        run = client.create_run(
            experiment_id,
            start_time=self._started_ms,
            tags=info["tags"] | {"mlflow.runColor": self._color, "mlflow.note.content": DESCRIPTION},
            run_name=info["name"],
        )
        self._run_id = run.info.run_id
        client.log_batch(self._run_id, params=[Param(key, value) for key, value in info["params"].items()])
        data = info["dataset"]
        dataset = Dataset(data["name"], data["digest"], "local", json.dumps({"uri": data["source"]}))
        client.log_inputs(
            self._run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])]
        )

    def _as_metrics(self, row: dict[str, Any]) -> list["Metric"]:
        """A row's metrics for MLflow; those of every step thinned to every `stride`-th, and the last."""
        from mlflow.entities import Metric

        timestamp = self._started_ms + round(1000 * row["seconds"])
        sent: list[Metric] = []
        held_back: list[Metric] = []
        for key, value in row.items():
            by_lag = "_by_lag/" in key and not key.startswith("log10_x_")  # the curve itself says as much
            if value is None or not (key in MLFLOW_METRICS or by_lag):
                continue
            metric = Metric(key, value, timestamp, row["step"])
            on_stride = key not in PER_STEP or row["step"] % self._stride == 0
            (sent if on_stride else held_back).append(metric)
        if LOSS in row:
            self._held_back = held_back
        return sent

    def _summary(self, info: dict[str, Any]) -> list["Metric"]:
        """What is known of a run as a whole alone."""
        from mlflow.entities import Metric

        now, summary = round(1000 * info["ended"]), info.get("summary") or {}
        return [
            Metric(key, summary[key], now, int(info["steps"])) for key in NORM_QUANTILES if key in summary
        ]

    def _send_timeline(self, client: "MlflowClient") -> None:
        """The images that MLflow shows with a slider over training steps."""
        from PIL import Image

        assert self._run_id is not None
        for path in sorted((self._folder / FIGURES_FOLDER / TIMELINE_FOLDER).glob("*.png")):
            with Image.open(path) as image:
                client.log_image(self._run_id, image, key=TIMELINE_IMAGE, step=int(path.stem))

    def _curves(self) -> Sequence["Metric"]:
        """The first and the last lag curve and profile over time, whose x is the lag or time step."""
        import pyarrow.compute as pc
        import pyarrow.parquet as pq
        from mlflow.entities import Metric

        path = self._folder / GRADIENTS_FILE
        if not path.is_file() or (table := pq.read_table(path)).num_rows == 0:
            return []
        quantities = set(table["quantity"].to_pylist())
        shown = {"lag": ("h", "c", "state", "x"), "time": ("h", "c")}
        shown["lag"] = shown["lag"] if "c" in quantities else ("h", "x")  # else state is h
        limits = pc.min_max(table["step"]).as_py()
        now = round(1000 * time.time())
        metrics = []
        for name, step in (("first", limits["min"]), ("last", limits["max"])):
            for row in table.filter(pc.equal(table["step"], step)).to_pylist():
                axis, x = ("time", row["timestep"]) if row["lag"] is None else ("lag", row["lag"])
                of_last = row["target"] is None
                if row["quantity"] in shown[axis] and of_last and row["log10_gmean"] is not None:
                    key = f"log10_{row['quantity']}_{axis}/{name}"
                    metrics.append(Metric(key, row["log10_gmean"], now, x))
        return metrics
