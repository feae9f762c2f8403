"""Tables of the study of clipping, from the sweeps clipping, clipping_value and clipping_adam.

python experiments/clipping/collect.py [FOLDER]
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.stats

sys.path.insert(0, str(Path(__file__).parents[2]))  # the folder that contains experiments/

import rnnlab as rl
from experiments.frames import Tables, at_chosen_rate, main, read_runs

SGD, BY_VALUE, ADAM = "clipping", "clipping_value", "clipping_adam"
COLUMNS = (
    *("optimizer", "cell", "clip_mode", "clip", "lr", "seed", "metric", "baseline", "val/bpc"),
    *("grad/clip_rate", "regime", "unstable_since"),
)
RANKS = ("p1 / 10", "p1", "p10", "p50", "p90", "p99")
"""Names of the thresholds of a cell in ascending order: a tenth of the first percentile, then percentiles."""
MODES = ("norm", "value")
CONDITION = ["optimizer", "cell", "clip_mode", "threshold"]
SHARES = (0.99, 0.9, 0.5, 0.1, 0.01)
"""Fractions of steps that the thresholds for clipping by value are to clip."""


def name_thresholds(runs: pd.DataFrame) -> pd.Series:
    """Return the name of each run's threshold by its rank among the thresholds of its cell and mode."""
    finite = runs["clip"].where(np.isfinite(runs["clip"]))
    rank = finite.groupby([runs["cell"], runs["clip_mode"]], observed=True).rank("dense")
    names = rank.map(dict(enumerate(RANKS, 1))).fillna("off")
    return pd.Series(pd.Categorical(names, [*RANKS, "off"], ordered=True), runs.index)


def repeat_unclipped(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs with those without clipping twice, once for each mode of clipping."""
    off = runs["threshold"] == "off"
    return pd.concat([runs[~off], *(runs[off].assign(clip_mode=mode) for mode in MODES)])


def best_losses(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the loss at the best learning rate of each threshold, with 95 % t intervals over seeds.

    For each seed, the learning rate is the one with the lowest mean loss over the other seeds. `difference`
    is the mean over seeds of the loss with clipping minus the loss of the same seed without clipping. `lr` is
    the median of the chosen learning rates, and `clip_rate` the mean clip rate at these learning rates.
    """
    best = at_chosen_rate(repeat_unclipped(runs), CONDITION, "val/bpc")
    same = [*CONDITION[:-1], "seed"]
    off = best[best["threshold"] == "off"][[*same, "val/bpc"]]
    best = best.merge(off, on=same, suffixes=("", " off"))
    best["difference"] = best["val/bpc"] - best["val/bpc off"]
    names = {"mean": "{}", "low": "{}_low", "high": "{}_high"}
    groups = best.groupby(CONDITION, observed=True)
    table = groups.agg(lr=("lr", "median"), clip_rate=("grad/clip_rate", "mean"))
    for value, name in (("val/bpc", "bpc"), ("difference", "difference")):
        interval = rl.mean_interval(best, CONDITION, value).set_index(CONDITION).drop(columns="count")
        table = table.join(interval.rename(columns={old: new.format(name) for old, new in names.items()}))
    return table.reset_index()


def interpolate_thresholds(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the thresholds for clipping by value that clip given fractions of steps.

    The threshold is interpolated between the runs of the grid, linearly between log θ and the logit of the
    clip rate, at the learning rate of each cell at which the percentiles of the norm are measured.
    """
    grid = runs.groupby(["cell", "clip"], observed=True)["grad/clip_rate"].mean()
    inside = grid[(grid > 0) & (grid < 1)].reset_index()
    inside["logit"] = scipy.stats.logistic.ppf(inside["grad/clip_rate"])
    rows = []
    for cell, part in inside.groupby("cell", observed=True):
        logs = np.interp(-scipy.stats.logistic.ppf(SHARES), -part["logit"], np.log(part["clip"]))
        rows += [(cell, share, threshold) for share, threshold in zip(SHARES, np.exp(logs), strict=True)]
    return pd.DataFrame(rows, columns=["cell", "share of steps", "threshold"])


def collect(folder: Path) -> Tables:
    """Return the tables of the study.

    `runs` has one row per run with SGD or Adam, with the name of its threshold; `cosine` is the mean over
    steps of the cosine between the gradients before and after clipping, and `norm_left` the median norm after
    clipping. `norms` contains the norm at every step of the runs without clipping with SGD. `best` is the
    result of `best_losses`, and `thresholds` that of `interpolate_thresholds`.
    """
    runs = read_runs(folder, [SGD, ADAM], COLUMNS)
    runs.insert(list(runs).index("clip"), "threshold", name_thresholds(runs))
    by_step = rl.load_metrics(folder / SGD, ["grad/clip_cosine", "grad/norm_clipped"])
    by_run = by_step.groupby(["run", "metric"], observed=True)["value"].agg(["mean", "median"])
    runs["cosine"] = runs["run"].map(by_run["mean"].xs("grad/clip_cosine", level="metric"))
    runs["norm_left"] = runs["run"].map(by_run["median"].xs("grad/norm_clipped", level="metric"))
    norms = rl.load_metrics(folder / SGD, "grad/norm", where="clip == inf")
    return {
        "runs": runs,
        "norms": norms[["cell", "lr", "seed", "step", "value"]],
        "best": best_losses(runs),
        "thresholds": interpolate_thresholds(read_runs(folder, [BY_VALUE], COLUMNS)),
    }


if __name__ == "__main__":
    main(collect, __file__)
