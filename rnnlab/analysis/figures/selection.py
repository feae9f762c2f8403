"""Selection of the rows of one run, or of one layer, from a data frame of gradients."""

import pandas as pd

from rnnlab.analysis.figures.intervals import find_detail_axes
from rnnlab.records import GRADIENT_COLUMNS

MAX_NAMED_RUNS = 10
WHOLE = 0
"""Value of the column `layer` for all layers together."""


def select_layer(rows: pd.DataFrame, quantity: str, layer: int | None = None) -> pd.DataFrame:
    """Return the rows of a quantity in one layer.

    None selects the quantity of all layers together if it was recorded, and otherwise that of the top layer.
    In a data frame without the column `layer`, all rows belong to the same layer.
    """
    rows = rows[rows["quantity"] == quantity]
    if "layer" not in rows or rows.empty:
        return rows
    if layer is None:
        layer = WHOLE if (rows["layer"] == WHOLE).any() else int(rows["layer"].max())
    return rows[rows["layer"] == layer]


def count_layers(gradients: pd.DataFrame) -> int:
    """Return the number of layers in a data frame of gradients."""
    return int(gradients["layer"].max()) if "layer" in gradients and len(gradients) else 1


def select_run(rows: pd.DataFrame, run: str | None) -> tuple[pd.DataFrame, str]:
    """Return the rows of the selected run (or of all runs, for "mean") and a suffix for the title."""
    runs = list(map(str, rows["run"].unique())) if "run" in rows else []
    if run == "mean":
        if axes := find_detail_axes(rows, [], GRADIENT_COLUMNS):
            raise ValueError(
                f"run={run!r}: the runs also differ in {' and '.join(axes)}; select runs with one value, for "
                f"example gradients[gradients[{axes[0]!r}] == VALUE]"
            )
        return rows, f", mean of {max(len(runs), 1)} runs"
    if run is None and len(runs) <= 1:
        return rows, ""
    if run not in runs:
        names = ", ".join(["mean", *runs[:MAX_NAMED_RUNS]]) + (" …" if len(runs) > MAX_NAMED_RUNS else "")
        problem = f"the frame has {len(runs)} runs; choose one" if run is None else "no such run"
        raise ValueError(f"run={run!r}: {problem}; available: {names}")
    return rows[(rows["run"] == run).to_numpy()], f", run {run}"
