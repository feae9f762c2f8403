"""Selection of the rows of one run, layer or training step from a data frame of gradients."""

from typing import Literal

import numpy as np
import pandas as pd

from rnnlab.analysis.figures.intervals import find_detail_axes
from rnnlab.records import GRADIENT_COLUMNS

MAX_NAMED_RUNS = 10
WHOLE = 0
"""Value of the column `layer` for all layers together."""
ENDS: dict[str, Literal["min", "max"]] = {"first": "min", "last": "max"}


def select_layer(rows: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Return the rows of a quantity in one layer of each run: all layers together, or else the top layer.

    In a data frame without the column `layer`, all rows belong to the same layer.
    """
    rows = rows[rows["quantity"] == quantity]
    if "layer" not in rows or rows["layer"].nunique() <= 1:
        return rows
    layers = rows.groupby(rows["run"].astype(str) if "run" in rows else rows["step"] * 0)["layer"]
    chosen = layers.transform("max").mask(layers.transform("min") == WHOLE, WHOLE)
    return rows[rows["layer"] == chosen]


def describe_layer(rows: pd.DataFrame, quantity: str) -> str:
    """Return a suffix that names the layer of `select_layer`; empty if no network has several layers."""
    if count_layers(rows) == 1:
        return ""
    selected = select_layer(rows, quantity)["layer"]
    return ", all layers" if (selected == WHOLE).any() else ", top layer"


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
        return rows if runs else rows.assign(run=""), ""
    if run not in runs:
        names = ", ".join(["mean", *runs[:MAX_NAMED_RUNS]]) + (" …" if len(runs) > MAX_NAMED_RUNS else "")
        problem = f"the frame has {len(runs)} runs; choose one" if run is None else "no such run"
        raise ValueError(f"run={run!r}: {problem}; available: {names}")
    return rows[(rows["run"] == run).to_numpy()], f", run {run}"


def select_step(rows: pd.DataFrame, step: str | int, allowed: str) -> tuple[pd.DataFrame, str]:
    """Return the rows of one training step of each run, and a description of the selection.

    Args:
        rows: Rows with the columns `run` and `step`.
        step: A training step, or "first" or "last" for the first or last recording of each run.
        allowed: Description of the allowed values for the error message.
    """
    if isinstance(step, str):
        if step not in ("first", "last"):
            raise ValueError(f"step={step!r}: must be {allowed}")
        if rows["step"].isna().all():
            raise ValueError("column 'step': has no values")
        selected = rows[rows["step"] == rows.groupby("run", observed=True)["step"].transform(ENDS[step])]
        return selected, describe_end(step, selected["step"].unique())
    selected = rows[rows["step"] == step]
    if selected.empty:
        recorded = ", ".join(map(str, np.sort(rows["step"].unique())))
        raise ValueError(f"step={step!r}: not recorded; available: {recorded}")
    return selected, f"step {step}"


def describe_end(end: str, steps: np.ndarray) -> str:
    """Describe the first or last recordings, made at the given training steps."""
    if len(steps) > 1:
        return f"{end} step of each run"
    state = ", untrained" if steps[0] == 0 else ", trained" if end == "last" else ""
    return f"step {steps[0]}{state}"
