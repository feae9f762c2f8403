"""Numbers and figures of the study, from the runs in multirun/depth and multirun/depth_width.

python experiments/depth/figure.py [FOLDER]
"""

import sys
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rnnlab.analysis import CELL_COLORS, load_gradients, load_metrics, load_runs
from rnnlab.analysis.figures.intervals import mean_interval
from rnnlab.analysis.figures.style import SEQUENTIAL, figure_style

HERE = Path(__file__).parent
SWEEPS = {"equal parameters": "depth", "37 units per layer": "depth_width"}
CONDITION = ["cell", "residual", "layers"]
MARKERS = {"rnn": "o", "lstm": "s", "gru": "^"}
FAR = 40
"""Lag at which the gradient is compared with lag 1; the sequences have 50 time steps."""


def ends(gradients: pd.DataFrame) -> pd.DataFrame:
    """Return the first and last recording of each run, with a column `trained`."""
    steps = gradients.groupby("run", observed=True)["step"]
    first, last = steps.transform("min"), steps.transform("max")
    rows = gradients[(gradients["step"] == first) | (gradients["step"] == last)]
    return rows.assign(trained=rows["step"] > 0)


def reach(gradients: pd.DataFrame) -> pd.DataFrame:
    """Return log10 g(40)/g(1) of the state of all layers, by run and recording."""
    rows = gradients[(gradients["quantity"] == "state") & gradients["lag"].isin([1, FAR])]
    rows = rows[rows["layer"] == rows.groupby("run", observed=True)["layer"].transform("min")]
    wide = rows.pivot_table(
        index=["run", *CONDITION, "trained"], columns="lag", values="log10_gmean", observed=True
    )
    return (wide[FAR] - wide[1]).rename("reach").reset_index()


def shares(folder: Path, runs: pd.DataFrame) -> pd.DataFrame:
    """Return the share of each layer in the squared gradient norm, at clipped and other training steps."""
    metrics = load_metrics(folder)
    names = metrics["metric"].astype(str)
    norms = metrics[names.str.fullmatch(r"grad_norm/l\d\.[^.]+") | names.eq("grad/clipped")]
    wide = norms.pivot_table(index=["run", "step"], columns="metric", values="value", observed=True)
    clipped = wide.pop("grad/clipped") > 0
    squares = (wide**2).dropna(how="all")
    layers = squares.columns.astype(str).str.extract(r"/l(\d)\.")[0].astype(int).to_numpy()
    by_layer = squares.T.groupby(layers).sum(min_count=1).T
    share = by_layer.div(by_layer.sum(axis=1), axis=0).assign(clipped=clipped)
    means = share.groupby(["run", "clipped"], observed=True).mean().rename_axis(columns="layer")
    long = means.stack().rename("share").reset_index()
    return long.merge(runs[["run", *CONDITION]], on="run")


def draw_reach(table: pd.DataFrame) -> Figure:
    """Draw the reach of the gradient against the number of layers."""
    figure = Figure(figsize=(8, 5.6), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True, sharey="row")
    for row, trained in enumerate((False, True)):
        for ax, size in zip(axes[row], SWEEPS, strict=False):
            part = table[(table["trained"] == trained) & (table["size"] == size)]
            for (cell, residual), line in part.groupby(["cell", "residual"], observed=True):
                if residual and len(line) < 2:
                    continue
                ax.errorbar(
                    line["layers"] + (0.06 if residual else 0),
                    line["mean"],
                    line["half"],
                    color=CELL_COLORS[cell],
                    linestyle="--" if residual else "-",
                    marker=MARKERS[cell],
                    markersize=4,
                    label=f"{cell}{', residual' if residual else ''}",
                )
            ax.set_title(f"{'Trained' if trained else 'Untrained'}, {size}")
            ax.set_xticks([1, 2, 3, 4])
        axes[row][0].set_ylabel(f"log₁₀ g({FAR})/g(1) of the state")
    for ax in axes[1]:
        ax.set_xlabel("layers")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False)
    return figure


def draw_layers(gradients: pd.DataFrame) -> Figure:
    """Draw the gradient by layer and lag of three-layer LSTMs, before and after training."""
    rows = gradients[
        (gradients["cell"] == "lstm")
        & (gradients["layers"] == 3)
        & ~gradients["residual"].astype(bool)
        & (gradients["quantity"] == "h")
        & (gradients["layer"] > 0)
    ]
    maps = {
        name: rows[rows["trained"] == trained].pivot_table(index="layer", columns="lag", values="log10_gmean")
        for name, trained in (("untrained", False), ("trained", True))
    }
    values = np.concatenate([wide.to_numpy().ravel() for wide in maps.values()])
    low, high = values.min(), values.max()
    figure = Figure(figsize=(8, 2.6), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for ax, (name, wide) in zip(axes, maps.items(), strict=True):
        edges = np.arange(wide.shape[1] + 1) - 0.5, np.arange(wide.shape[0] + 1) + 0.5
        mesh = ax.pcolormesh(*edges, wide.to_numpy(), cmap=SEQUENTIAL, vmin=low, vmax=high)
        ax.set(title=f"LSTM with three layers, {name}", xlabel="lag k (time steps back)", yticks=[1, 2, 3])
    axes[0].set_ylabel("layer (1 reads the inputs)")
    figure.colorbar(mesh, ax=axes, label="log₁₀ ‖∂ℓ/∂h‖")
    return figure


def main() -> None:
    """Print the tables and save the figures."""
    top = Path(sys.argv[1] if len(sys.argv) > 1 else "multirun")
    tables, parts = [], []
    for size, name in SWEEPS.items():
        if not (top / name).is_dir():
            continue
        runs, gradients = load_runs(top / name), ends(load_gradients(top / name, axis="lag", steps="ends"))
        found = mean_interval(reach(gradients), [*CONDITION, "trained"], "reach")
        tables.append(found.assign(half=found["high"] - found["mean"], size=size))
        solved = runs.groupby(CONDITION, observed=True)["val/solved"].agg(["sum", "count"])
        print(f"\n{size}: solved\n{solved.to_string()}")
        share = shares(top / name, runs).groupby([*CONDITION, "clipped", "layer"], observed=True)["share"]
        shown = share.mean().unstack("layer").round(2)
        print(f"\n{size}: share of each layer in the squared gradient norm\n{shown.to_string()}")
        parts.append(gradients)
    table = pd.concat(tables, ignore_index=True)
    print(table.round(2).to_string())
    with matplotlib.rc_context(figure_style()):
        draw_reach(table).savefig(HERE / "reach.png", dpi=120)
        draw_layers(parts[0]).savefig(HERE / "layers.png", dpi=120)


if __name__ == "__main__":
    main()
