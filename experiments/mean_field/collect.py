"""Tables of the study of mean-field theory, from the sweep mean_field.

python experiments/mean_field/collect.py [FOLDER]
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2]))  # the folder that contains experiments/

import rnnlab as rl
from experiments.frames import Tables, main, read_runs

SWEEP = "mean_field"
NAMES = {"hidden_size": "H", "init.W_hh.gain": "σ_w", "task.std": "σ_x"}
COLUMNS = ("seed", *NAMES, "theory/log10_gain", "theory/critical_sigma_w")
LAGS = (1, 40)
"""First and last lag of the measured slope; the earlier 20 time steps let the network settle."""


def measured_gain(folder: Path) -> pd.Series:
    """Return the slope of the mean of ln ‖∂ℓ/∂h[τ-k]‖ over the lags, per time step, by run."""
    curves = rl.load_gradients(folder / SWEEP, "h", axis="lag", steps="first")
    curves = curves[curves["lag"].between(*LAGS)]
    wide = curves.pivot(index="run", columns="lag", values="log10_gmean").dropna()
    slopes = np.polyfit(wide.columns.to_numpy(dtype=float), wide.to_numpy(dtype=float).T * np.log(10), 1)[0]
    return pd.Series(slopes, wide.index.astype(str))


def collect(folder: Path) -> Tables:
    """Return the table of the study, with one row per random network.

    `theory` is the predicted ½ ln χ for the σ_w and σ_x of the drawn weights, and `measured` the slope of the
    lag curve. Both are natural logarithms of the factor per time step.
    """
    runs = read_runs(folder, [SWEEP], COLUMNS).rename(columns=NAMES)
    runs["theory"] = runs.pop("theory/log10_gain") * np.log(10)
    runs = runs.rename(columns={"theory/critical_sigma_w": "critical σ_w"})
    runs["measured"] = runs["run"].astype(str).map(measured_gain(folder))
    return {"runs": runs.assign(difference=runs["measured"] - runs["theory"])}


if __name__ == "__main__":
    main(collect, __file__)
