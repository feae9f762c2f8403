"""Tables of the study of the edge of chaos, from the sweep edge_of_chaos.

python experiments/edge_of_chaos/collect.py [FOLDER]
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2]))  # the folder that contains experiments/

import rnnlab as rl
from experiments.frames import Tables, at_chosen_rate, main, read_runs

SWEEP = "edge_of_chaos"
COLUMNS = (
    *("cell.nonlinearity", "init.W_hh.gain", "lr", "seed", "metric", "steps", "baseline", "val/error_rate"),
    *("val/solved", "steps_to_solve", "grad/log10_gain", "regime", "unstable_since"),
)
NAMES = {"cell.nonlinearity": "nonlinearity", "init.W_hh.gain": "σ_w"}
CONDITION = [*NAMES.values()]
AT_START = {
    "grad/log10_gain": "measured",
    "theory/log10_gain": "√χ",
    "theory/critical_sigma_w": "critical σ_w",
    "grad/at_task_lag": "at_task_lag",
}


def untrained(folder: Path) -> pd.DataFrame:
    """Return measured and predicted gain before training, with one row per condition and seed.

    The learning rate has no effect before the first update, so that one run of each seed suffices.
    `measured` is the factor per time step from the slope of the lag curve, and `√χ` its prediction for the
    σ_w and σ_x of the drawn weights. `at_task_lag` is log₁₀ g(lag)/g(1) at the lag of the task.
    """
    metrics = rl.load_metrics(folder / SWEEP, list(AT_START)).rename(columns=NAMES).query("step == 0")
    first = metrics.groupby([*CONDITION, "seed", "metric"], observed=True)["value"].first()
    table = first.unstack().reindex(columns=[*AT_START]).rename(columns=AT_START).rename_axis(columns=None)
    table[["measured", "√χ"]] = 10 ** table[["measured", "√χ"]]
    return table.assign(difference=table["measured"] - table["√χ"]).reset_index()


def add_cost(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs with a cost that orders them by success.

    The cost of a run that solves the task is the fraction of its steps that it needed; the cost of any other
    run is 1 plus its error rate divided by the baseline's.
    """
    error = runs["val/error_rate"].fillna(runs["baseline"])
    needed = runs["steps_to_solve"].astype(float)
    cost = (needed / runs["steps"].astype(float)).fillna(1 + error / runs["baseline"])
    solved = runs["val/solved"].fillna(0)
    return runs.assign(error=error, solved=solved, steps_to_solve=needed, cost=cost)


def steps_beyond_edge(best: pd.DataFrame, critical: pd.Series) -> pd.Series:
    """Return by how many steps each run is slower than the same seed at the σ_w nearest the edge of chaos.

    Args:
        best: One run per condition and seed.
        critical: The σ_w of the edge, by nonlinearity.
    """
    ratio = best["σ_w"] / best["nonlinearity"].astype(str).map(critical)
    distance = ratio.map(np.log).abs()
    nearest = distance == distance.groupby(best["nonlinearity"], observed=True).transform("min")
    at_edge = best[nearest][["nonlinearity", "seed", "steps_to_solve"]]
    both = best.merge(at_edge, on=["nonlinearity", "seed"], suffixes=("", " at edge"), how="left")
    return (both["steps_to_solve"] - both["steps_to_solve at edge"]).mask(nearest.to_numpy())


def collect(folder: Path) -> Tables:
    """Return the tables of the study.

    `runs` has one row per run, `untrained` one row per condition and seed before training, and `best` the
    run of each condition and seed at the learning rate with the lowest mean cost over the other seeds, with
    its gain before and after training, and the steps that it needs more than at the edge of chaos.
    """
    runs = add_cost(read_runs(folder, [SWEEP], COLUMNS).rename(columns=NAMES))
    start = untrained(folder)
    best = at_chosen_rate(runs, CONDITION, "cost")
    best["final_gain"] = 10 ** best["grad/log10_gain"]
    theory = start.groupby(CONDITION, observed=True)["√χ"].mean()
    best = best.merge(theory.reset_index(), on=CONDITION)
    critical = start.groupby(start["nonlinearity"].astype(str))["critical σ_w"].mean()
    best["more_steps"] = steps_beyond_edge(best, critical)
    return {"runs": runs.drop(columns=["val/error_rate", "val/solved"]), "untrained": start, "best": best}


if __name__ == "__main__":
    main(collect, __file__)
