"""A run's folder as pandas frames."""

from pathlib import Path

import pandas as pd

from rnnlab.records import GRADIENTS_FILE, METRICS_FILE


def read_metrics(folder: Path) -> pd.DataFrame:
    """One row a training step, one column a metric, NaN where a step has no value."""
    return pd.read_json(folder / METRICS_FILE, lines=True, precise_float=True, convert_dates=False)


def read_gradients(folder: Path) -> pd.DataFrame:
    """Gradient norms in long form: one row a step × quantity × time step, or × lag.

    Columns are `records.GRADIENT_COLUMNS`; `timestep` and `lag` are nullable integers.
    """
    frame = pd.read_parquet(folder / GRADIENTS_FILE)
    return frame.astype({"timestep": "Int64", "lag": "Int64"})
