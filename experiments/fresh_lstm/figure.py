"""Draws the figure of this experiment: python figure.py RNN_RUN LSTM_RUN LSTM_FORGET_BIAS_1_RUN."""

import sys
from pathlib import Path

import pandas as pd
import seaborn as sns

from rnnlab.analysis.run_tables import read_gradients

NAMES = ("vanilla RNN", "LSTM", "LSTM, forget bias 1")

frames = []
for name, folder in zip(NAMES, sys.argv[1:], strict=True):
    gradients = read_gradients(Path(folder)).query("quantity == 'state' and lag > 0")
    for when, step in (("untrained", gradients["step"].min()), ("trained", gradients["step"].max())):
        frames.append(gradients[gradients["step"] == step].assign(cell=name, network=when))
curves = pd.concat(frames)

sns.set_theme(style="ticks", palette="colorblind", context="notebook")
grid = sns.relplot(
    curves, x="lag", y="log10_gmean", hue="cell", col="network", kind="line", height=3.4, aspect=1.25
)
grid.set_axis_labels("lag k (time steps back)", "log₁₀ gradient norm of the state")
grid.set_titles("{col_name}")
sns.move_legend(grid, "lower center", ncol=3, title=None, bbox_to_anchor=(0.45, -0.08))
grid.savefig(Path(__file__).with_name("lag_curves.png"), dpi=110)
