"""A fake MLflow in memory, with MLflow's type checks."""

import uuid
from types import SimpleNamespace
from typing import Any

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException


class Page(list[Any]):
    """The only page of search results."""

    token = None


class Store:
    """The part of `MlflowClient` that rnnlab uses, with the type checks of its protocol.

    Attributes:
        runs: Runs by id.
    """

    def __init__(self) -> None:
        self.runs: dict[str, Any] = {}

    def open(self, _uri: str, _name: str) -> tuple["Store", str]:
        return self, "1"

    def set_experiment_tag(self, _experiment: str, key: str, value: str) -> None:
        _check(str, key, value)

    def search_runs(self, _experiments: list[str], wanted: str, **_: Any) -> "Page":
        tag = "sweep" if wanted.startswith("tags.sweep ") else "rnnlab.id"
        found = (run for run in self.runs.values() if f"'{run.data.tags.get(tag)}'" in wanted)
        return Page() if "summary_of" in wanted else Page(found)

    def create_run(self, _experiment: str, start_time: int, tags: dict[str, str], run_name: str) -> Any:
        _check(str, run_name, *tags, *tags.values())
        _check(int, start_time)
        run_id = uuid.uuid4().hex
        info = SimpleNamespace(
            run_id=run_id, start_time=start_time, status="RUNNING", lifecycle_stage="active"
        )
        self.runs[run_id] = SimpleNamespace(
            info=info, data=SimpleNamespace(tags=dict(tags), metrics=[], params={})
        )
        return self.runs[run_id]

    def get_run(self, run_id: str) -> Any:
        if run_id not in self.runs:
            raise MlflowException("no such run", error_code=404)
        return self.runs[run_id]

    def log_batch(
        self,
        run_id: str,
        metrics: list[Metric] | None = None,
        params: list[Param] | None = None,
        tags: list[RunTag] | None = None,
    ) -> None:
        for metric in metrics or ():
            _check(int, metric.timestamp, metric.step)
            _check(float, float(metric.value))
            self.runs[run_id].data.metrics.append(metric)
        for param in params or ():
            _check(str, param.key, param.value)
            self.runs[run_id].data.params[param.key] = param.value
        for tag in tags or ():
            _check(str, tag.key, tag.value)
            self.runs[run_id].data.tags[tag.key] = tag.value

    def log_inputs(self, run_id: str, datasets: list[Any]) -> None:
        for used in datasets:
            _check(str, used.dataset.name, used.dataset.digest, used.dataset.source)

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        self.runs[run_id].data.tags[key] = value

    def update_run(self, run_id: str, status: str) -> None:
        self.runs[run_id].info.status = status

    def set_terminated(self, run_id: str, status: str, end_time: int) -> None:
        _check(int, end_time)
        self.runs[run_id].info.status = status

    def delete_run(self, run_id: str) -> None:
        del self.runs[run_id]

    def log_artifact(self, run_id: str, file: str) -> None:
        with open(file, "rb") as opened:
            opened.read()

    def log_artifacts(self, run_id: str, folder: str, name: str) -> None:
        pass

    def list_artifacts(self, run_id: str, path: str | None = None) -> list[Any]:
        return []


def _check(kind: type, *values: object) -> None:
    for value in values:
        if not isinstance(value, kind):
            raise MlflowException(f"{value!r} is no {kind.__name__}")
