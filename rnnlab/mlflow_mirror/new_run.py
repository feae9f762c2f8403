"""Creation of the MLflow run that corresponds to a run folder."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnlab.mlflow_mirror.charts import run_colors
from rnnlab.mlflow_mirror.description import NOTE_TAG
from rnnlab.runs.folder import latest_machine

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

ID_TAG = "rnnlab.id"
FOLDER_TAG = "rnnlab.folder"
HOST_TAG = "rnnlab.host"


def find_runs(client: "MlflowClient", experiment_id: str, info: dict[str, Any]) -> list["Run"]:
    """Return the MLflow runs created from a run folder, oldest first."""
    runs = client.search_runs([experiment_id], f"tags.`{ID_TAG}` = '{info['id']}'")
    return sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id))


def create_run(
    client: "MlflowClient",
    experiment_id: str,
    folder: Path,
    info: dict[str, Any],
    color: str | None,
    description: str,
) -> str:
    """Create the MLflow run of a run folder, and return its id."""
    machine = latest_machine(info)
    run = client.create_run(
        experiment_id,
        start_time=to_milliseconds(info["started"]),
        tags=info["tags"]
        | {
            ID_TAG: info["id"],
            FOLDER_TAG: str(folder),
            HOST_TAG: machine.get("host") or "",
            "cpu": machine.get("cpu", ""),
            "python": machine.get("python", ""),
            "numpy": machine.get("packages", {}).get("numpy") or "",
            "blas": " ".join(str(value) for value in machine.get("blas", {}).values()),
            "mlflow.runColor": color or run_colors([info["params"]])[0],
            NOTE_TAG: description,
        },
        run_name=info["name"],
    )
    return log_params_and_data(client, run, info)


def log_params_and_data(client: "MlflowClient", run: "Run", info: dict[str, Any]) -> str:
    """Log a run's parameters and data set in MLflow, and return the id of the MLflow run."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Param

    run_id: str = run.info.run_id
    client.log_batch(run_id, params=[Param(key, value) for key, value in info["params"].items()])
    data = info["dataset"]
    dataset = Dataset(data["name"], data["digest"], "local", json.dumps({"uri": data["source"]}))
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
    return run_id


def to_milliseconds(seconds: float) -> int:
    """Convert a time from seconds to integer milliseconds, the unit used by MLflow."""
    return round(1000 * seconds)
