"""Frames of runs with chosen values, for the sentences of a report."""

from typing import Any

import pandas as pd

from rnnlab.analysis.report.conditions import COMMON_DECAY, COMMON_LAG, LAG, LAST_STEP, TRAINED, UNTRAINED

METRIC = "val/loss"


def sweep(*rows: dict[str, Any]) -> pd.DataFrame:
    """Return a data frame with one row per run, with default values for what the rows leave out."""
    usual = {
        "task": "adding",
        "cell": "rnn",
        "seq_len": 50,
        "hidden_size": 8,
        "seed": 0,
        "outcome": "finished",
    }
    usual |= {"metric": METRIC, "baseline": 1.0, METRIC: 0.5, LAG: 49.0, LAST_STEP: 100.0}
    usual |= {UNTRAINED: -8.0, "grad/horizon": 10.0, "grad/censored": 0.0, "grad/gain": 0.8}
    frame = pd.DataFrame(
        [usual | {"run": f"r{number}", TRAINED: -4.0} | row for number, row in enumerate(rows)]
    )
    frame = frame.assign(**{COMMON_LAG: frame[LAG].min(), COMMON_DECAY: frame[TRAINED]})
    words = {name: pd.Categorical(frame[name], frame[name].drop_duplicates()) for name in ("task", "cell")}
    return frame.assign(**words)
