"""Parameters of the runs of a sweep that are stored in MLflow."""

from typing import TYPE_CHECKING

from rnnlab.mlflow_mirror.charts import Params
from rnnlab.mlflow_mirror.new_run import ID_TAG

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

FORBIDDEN = "'\"`\\"
"""Characters that cannot be quoted safely in an MLflow search query."""


def is_searchable(sweep: str) -> bool:
    """Return True if the name of a sweep can be used in an MLflow search query."""
    return bool(sweep) and not set(FORBIDDEN) & set(sweep)


def stored_params(client: "MlflowClient", experiment_id: str, sweep: str) -> list[Params]:
    """Return the parameters of each run of a sweep, in the order in which the runs started."""
    found: list[Params] = []
    token = None
    while is_searchable(sweep):
        page = client.search_runs(
            [experiment_id],
            f"tags.sweep = '{sweep}'",
            order_by=["attributes.start_time ASC"],
            page_token=token,
        )
        found += [dict(run.data.params) for run in page if ID_TAG in run.data.tags]
        if not (token := page.token):
            break
    return found
