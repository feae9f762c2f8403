"""The summary run of a sweep: a separate MLflow run that contains the report.

Each run of the sweep links to the summary run, so the summary run is created before the runs.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from rnnlab.mlflow_mirror.description import NOTE_TAG
from rnnlab.mlflow_mirror.links import charts_route, metrics_page, run_route
from rnnlab.mlflow_mirror.store import connect
from rnnlab.mlflow_mirror.stored_sweep import is_searchable
from rnnlab.records import REPORT_FILE

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

SUMMARY_TAG = "rnnlab.summary_of"
RUN_COLOR = "#949494"
RUN_NAME = "summary of the sweep"


def log_report(uri: str, experiment: str, sweep: str, report: Path) -> None:
    """Store a report in the sweep's summary run, creating the run if needed and replacing any earlier report.

    Raises:
        ValueError: If the experiment does not exist.
        Exception: If MLflow, the database or the server fails.
    """
    client = connect(uri)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        raise ValueError(f"experiment={experiment}: not found")
    run_id = open_summary(client, found.experiment_id, sweep)
    client.log_text(run_id, report.read_text(encoding="utf-8"), REPORT_FILE)
    client.set_tag(run_id, NOTE_TAG, _description(found.experiment_id, sweep, run_id))


def find_summary(client: "MlflowClient", experiment_id: str, sweep: str) -> str | None:
    """Return the MLflow run id of a sweep's summary run, or None if the sweep has no summary run."""
    if not is_searchable(sweep):
        return None
    runs = client.search_runs([experiment_id], f"tags.`{SUMMARY_TAG}` = '{sweep}'", max_results=1)
    return str(runs[0].info.run_id) if runs else None


def open_summary(client: "MlflowClient", experiment_id: str, sweep: str) -> str:
    """Return the MLflow run id of a sweep's summary run, creating the run if needed."""
    run_id = find_summary(client, experiment_id, sweep)
    if run_id is None:
        tags = {"sweep": sweep, SUMMARY_TAG: sweep, NOTE_TAG: "The report is added when the sweep ends."}
        tags["mlflow.runColor"] = RUN_COLOR  # distinct from the colours of the sweep's runs
        run_id = str(client.create_run(experiment_id, tags=tags, run_name=RUN_NAME).info.run_id)
        client.set_terminated(run_id)  # nothing else would end this run if the command were killed
    return run_id


def _description(experiment_id: str, sweep: str, run_id: str) -> str:
    return (
        f"**[Report of the sweep]({run_route(experiment_id, run_id, REPORT_FILE)})**: figures, tables, and "
        f"commands to repeat the sweep · [charts of all runs]({charts_route(experiment_id, sweep)}) · "
        f"{metrics_page()}"
    )
