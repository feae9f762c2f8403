"""The summary run of a sweep: a separate MLflow run that contains the report."""

from pathlib import Path

from rnnlab.mlflow_mirror.store import connect

SUMMARY_TAG = "rnnlab.summary_of"
ARTIFACT = "report.html"
RUN_COLOR = "#949494"
RUN_NAME = "summary of the sweep"
DESCRIPTION = (
    "The artifact `report.html` contains figures and tables for the sweep, and commands to repeat the sweep."
)


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
    runs = client.search_runs([found.experiment_id], f"tags.`{SUMMARY_TAG}` = '{sweep}'", max_results=1)
    if runs:
        run = runs[0]
    else:
        tags = {"sweep": sweep, SUMMARY_TAG: sweep, "mlflow.note.content": DESCRIPTION}
        tags["mlflow.runColor"] = RUN_COLOR  # distinct from the colours of the sweep's runs
        run = client.create_run(found.experiment_id, tags=tags, run_name=RUN_NAME)
    client.log_text(run.info.run_id, report.read_text(encoding="utf-8"), ARTIFACT)
    client.set_terminated(run.info.run_id)
