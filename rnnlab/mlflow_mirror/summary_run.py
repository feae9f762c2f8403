"""A sweep's own run in MLflow, beside those of the sweep: it holds the report."""

from pathlib import Path

from rnnlab.mlflow_mirror.store import connect

SUMMARY_TAG = "rnnlab.summary_of"
ARTIFACT = "report.html"
RUN_COLOR = "#949494"
RUN_NAME = "summary of the sweep"
DESCRIPTION = "Artifacts → `report.html`: figures and tables of the whole sweep, and how to repeat it."


def log_report(uri: str, experiment: str, sweep: str, report: Path) -> None:
    """Put a report into the sweep's summary run, which is made if need be; an earlier one is replaced.

    Raises:
        ValueError: There is no such experiment.
        Exception: Whatever MLflow, its database or its server raises.
    """
    client = connect(uri)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        raise ValueError(f"no experiment {experiment!r}")
    runs = client.search_runs([found.experiment_id], f"tags.`{SUMMARY_TAG}` = '{sweep}'", max_results=1)
    if runs:
        run = runs[0]
    else:
        tags = {"sweep": sweep, SUMMARY_TAG: sweep, "mlflow.note.content": DESCRIPTION}
        tags["mlflow.runColor"] = RUN_COLOR  # else it looks like one of the runs
        run = client.create_run(found.experiment_id, tags=tags, run_name=RUN_NAME)
    client.log_text(run.info.run_id, report.read_text(encoding="utf-8"), ARTIFACT)
    client.set_terminated(run.info.run_id)
