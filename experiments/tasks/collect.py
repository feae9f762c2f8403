"""Tables of the study of tasks, from the sweeps tasks and tasks_lstm.

python experiments/tasks/collect.py [FOLDER]
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2]))  # the folder that contains experiments/

import rnnlab as rl
from experiments.frames import Tables, main, read_runs

SWEEPS = ("tasks", "tasks_lstm")
COLUMNS = (
    *("task", "cell", "seed", "steps", "metric", "baseline", "val/solved", "steps_to_solve"),
    *("val/error_rate", "val/accuracy", "val/mse", "grad/horizon", "grad/censored"),
)


def collect_curves(folder: Path) -> pd.DataFrame:
    """Return log10 g(k)/g(1) of every run before the first update and after the last, by lag.

    `when` names the recording, and `g` is the norm of the gradient with respect to all states.
    """
    folders = [folder / sweep for sweep in SWEEPS]
    curves = rl.load_gradients(folders, "state", axis="lag", steps="ends")
    curves = curves[(curves["lag"] >= 1) & curves["target"].isna()]
    key = ["run", "step"]
    at_1 = curves[curves["lag"] == 1].set_index(key)["log10_gmean"]
    curves["log10_gmean"] -= at_1.reindex(pd.MultiIndex.from_frame(curves[key])).to_numpy()
    when = np.where(curves["step"] > 0, "trained", "untrained")
    curves["when"] = pd.Categorical(when, ["untrained", "trained"])
    return curves[["run", "task", "cell", "seed", "when", "step", "lag", "log10_gmean"]]


def collect(folder: Path) -> Tables:
    """Return the tables of the study.

    `runs` has one row per run. `value` is the final value of the metric of its task; `untrained` and
    `trained` are the decades by which the gradient changes from lag 1 to the longest lag. `curves` has one
    row per lag of the first and the last lag curve.
    """
    runs, curves = read_runs(folder, SWEEPS, COLUMNS), collect_curves(folder)
    runs["value"] = [row[row["metric"]] for _, row in runs.iterrows()]
    runs["solved"] = runs.pop("val/solved").fillna(0) == 1
    longest = curves[curves["lag"] == curves.groupby("run", observed=True)["lag"].transform("max")]
    ends = longest.pivot(index=["run", "lag"], columns="when", values="log10_gmean").reset_index("lag")
    ends = ends.rename(columns={"lag": "longest lag"}).rename_axis(columns=None)
    ends.columns = ends.columns.astype(str)
    runs = runs.merge(ends.reset_index(), on="run")
    return {"runs": runs.drop(columns=["val/accuracy", "val/mse"]), "curves": curves}


if __name__ == "__main__":
    main(collect, __file__)
