"""Tables of the study of fading gradients, from the sweeps fading, fading_forget_bias and fading_parameters.

python experiments/fading/collect.py [FOLDER]
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2]))  # the folder that contains experiments/

import rnnlab as rl
from experiments.frames import Tables, main, read_runs

SWEEPS = ("fading", "fading_forget_bias", "fading_parameters")
COLUMNS = (
    *("cell", "cell.forget_bias", "hidden_size", "seq_len", "steps", "batch_size", "seed", "metric"),
    *("baseline", "val/bpc", "theory/log10_gain", "theory/log10_cell_path", "grad/censored"),
    *("grad/log10_gain_short", "grad/log10_gain_tail"),
)
NETWORKS = ("rnn", "lstm", "gru", "lstm, forget bias 1", "rnn, wider")
GAINS = {"grad/log10_gain_short": "short", "grad/log10_gain_tail": "tail", "grad/horizon": "horizon"}
WHEN = ("before", "halfway", "after")
SYMBOLS = 62
"""Number of different characters of the text."""
FIGURE_LAGS = 100
LAGS = (1, 10, 50, 200)
"""Lags at which the remaining gradients of state and input are compared."""


def name_networks(runs: pd.DataFrame) -> pd.Series:
    """Return the name of each run's network: its cell, and what differs from the standard network."""
    biased = np.where((runs["cell.forget_bias"] > 0).fillna(False), ", forget bias 1", "")
    wider = np.where(runs["hidden_size"] > runs["hidden_size"].min(), ", wider", "")
    return pd.Series(pd.Categorical(runs["cell"].astype(str) + biased + wider, NETWORKS), runs.index)


def count_parameters(runs: pd.DataFrame) -> pd.Series:
    """Return the number of parameters of each run's network.

    A cell with G gates, H units and X symbols has G (H² + HX + H) parameters, and the readout XH + X. The GRU
    has H more, for the bias of W_hh inside the reset gate.
    """
    gates = runs["cell"].astype(str).map({"rnn": 1, "gru": 3, "lstm": 4})
    size = runs["hidden_size"].astype(int)
    cell = gates * size * (size + SYMBOLS + 1) + np.where(runs["cell"] == "gru", size, 0)
    return cell + SYMBOLS * (size + 1)


def collect_metrics(folders: list[Path]) -> pd.DataFrame:
    """Return short gain, tail gain and horizon of every recording, with one row per run and recording.

    The column `seen` is the fraction of the characters processed. The column `when` names the recordings
    before the first update, after half of the updates, and after the last. The column `same_updates` marks
    recordings after the largest number of updates at which the largest number of chunk lengths has one.
    """
    long = rl.load_metrics(folders, list(GAINS)).astype({"metric": str}).replace({"metric": GAINS})
    metrics = long.pivot(index=["run", "seq_len", "steps", "step"], columns="metric", values="value")
    metrics = metrics.rename_axis(columns=None).reset_index()
    step, steps = metrics["step"], metrics["steps"]
    metrics["seen"] = (step / steps).astype(float)
    last = metrics.groupby("run", observed=True)["step"].transform("max")
    moments = [step == 0, step == steps // 2, step == last]
    codes = np.select(moments, [0, 1, 2], default=-1).astype(int)
    metrics["when"] = pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(list(WHEN)))
    lengths = metrics[step > 0].groupby("step")["seq_len"].nunique()
    metrics["same_updates"] = step == lengths[lengths == lengths.max()].index.max()
    return metrics.drop(columns=["seq_len", "steps"])


def collect_curves(folders: list[Path]) -> pd.DataFrame:
    """Return the first and last lag curves, at the lags that the notebook draws or compares."""
    curves = rl.load_gradients(folders, ["state", "x"], axis="lag", steps="ends")
    drawn = (curves["quantity"] == "state") & (curves["lag"] <= FIGURE_LAGS)
    kept = curves[drawn | curves["lag"].isin(LAGS)]
    return kept[["run", "step", "quantity", "layer", "lag", "log10_gmean"]]


def collect(folder: Path) -> Tables:
    """Return the tables of the study.

    `runs` has one row per run, with the name of the network and the theoretical gain: ½ log₁₀ χ for the
    vanilla cell, the mean log₁₀ f of the cell path for the LSTM. `metrics` has one row per recording and
    `curves` one row per lag of the first and last lag curves; both also contain the run's network, chunk
    length and seed.
    """
    folders = [folder / sweep for sweep in SWEEPS]
    runs = read_runs(folder, SWEEPS, COLUMNS)
    runs.insert(1, "network", name_networks(runs))
    runs["parameters"] = count_parameters(runs)
    runs["symbols"] = runs["seq_len"] * runs["steps"] * runs["batch_size"]
    theory = runs.pop("theory/log10_gain"), runs.pop("theory/log10_cell_path")
    runs["theory"] = theory[0].fillna(theory[1])
    axes = runs[["run", "network", "seq_len", "seed"]]
    metrics, curves = collect_metrics(folders), collect_curves(folders)
    return {"runs": runs, "metrics": axes.merge(metrics, on="run"), "curves": axes.merge(curves, on="run")}


if __name__ == "__main__":
    main(collect, __file__)
