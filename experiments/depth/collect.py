"""Tables of the study of depth, from the sweeps depth and depth_width.

python experiments/depth/collect.py [FOLDER]
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2]))  # the folder that contains experiments/

import rnnlab as rl
from experiments.frames import Tables, main, read_runs

SWEEPS = {"depth": "equal parameters", "depth_width": "equal width"}
COLUMNS = (
    *("cell", "residual", "layers", "hidden_size", "seq_len", "steps", "seed"),
    *("metric", "baseline", "val/mse", "val/solved", "grad/clip_rate"),
)
CONDITION = ["run", "size", "cell", "residual", "layers", "seed"]
FAR = 40
"""Lag at which the gradient is compared with lag 1."""
SHOWN_LAYERS = 3
"""Number of layers of the networks whose lag curves the notebook draws by layer."""


def count_parameters(runs: pd.DataFrame) -> pd.Series:
    """Return the number of parameters of each run's network, which has two inputs and one output.

    A layer with G gates, H units and X inputs has G (H² + HX + H) parameters, and the readout H + 1. A layer
    of GRUs has H more, for the bias of W_hh inside the reset gate.
    """
    gates = runs["cell"].astype(str).map({"rnn": 1, "gru": 3, "lstm": 4})
    layers, size = runs["layers"].astype(int), runs["hidden_size"].astype(int)
    inputs = 2 + (layers - 1) * size
    of_cell = gates * size * (layers * (size + 1) + inputs)
    return of_cell + np.where(runs["cell"] == "gru", layers * size, 0) + size + 1


def collect_ends(folders: list[Path]) -> pd.DataFrame:
    """Return the lag curves of the first and last recording of each run, with a column `trained`."""
    curves = rl.load_gradients(folders, ["state", "h"], axis="lag", steps="ends")
    last = curves.groupby("run", observed=True)["step"].transform("max")
    return curves.assign(trained=(curves["step"] == last) & (curves["step"] > 0))


def collect_reach(ends: pd.DataFrame) -> pd.DataFrame:
    """Return log10 g(40)/g(1) by run and recording: of the state of all layers, and of h of each layer.

    Rows of the state have `layer` 0, also in networks of one layer.
    """
    rows = ends[ends["lag"].isin([1, FAR])].astype({"quantity": str})
    first = rows.groupby("run", observed=True)["layer"].transform("min")
    of_state = rows["quantity"] == "state"
    rows = rows[~of_state | (rows["layer"] == first)]
    rows = rows.assign(layer=rows["layer"].where(rows["quantity"] != "state", 0))
    wide = rows.pivot(index=["run", "trained", "layer"], columns="lag", values="log10_gmean")
    return (wide[FAR] - wide[1]).reset_index(name="reach")


def collect_shares(folders: list[Path]) -> pd.DataFrame:
    """Return the share of each layer in the squared gradient norm, at clipped and at other training steps."""
    metrics = rl.load_metrics(folders)
    names = metrics["metric"].astype(str)
    norms = metrics[names.str.fullmatch(r"grad_norm/l\d\.[^.]+") | names.eq("grad/clipped")]
    norms = norms.astype({"metric": str})
    wide = norms.pivot(index=["run", "step"], columns="metric", values="value")
    is_clipped = wide.pop("grad/clipped") > 0
    squares = (wide**2).dropna(how="all")
    layers = squares.columns.str.extract(r"/l(\d)\.")[0].astype(int).to_numpy()
    by_layer = squares.T.groupby(layers).sum(min_count=1).T
    share = by_layer.div(by_layer.sum(axis=1), axis=0).assign(clipped=is_clipped)
    means = share.groupby(["run", "clipped"], observed=True).mean().reset_index()
    return means.melt(["run", "clipped"], var_name="layer", value_name="share").dropna()


def collect(folder: Path) -> Tables:
    """Return the tables of the study.

    `runs` has one row per run, `reach` one row per run, recording and layer (0 for all layers together),
    `shares` one row per run, layer and kind of training step, and `curves` the lag curves of h in each layer
    of the networks with three layers and equal parameters.
    """
    folders = [folder / sweep for sweep in SWEEPS]
    runs = read_runs(folder, list(SWEEPS), COLUMNS)
    sizes = pd.CategoricalDtype(list(SWEEPS.values()))
    runs.insert(1, "size", runs["sweep"].astype(str).map(SWEEPS).astype(sizes))
    runs["parameters"] = count_parameters(runs)
    axes, ends = runs[CONDITION], collect_ends(folders)
    shown = ends[(ends["quantity"] == "h") & (ends["layers"] == SHOWN_LAYERS)]
    curves = axes.merge(shown[["run", "step", "quantity", "layer", "lag", "log10_gmean"]], on="run")
    curves = curves[curves["size"] == SWEEPS["depth"]]
    tables = {"reach": collect_reach(ends), "shares": collect_shares(folders)}
    short = {"reach": np.float32, "share": np.float32}
    merged = {name: axes.merge(table, on="run") for name, table in tables.items()}
    small = {
        name: table.astype({k: v for k, v in short.items() if k in table}) for name, table in merged.items()
    }
    return {"runs": runs, "curves": curves, **small}


if __name__ == "__main__":
    main(collect, __file__)
