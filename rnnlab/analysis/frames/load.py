"""Functions that load tracked runs as tidy pandas data frames.

The data frames contain one row per run (`load_runs`), metric value (`load_metrics`) or gradient norm
(`load_gradients`). Runs are loaded from a folder that contains runs, a list of such folders, or `MLflowRuns`.
A run yields the same rows whether it is loaded from a folder or from MLflow.
"""

import warnings
from collections.abc import Sequence
from typing import Literal

import pandas as pd

from rnnlab.analysis.arguments import check_arguments
from rnnlab.analysis.frames.run_collection import RunCollection, Steps
from rnnlab.analysis.frames.sources import Source
from rnnlab.text import one_line

MAX_NAMED_RUNS = 10
"""Maximum number of runs listed by name in a warning."""


class IncompleteRuns(UserWarning):
    """Warning about runs that did not finish and runs that have unreadable files.

    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", rl.IncompleteRuns)  # an incomplete run is now an error
    ...     runs = rl.load_runs("multirun")
    """


@check_arguments
def load_runs(source: Source, where: str | None = None) -> pd.DataFrame:
    """Return sweep axes, outcomes, final metric values, start times, hosts and folders, with one row per run.

    Most string columns are categorical, with categories in order of first appearance. Integer columns with
    missing values have the dtype Int64. A clip threshold that is disabled with `clip=null` appears as
    infinity, so that `groupby("clip")` keeps the runs without clipping; a key that a run does not have is
    NaN. A run with a damaged `run.json` still has a row, which contains the name of the run. The column `run`
    contains the run id assigned by rnnlab, which is the same for all copies of a run. The column
    `mlflow_run_id` contains the MLflow run id, or NaN for a run that was never sent to MLflow. For a run sent
    to several tracking stores, `mlflow_run_id` is the run id in the first store. The column `mlflow_link`
    contains the address of the run's page in MLflow; for a database, `rnnlab.ui` must be running.

    Args:
        source: Folder that contains runs, MLflow run id, list of folders or ids, data frame returned by
            `mlflow.search_runs`, or `MLflowRuns` object.
        where: Condition that selects runs, in the syntax of `DataFrame.query`, such as
            `"cell == 'lstm' and seq_len > 50"`.

    Raises:
        ValueError: If no runs are found, or if `where` is not a valid condition or matches no runs.
        TypeError: If an argument has the wrong type.
        ConnectionError: If MLflow does not respond.

    Warns:
        IncompleteRuns: If any run was killed, failed, is still in progress or has damaged files.

    >>> rl.load_runs("multirun")[["cell", "outcome"]].astype(str).values.tolist()
    [['rnn', 'finished'], ['lstm', 'finished']]
    """
    collection = RunCollection.find(source, where)
    _warn(collection)
    return collection.frame


@check_arguments
def load_metrics(
    source: Source, metrics: str | Sequence[str] | None = None, where: str | None = None
) -> pd.DataFrame:
    """Return metric values, with one row per run, metric and training step.

    The data frame also contains the sweep axes that vary between the runs, and the column `sweep` if the runs
    belong to several sweeps. Non-finite metric values are
    omitted.

    Args:
        source: As in `load_runs`.
        metrics: Name of a metric, such as `"val/loss"`, or list of names; None selects all metrics.
        where: As in `load_runs`.

    Raises:
        ValueError: If `load_runs` would raise ValueError for the same `source` and `where`, or if a requested
            metric is not found in any run.
        TypeError: If an argument has the wrong type.
        ConnectionError: If MLflow does not respond.

    Warns:
        IncompleteRuns: If any run was killed, failed, is still in progress or has damaged files, or if the
            metrics of a run cannot be read completely.

    >>> losses = rl.load_metrics("multirun", "val/loss")
    >>> losses.columns.tolist()
    ['run', 'cell', 'task', 'seq_len', 'seed', 'step', 'metric', 'value']
    """
    collection = RunCollection.find(source, where)
    frame = collection.metrics(metrics)
    _warn(collection)
    return frame


@check_arguments
def load_gradients(
    source: Source,
    quantities: str | Sequence[str] | None = None,
    axis: Literal["lag", "timestep"] | None = None,
    steps: Steps | None = None,
    where: str | None = None,
    targets: bool = False,
) -> pd.DataFrame:
    """Return gradient norms, with one row per run, training step, quantity, and time step or lag.

    The data frame contains the sweep axes that vary between the runs, the column `sweep` if the runs belong
    to several sweeps, and the columns listed in `records.GRADIENT_COLUMNS`. Drawing functions separate the
    sweeps; `drop(columns="sweep")` treats runs of different sweeps as replicates. Plots of lag curves show
    the column `log10_gmean`.

    Args:
        source: As in `load_runs`.
        quantities: Name of a quantity, such as `"state"`, or list of names; None selects all quantities.
        axis: `"lag"` selects lag curves, `"timestep"` selects gradient norms by time step, and None selects
            both.
        steps: `"first"` selects the first recording of each run, `"last"` selects the last, `"ends"` selects
            both, one or more training steps select the recordings at these steps, and None selects all
            recordings.
        where: As in `load_runs`.
        targets: True to include lag curves that start at a target other than the last target of the sequence.

    Raises:
        ValueError: If `load_runs` would raise ValueError for the same `source` and `where`, if a requested
            quantity or step is not found in any run, or if `axis` or `steps` is invalid.
        TypeError: If an argument has the wrong type.
        ConnectionError: If MLflow does not respond.

    Warns:
        IncompleteRuns: If any run was killed, failed, is still in progress or has damaged files, or if the
            gradient table of a run cannot be read.

    >>> curves = rl.load_gradients("multirun", "state", axis="lag", steps="last")
    >>> curves.groupby("cell", observed=True)["lag"].max().to_dict()
    {'rnn': 8, 'lstm': 8}
    """
    collection = RunCollection.find(source, where)
    frame = collection.gradients(quantities, axis, steps, targets)
    _warn(collection)
    return frame


def _warn(collection: RunCollection) -> None:
    """Issue a warning that lists the incomplete runs."""
    names = {run.row["run"]: run.row["name"] for run in collection.runs}
    descriptions = [
        one_line(f"{name} ({collection.problems[run]})")
        for run, name in names.items()
        if run in collection.problems
    ]
    if descriptions:
        more = f" and {len(descriptions) - MAX_NAMED_RUNS} more" if len(descriptions) > MAX_NAMED_RUNS else ""
        listed = ", ".join(descriptions[:MAX_NAMED_RUNS])
        text = f"{len(descriptions)} of {len(collection.runs)} runs are incomplete: {listed}{more}"
        warnings.warn(text, IncompleteRuns, stacklevel=4)
