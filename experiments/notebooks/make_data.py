"""Compute the data of `figure_for_a_paper.ipynb`: two sweeps, which take a minute and a half on two cores.

    python experiments/notebooks/make_data.py

The sweeps run in temporary folders and are not sent to MLflow. The files in `data/` contain the columns that
the notebook needs.
"""

import tempfile
from pathlib import Path

import rnnlab as rl

DATA = Path(__file__).parent / "data"
CURVE_COLUMNS = [
    *("run", "cell", "seed", "step", "quantity", "layer", "target", "lag", "log10_gmean", "zero_fraction"),
]
RUN_COLUMNS = ["run", "cell.nonlinearity", "init.W_hh.gain", "seed", "grad/gain"]
COMMON = {
    "hidden": 64,
    "seed": [0, 1, 2, 3, 4],
    **{"track": False, "figures": False, "report": False},
}


def main() -> None:
    """Run both sweeps and write their Parquet files."""
    DATA.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        cells = {"cell": ["rnn", "lstm", "gru"], "seq_len": 40, "steps": 1500}
        trained = rl.sweep("adding", folder=Path(scratch, "trained"), **cells, **COMMON)
        curves = trained.gradients.query("quantity == 'state' and step in (0, 1500) and lag >= 0")
        curves[CURVE_COLUMNS].reset_index(drop=True).to_parquet(DATA / "trained_curves.parquet")
        axes = {
            "cell.nonlinearity": ["identity", "tanh"],
            "init.W_hh.gain": [0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3],
        }
        initial = rl.sweep(folder=Path(scratch, "initial"), experiment="classroom", **axes, **COMMON)
        initial.runs[RUN_COLUMNS].to_parquet(DATA / "initial_gains.parquet")


if __name__ == "__main__":
    main()
