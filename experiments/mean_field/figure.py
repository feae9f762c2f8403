"""Draw the figure and print the table of this study: python figure.py SWEEP_FOLDER."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import seaborn as sns
import yaml

from rnnlab.analysis.frames.run_tables import read_gradients, read_metrics

LAGS = (1, 40)  # the earlier 20 time steps let the network settle


def gain_of(folder: Path) -> dict[str, float]:
    """Return the sizes of a run, its measured ln gain per time step, and the predicted ½ ln χ."""
    config = yaml.safe_load((folder / "config.yaml").read_text())
    curve = read_gradients(folder).query(f"step == 0 and quantity == 'h' and {LAGS[0]} <= lag <= {LAGS[1]}")
    slope = np.polyfit(curve["lag"].astype(float), curve["log10_gmean"] * np.log(10), 1)[0]
    theory = read_metrics(folder)["theory/log10_gain"].dropna().iloc[0] * np.log(10)
    return {
        "H": config["hidden_size"],
        "σ_w": config["init"]["W_hh"]["gain"],
        "σ_x": config["task"]["std"],
        "½ ln χ": theory,
        "measured": slope,
        "difference": slope - theory,
    }


runs = pd.DataFrame([gain_of(file.parent) for file in sorted(Path(sys.argv[1]).glob("*/run.json"))])
grouped = runs.groupby(["σ_w", "σ_x", "H"])
table = grouped[["½ ln χ", "measured", "difference"]].mean().round(4)
table["standard error"] = grouped["measured"].sem().round(4)
table["draws"] = grouped.size()
print(table.query(f"H == {runs['H'].max()}").reset_index().to_string(index=False))
print(table.groupby("H")["difference"].agg(lambda d: d.abs().mean()).round(4).to_string())

sns.set_theme(style="ticks", palette="colorblind", context="notebook")
runs["1/H"] = 1 / runs["H"]
runs[["σ_w", "σ_x"]] = runs[["σ_w", "σ_x"]].astype(str)
grid = sns.relplot(
    runs, x="1/H", y="difference", hue="σ_w", style="σ_x", kind="line", markers=True, errorbar="se",
    err_style="bars", height=4, aspect=1.5,
)  # fmt: skip
grid.ax.axhline(0, color="black", linewidth=0.8)
sizes = sorted(runs["H"].unique())
grid.ax.set_xticks([1 / size for size in sizes], [f"1/{size}" for size in sizes])
grid.set_axis_labels("1 / hidden size", "measured − ½ ln χ (per time step)")
grid.savefig(Path(__file__).with_name("one_over_H.png"), dpi=220)
