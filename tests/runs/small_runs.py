"""Run folders in the state left by training, written without training, and their content in MLflow."""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rnnlab.records import Curve, Outcome, StepRecord
from rnnlab.runs.folder import RunFolder

STEPS = 5


def info_of(name: str = "run", host: str = "here", experiment: str = "rnnlab") -> dict[str, Any]:
    """The information about a run before its start."""
    return {
        "id": f"id-{name}",
        "name": name,
        "number": 3,
        "steps": STEPS,
        "params": {"cell": "rnn", "lr": "0.1"},
        "dataset": {"name": "adding", "digest": "abc", "source": "drawn"},
        "tracking": {"experiment": experiment, "points": 3},
        "tags": {"sweep": "sweep-1", "mlflow.source.type": "LOCAL"},
        "machine": {
            "host": host,
            "cpu": "a processor",
            "python": "3",
            "packages": {"numpy": "2"},
            "blas": {"internal_api": "openblas", "version": "1", "architecture": "x"},
        },
    }


def config_of(uri: str | None = None, backend: str = "mlflow") -> dict[str, Any]:
    """The part of a configuration that tracking needs."""
    return {"tracking": {"backend": backend, "uri": uri, "experiment": "rnnlab", "points": 3}}


def record(step: int) -> StepRecord:
    """The record of a training step, the same at every call."""
    if step == STEPS:
        return StepRecord(step, {"val/loss": 0.5, "val/baseline": 1.0})
    drawn = ()
    if step in (0, 3):
        values = np.array([1.0, 0.1, 0.0])
        log10 = np.array([0.0, -1.0 - step, np.nan])
        drawn = (Curve("h", "lag", np.arange(3), values, values, values, log10, values * 0),)
    metrics = {"train/loss": 1 / (step + 1), "grad/norm": 2.0 + step, "log10_h_by_lag/0001": -float(step)}
    return StepRecord(step, metrics, drawn)


def write(folder: RunFolder, steps: Sequence[int]) -> None:
    """Write these steps as training does."""
    for step in steps:
        folder.write(record(step))


def finish(folder: RunFolder, outcome: Outcome = "finished") -> None:
    """Write everything that training writes at the end of a run."""
    folder.write_weights({"W_hh": np.ones((2, 2))})
    folder.close()
    timeline = folder.folder / "figures" / "timeline"
    timeline.mkdir(parents=True, exist_ok=True)
    for step in (0, 3):
        Image.new("RGB", (3, 2), (step, 0, 0)).save(timeline / f"{step}.png")
    (folder.folder / "figures" / "loss.png").write_bytes((timeline / "0.png").read_bytes())
    folder.finish(outcome, {"grad/norm_p50": 3.5, "regime": "vanishing"})


def whole_run(path: Path, name: str = "run", outcome: Outcome = "finished", **choices: Any) -> Path:
    """Return the folder of a run that has ended."""
    uri = choices.pop("uri", None)
    with RunFolder(path, info_of(name, **choices), config_of(uri)) as folder:
        write(folder, range(STEPS + 1))
        finish(folder, outcome)
    return path


def held(client: Any, experiment_id: str) -> list[dict[str, Any]]:
    """Return all active runs of an experiment with every stored point, timestamps and duplicates included."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SQLAlchemy's, about MLflow
        runs = client.search_runs([experiment_id])
    return sorted((_held(client, run) for run in runs), key=lambda run: str(run["name"]))


def _held(client: Any, run: Any) -> dict[str, Any]:
    volatile = ("rnnlab.folder", "mlflow.user")
    return {
        "name": run.info.run_name,
        "status": run.info.status,
        "times": (run.info.start_time, run.info.end_time),
        "tags": {key: value for key, value in run.data.tags.items() if key not in volatile},
        "params": run.data.params,
        "datasets": [used.dataset.digest for used in run.inputs.dataset_inputs],
        "history": {
            key: sorted(
                (point.step, point.value, point.timestamp)
                for point in client.get_metric_history(run.info.run_id, key)
            )
            for key in run.data.metrics
        },
        "artifacts": sorted(_without_uuid(path) for path in _files(client, run.info.run_id, None)),
    }


def _files(client: Any, run_id: str, folder: str | None) -> list[str]:
    found = []
    for file in client.list_artifacts(run_id, folder):
        found += _files(client, run_id, file.path) if file.is_dir else [file.path]
    return found


def _without_uuid(path: str) -> str:
    """Return an image's name without MLflow's timestamp and random part."""
    return re.sub(r"[%+]timestamp.*?(\+compressed)?(\.\w+)$", r"\1\2", path)
