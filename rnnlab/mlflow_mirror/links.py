"""Links to pages of MLflow's UI, and to the documentation.

MLflow's front end keeps some settings in the browser only, so no link can change them. A link to a local
store therefore leads to the start page (`rnnlab.mlflow_mirror.start_page`), which `rnnlab.ui` adds to
MLflow's server; the start page changes the settings and forwards the browser to MLflow. A link to a tracking
server leads directly to MLflow.
"""

from functools import lru_cache
from importlib.metadata import PackageNotFoundError, entry_points, metadata
from urllib.parse import quote, urlencode

from rnnlab.mlflow_mirror.store import UI_PORT, is_server, ui_address

APP = "rnnlab"
"""Name of the entry point in the group `mlflow.app` that adds the start page to MLflow's server."""
START_PAGE = "/rnnlab"
"""Path of the start page."""
MODEL_TRAINING = "machine_learning"
"""MLflow's name for its mode for model training; by default, MLflow opens in its mode for language models."""
DOCUMENTATION = "Documentation"
"""Label of the address of the documentation in the project's metadata."""


def charts_link(uri: str, experiment_id: str, sweep: str, port: int = UI_PORT) -> str:
    """Return the link to the charts of a sweep.

    Args:
        uri: Tracking URI.
        experiment_id: Id of the MLflow experiment.
        sweep: Name of the sweep.
        port: Port of `rnnlab.ui`, for a local store.
    """
    query = {"experiment": experiment_id, "sweep": sweep}
    return _link(uri, port, f"charts?{urlencode(query)}", charts_route(experiment_id, sweep))


def run_link(uri: str, experiment_id: str, run_id: str, port: int = UI_PORT) -> str:
    """Return the link to the page of a run; see `charts_link` for the arguments."""
    return _link(uri, port, f"run?{urlencode({'id': run_id})}", run_route(experiment_id, run_id))


def charts_route(experiment_id: str, sweep: str | None) -> str:
    """Return MLflow's route to the charts of an experiment, with the shared view of a sweep unless None."""
    view = "" if sweep is None else f"&viewStateShareKey={quote(sweep)}"
    page = f"#/experiments/{quote(experiment_id)}/runs"
    return f"{page}?workflowType={MODEL_TRAINING}&compareRunsMode=CHART{view}"


def run_route(experiment_id: str, run_id: str, file: str | None = None) -> str:
    """Return MLflow's route to the page of a run or, if a file is given, to this artifact of the run."""
    artifact = "" if file is None else f"/artifacts/{quote(file)}"
    return (
        f"#/experiments/{quote(experiment_id)}/runs/{quote(run_id)}{artifact}?workflowType={MODEL_TRAINING}"
    )


@lru_cache
def has_start_page() -> bool:
    """Return True if the installed version of rnnlab declares the start page."""
    return bool(entry_points(group="mlflow.app", name=APP))


def metrics_page() -> str:
    """Return a Markdown reference to the documentation of the metrics: a link if its address is declared."""
    try:
        addresses = metadata("rnnlab").get_all("Project-URL") or []
    except PackageNotFoundError:
        addresses = []
    for label, _, address in (line.partition(", ") for line in addresses):
        if label == DOCUMENTATION:
            return f"[documentation of the metrics]({address.rstrip('/')}/metrics.html)"
    return "documentation of the metrics: `docs/metrics.md`"


def _link(uri: str, port: int, start: str, route: str) -> str:
    """Return a link through the start page if the store is local, else the link to MLflow's own route."""
    path = route if is_server(uri) or not has_start_page() else f"{START_PAGE.strip('/')}/{start}"
    return f"{ui_address(uri, port).rstrip('/')}/{path}"
