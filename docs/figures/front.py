"""Draw `front.svg` from the sweeps of the fading study in `multirun/`: python docs/figures/front.py."""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns

import rnnlab as rl
from rnnlab.analysis.figures.intervals import mean_interval

HERE = Path(__file__).parent
LENGTH, LAGS = 100, 100
NETWORKS = {
    ("fading", "rnn"): "vanilla RNN",
    ("fading", "gru"): "GRU",
    ("fading", "lstm"): "LSTM",
    ("fading_forget_bias", "lstm"): "LSTM, forget-gate bias 1",
}


def decades_left(curves: pd.DataFrame) -> pd.DataFrame:
    """Return log10 g(LAGS)/g(1), one row per training step and one column per seed."""
    table = curves.pivot(index=["step", "seed"], columns="lag", values="log10_gmean")
    return (table[LAGS] - table[1]).unstack("seed")


parts = {}
for sweep in ("fading", "fading_forget_bias"):
    curves = rl.load_gradients(f"multirun/{sweep}", "state", axis="lag", steps="ends")
    curves = curves[(curves["seq_len"] == LENGTH) & (curves["lag"] <= LAGS)]
    parts |= {(sweep, cell): part for cell, part in curves.groupby("cell", observed=True)}

sns.set_theme(style="ticks", rc={"svg.hashsalt": "rnnlab"})
figure, axes = plt.subplots(2, 2, figsize=(6.8, 4.8), sharex=True, sharey=True, layout="constrained")
trained = {}
for ax, (key, name) in zip(axes.flat, NETWORKS.items(), strict=True):
    part = parts[key].assign(cell=pd.Categorical(parts[key]["cell"].astype(str)))
    rl.draw_lag_curves(part, ax, hue="cell", step="ends")
    ends = decades_left(part)
    trained[name] = ends.iloc[-1]
    change = " → ".join(f"{mean:.0f}" for mean in ends.mean(axis="columns")) + " decades"
    ax.set_title(f"{name}\n{change.replace('-', '−')}", loc="left", fontsize="medium")
    ax.get_legend().remove()
    ax.set_ylim(-25, 2)
    ax.label_outer()
solid = plt.Line2D([], [], color="0.25")
dashed = plt.Line2D([], [], color="0.25", linestyle=(0, (4, 1.5)))
figure.legend([dashed, solid], ["untrained", "trained"], loc="outside lower center", ncol=2, frameon=False)
sns.despine(figure)
difference = pd.DataFrame({"all": 0, "decades": trained["LSTM"] - trained["vanilla RNN"]})
print(mean_interval(difference, ["all"], "decades"))  # the number above the figure
figure.savefig(HERE / "front.svg", metadata={"Date": None})
