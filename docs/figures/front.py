"""Draw `front.png` from the sweeps of the fading study in `multirun/`: python docs/figures/front.py."""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns

from rnnlab.analysis import CELL_COLORS, draw_lag_curves, load_gradients

HERE = Path(__file__).parent
LENGTH, LAGS = 100, 100
NETWORKS = {
    ("fading", "rnn"): ("vanilla RNN", CELL_COLORS["rnn"]),
    ("fading", "gru"): ("GRU", CELL_COLORS["gru"]),
    ("fading", "lstm"): ("LSTM", CELL_COLORS["lstm"]),
    ("fading_forget_bias", "lstm"): ("LSTM, forget bias 1", CELL_COLORS["lstm"]),
}

parts = {}
for sweep in ("fading", "fading_forget_bias"):
    curves = load_gradients(f"multirun/{sweep}", "state", axis="lag", steps="ends")
    curves = curves[(curves["seq_len"] == LENGTH) & (curves["lag"] <= LAGS)]
    parts |= {(sweep, cell): part for cell, part in curves.groupby("cell", observed=True)}

sns.set_theme(style="ticks")
figure, axes = plt.subplots(1, 4, figsize=(10.4, 2.8), sharex=True, sharey=True, layout="constrained")
for ax, (key, (name, color)) in zip(axes, NETWORKS.items(), strict=True):
    part = parts[key].assign(cell=pd.Categorical(parts[key]["cell"].astype(str)))
    draw_lag_curves(part, ax, hue="cell", step="ends")
    ax.set_title(name, loc="left", color=color)
    ax.get_legend().remove()
    ax.set_ylim(-25, 2)
sns.despine(figure)
figure.savefig(HERE / "front.png", dpi=110)
