"""A run's folder as pandas frames."""

import json
from pathlib import Path

import pandas as pd

from rnnlab.records import GRADIENTS_FILE, METRICS_FILE


def read_metrics(folder: Path) -> pd.DataFrame:
    """One row a training step, one column a metric, NaN where a step has no value.

    The last line of a run whose process was killed may be half written; it is left out.
    """
    # pandas.read_json would round the last bit away.
    written = (folder / METRICS_FILE).read_text(encoding="utf-8")
    frame = pd.DataFrame([json.loads(line) for line in written[: written.rfind("\n") + 1].splitlines()])
    return frame.astype({name: float for name in frame.columns if name != "step"})


def read_gradients(folder: Path) -> pd.DataFrame:
    """Gradient norms in long form: one row a step × quantity × time step, or × lag.

    Columns are `records.GRADIENT_COLUMNS`; `timestep`, `lag` and `target` are nullable integers.
    """
    frame = pd.read_parquet(folder / GRADIENTS_FILE)
    return frame.astype({name: "Int64" for name in ("timestep", "lag", "target")})
