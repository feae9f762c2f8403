"""The start page: changes settings of MLflow's front end in the browser and forwards the browser to MLflow.

MLflow's front end keeps settings in the browser's local storage, which only a page with the same origin can
change. `rnnlab.ui` therefore starts MLflow's server with this page added. The page selects MLflow's mode for
model training, keeps MLflow's assistant closed, and stores the view of the sweep as the user's own view.
MLflow would otherwise show a notice about a shared view, and would lose the view when the page is reloaded.

The page is part of MLflow's application, so MLflow's security middleware checks each request. It only reads
runs; it neither changes data nor forwards to another address.
"""

import json
import os
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any, cast

from rnnlab.mlflow_mirror.charts import Params, group_colors, view_state
from rnnlab.mlflow_mirror.links import MODEL_TRAINING, START_PAGE, charts_route, run_route
from rnnlab.mlflow_mirror.stored_sweep import stored_params
from rnnlab.mlflow_mirror.summary_run import find_summary

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

STORE_VARIABLE = "MLFLOW_BACKEND_STORE_URI"
"""Environment variable with the tracking URI of MLflow's server."""
SETTINGS = {
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
    "mlflow.assistant.panelOpen_v1": "false",
    "mlflow.workflowType_v1": json.dumps(MODEL_TRAINING),
}
"""Settings of MLflow's front end, by their key in the browser's local storage."""
COLORS_KEY = "experimentRunColors"
APPLIED_KEY = "rnnlab.view"
"""Key under which the start page stores the digest of the last view that it applied."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>rnnlab</title>
<p>Opening MLflow …</p>
<script type="application/json" id="page">{page}</script>
<script src="{start}/start_page.js"></script>
</html>
"""


def create_app() -> "FastAPI":
    """Return the application of MLflow's server with the start page added.

    `mlflow server --app-name rnnlab` calls this function in the server's process.
    """
    from mlflow.server.fastapi_app import app
    from starlette.routing import Route

    pages = {"charts": charts_page, "run": run_page, "start_page.js": script}
    app.router.routes[:0] = [Route(f"{START_PAGE}/{name}", page) for name, page in pages.items()]
    return cast("FastAPI", app)


def charts_page(request: "Request") -> "Response":
    """Return the page that opens the charts of a sweep; it takes the parameters `experiment` and `sweep`."""
    from mlflow.exceptions import MlflowException

    experiment_id, sweep = (request.query_params.get(key, "") for key in ("experiment", "sweep"))
    try:
        runs = stored_params(_client(), experiment_id, sweep)
    except MlflowException:  # no such experiment
        runs = []
    if not runs:
        return _not_found("no such sweep")
    summary_id = find_summary(_client(), experiment_id, sweep)
    view = browser_view(experiment_id, sweep, runs, summary_id)
    return _html(charts_route(experiment_id, None), charts_route(experiment_id, sweep), view)


def run_page(request: "Request") -> "Response":
    """Return the page that opens the page of a run; it takes the parameter `id`."""
    from mlflow.exceptions import MlflowException

    try:
        info = _client().get_run(request.query_params.get("id", "")).info
    except MlflowException:
        return _not_found("no such run")
    route = run_route(info.experiment_id, info.run_id)
    return _html(route, route, None)


def script(request: "Request") -> "Response":
    """Return the script of the start page."""
    from starlette.responses import Response

    text = (files(__package__) / "start_page.js").read_text(encoding="utf-8")
    return Response(text, media_type="text/javascript", headers=HEADERS)


def browser_view(
    experiment_id: str, sweep: str, runs: list[Params], summary_id: str | None = None
) -> dict[str, Any]:
    """Return the view of a sweep and the keys under which MLflow's front end stores it in the browser."""
    state, colors = view_state(sweep, runs), group_colors(runs)
    if summary_id is not None:
        state["runsVisibilityMap"] = {summary_id: False}  # has no curves
    experiments = json.dumps([experiment_id])
    return {
        "key": f"MLflowLocalStorage-1.1-ExperimentPage-{experiments}-ReactComponentState",
        "state": state,
        "colorsKey": COLORS_KEY,
        "colors": colors,
        "appliedKey": APPLIED_KEY,
        "digest": sha256(json.dumps([experiment_id, state, colors]).encode()).hexdigest(),
    }


@cache
def _client() -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=os.environ[STORE_VARIABLE])


def _html(route: str, fallback: str, view: dict[str, Any] | None) -> "Response":
    from starlette.responses import HTMLResponse

    page = {"settings": SETTINGS, "view": view, "address": f"/{route}", "fallback": f"/{fallback}"}
    text = json.dumps(page).replace("<", r"\u003c")  # cannot end the script element
    return HTMLResponse(_PAGE.format(page=text, start=START_PAGE), headers=HEADERS)


def _not_found(problem: str) -> "Response":
    from starlette.responses import PlainTextResponse

    return PlainTextResponse(f"rnnlab: {problem} in this MLflow database\n", 404, headers=HEADERS)
