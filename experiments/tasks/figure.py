"""Draw the figure of this study: python figure.py DIGITS_RNN DIGITS_LSTM ADDING_RNN ADDING_LSTM."""

import sys
from pathlib import Path

import pandas as pd
import seaborn as sns

from rnnlab.analysis.frames.run_tables import read_gradients

NAMES = [
    (task, cell) for task in ("digits, pixel by pixel", "adding, T = 100") for cell in ("tanh RNN", "LSTM")
]

frames = []
for (task, cell), folder in zip(NAMES, sys.argv[1:], strict=True):
    curve = read_gradients(Path(folder)).query("quantity == 'x' and lag.notna() and target.isna()")
    for network, step in (("untrained", curve["step"].min()), ("trained", curve["step"].max())):
        rows = curve[curve["step"] == step]
        at_lag_1 = rows.loc[rows["lag"] == 1, "log10_gmean"].iloc[0]
        relative = rows["log10_gmean"] - at_lag_1
        frames.append(rows.assign(task=task, cell=cell, network=network, relative=relative))
curves = pd.concat(frames).query("lag > 0")

sns.set_theme(style="ticks", palette="colorblind", context="notebook")
grid = sns.relplot(
    curves, x="lag", y="relative", hue="cell", style="network", style_order=["trained", "untrained"],
    col="task", kind="line", height=3.4, aspect=1.25, facet_kws={"sharex": False},
)  # fmt: skip
grid.set_axis_labels("lag k (time steps back)", "log₁₀ gradient at the input,\nrelative to lag 1")
grid.set_titles("{col_name}")
grid.savefig(Path(__file__).with_name("lag_curves.png"), dpi=220)
