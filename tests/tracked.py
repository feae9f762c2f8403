"""Runs in an MLflow store, read with MLflow's client."""

import logging
import warnings
from dataclasses import dataclass
from typing import Any

from rnnlab.mlflow_mirror.summary_run import SUMMARY_TAG


@dataclass(frozen=True)
class Tracked:
    """One MLflow run.

    Attributes:
        experiment_id: MLflow's id of the experiment.
        run_id: MLflow's id of the run.
        status: `FINISHED`, `FAILED`, `KILLED` or `RUNNING`.
        tags: Tags by name.
        params: Parameters by name.
        history: Points (step, value) of each metric, ordered by step.
        datasets: Name and digest of each data set.
        artifacts: Paths relative to the artifact folder of the run.
    """

    experiment_id: str
    run_id: str
    status: str
    tags: dict[str, str]
    params: dict[str, str]
    history: dict[str, list[tuple[int, float]]]
    datasets: list[tuple[str, str]]
    artifacts: set[str]


def tracked_runs(uri: str, experiment: str = "rnnlab") -> dict[str, Tracked]:
    """Return all runs of an experiment by name, oldest first, without the summary runs of sweeps."""
    from mlflow.tracking import MlflowClient

    logging.getLogger("alembic").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of SQLAlchemy about MLflow
        client = MlflowClient(uri)
        found = client.get_experiment_by_name(experiment)
        if found is None:
            return {}
        runs = client.search_runs([found.experiment_id], order_by=["attributes.start_time ASC"])
        return {run.info.run_name: _tracked(client, run) for run in runs if not _is_summary(run)}


def experiments(uri: str) -> dict[str, int]:
    """Return the number of runs in each experiment, without the summary runs of sweeps."""
    from mlflow.tracking import MlflowClient

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = MlflowClient(uri)
        found = {e.name: client.search_runs([e.experiment_id]) for e in client.search_experiments()}
        return {name: sum(not _is_summary(run) for run in runs) for name, runs in found.items()}


def _is_summary(run: Any) -> bool:
    return SUMMARY_TAG in run.data.tags


def _tracked(client: Any, run: Any) -> Tracked:
    run_id = run.info.run_id
    history = {
        key: sorted((point.step, point.value) for point in client.get_metric_history(run_id, key))
        for key in run.data.metrics
    }
    datasets = [(used.dataset.name, used.dataset.digest) for used in run.inputs.dataset_inputs]
    artifacts = {
        file.path
        for folder in (None, "figures", "figures/timeline", "images")
        for file in client.list_artifacts(run_id, folder)
        if not file.is_dir
    }
    return Tracked(
        experiment_id=run.info.experiment_id,
        run_id=run_id,
        status=run.info.status,
        tags=run.data.tags,
        params=run.data.params,
        history=history,
        datasets=datasets,
        artifacts=artifacts,
    )
