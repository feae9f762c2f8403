"""Tables of the memory study, from the sweeps memory, memory_forget_bias and memory_short_probe.

python experiments/memory/collect.py [FOLDER]
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2]))  # the folder that contains experiments/

import rnnlab as rl
from experiments.frames import Tables, main, read_runs

MAIN, BIASED, SHORT = SWEEPS = ("memory", "memory_forget_bias", "memory_short_probe")
COLUMNS = (
    *("task", "cell", "cell.forget_bias", "seq_len", "seed", "metric", "baseline", "val/error_rate"),
    *("val/solved", "steps_to_solve"),
)
CONDITION = ["task", "seq_len", "cell"]
STRATA = {"all runs": [], "task": ["task"], "task, length": CONDITION[:2], "task, length, cell": CONDITION}
"""Columns within which the runs of a pair agree, by name."""
G, HORIZON = "grad/at_task_lag", "grad/horizon"
EVERY = 25
"""Training steps between validations, and between recordings."""
LEADS = (400, 200, 100, 50, 25)
"""Training steps before the solution at which pairs are compared."""
RESAMPLES = 2000


def task_lags(runs: pd.DataFrame) -> np.ndarray:
    """Return the number of time steps from the last relevant input to the target, for each run."""
    length = runs["seq_len"].astype(int)
    special = [runs["task"] == "temporal_order", runs["task"] == "latch"]
    return np.select(special, [length - 1 - length // 10, length - 3], length - 1)


def last_at_chance(folder: Path, runs: pd.DataFrame) -> pd.Series:
    """Return the step of each run's last validation with an error of at least 95 % of the baseline."""
    metrics = rl.load_metrics(folder / MAIN, list(runs["metric"].unique()))
    judged = metrics.merge(runs[["run", "metric", "baseline"]].astype({"metric": str}), on=["run", "metric"])
    at_chance = judged[judged["value"] >= 0.95 * judged["baseline"]]
    return runs["run"].map(at_chance.groupby("run", observed=True)["step"].max()).astype(float)


def value_at(table: pd.DataFrame, runs: pd.DataFrame, steps: pd.Series) -> np.ndarray:
    """Return the value of each run at its step, or NaN without a recording at that step."""
    pairs = zip(runs["run"], steps, strict=True)
    values = [table.at[run, step] if step in table else np.nan for run, step in pairs]
    return np.array(values, dtype=float)


def add_recordings(folder: Path, runs: pd.DataFrame, g: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of the main sweep with g and horizon at the moments that the study compares.

    The moments are `start` (before training), `chance` (the last validation at chance level), `before` (the
    last recording before the solution, or of an unsolved run) and `end` (the last recording).

    Args:
        folder: Folder that contains the sweep folders.
        runs: Runs of the main sweep.
        g: Value of g by run and step.
    """
    horizon = by_step(folder / MAIN, HORIZON)
    lag = task_lags(runs)
    last = g.columns[g.columns % EVERY == 0].max()
    before = (runs["steps_to_solve"] - EVERY).fillna(last)
    chance = last_at_chance(folder, runs)
    return runs.assign(
        result=np.where(runs["steps_to_solve"].notna(), "solved", "not solved"),
        chance_step=chance,
        g_start=runs["run"].map(g[0]),
        g_chance=value_at(g, runs, chance),
        g_before=value_at(g, runs, before),
        g_end=runs["run"].map(g.ffill(axis="columns").iloc[:, -1]),
        reaches_start=runs["run"].map(horizon[0]) >= lag,
        reaches_before=value_at(horizon, runs, before) >= lag,
    )


def by_step(sweep: Path, metric: str) -> pd.DataFrame:
    """Return a metric with one row per run and one column per training step."""
    metrics = rl.load_metrics(sweep, metric).astype({"run": str})
    return metrics.pivot(index="run", columns="step", values="value").sort_index(axis="columns")


def concordance(runs: pd.DataFrame, g: pd.DataFrame, steps: pd.Series, strata: list[str]) -> list[float]:
    """Return how often the run that solves its task has the larger g, with a 95 % interval.

    A pair consists of a run that solves its task and a run that never does, which agree in `strata`. Both
    values of g are taken at the step of the run that solves its task; equal values count one half. The
    interval is that of a bootstrap over conditions (task, length and cell): a pair has weight w_i w_j if its
    runs belong to different conditions that are drawn w_i and w_j times, and w_i if they belong to the same.

    Args:
        runs: Runs of the main sweep.
        g: Value of g by run and step, with rows ordered like `runs`.
        steps: Step at which the pairs of a run that solves its task are compared, for each run.
        strata: Columns of `runs`.

    Returns:
        The fraction of pairs, the two ends of its interval, and the number of pairs.
    """
    conditions = runs.groupby(CONDITION, observed=True).ngroup().to_numpy()
    stratum = runs.groupby(strata, observed=True).ngroup().to_numpy() if strata else np.zeros(len(runs))
    solves = runs["steps_to_solve"].notna().to_numpy()
    size = conditions.max() + 1
    larger, pairs = np.zeros((size, size)), np.zeros((size, size))
    for row in np.flatnonzero(solves & steps.isin(g.columns).to_numpy()):
        at_step = g[steps.iloc[row]].to_numpy()
        others = np.flatnonzero(~solves & (stratum == stratum[row]) & np.isfinite(at_step))
        if np.isfinite(at_step[row]):
            wins = (at_step[row] > at_step[others]) + 0.5 * (at_step[row] == at_step[others])
            np.add.at(larger, (conditions[row], conditions[others]), wins)
            np.add.at(pairs, (conditions[row], conditions[others]), 1)
    if not pairs.sum():
        return [np.nan, np.nan, np.nan, 0]
    drawn = np.random.default_rng(0).multinomial(size, np.full(size, 1 / size), RESAMPLES).astype(float)
    weights = drawn[:, :, None] * drawn[:, None, :]
    weights[:, np.arange(size), np.arange(size)] = drawn
    counts = (weights * pairs).sum((1, 2))
    fractions = (weights * larger).sum((1, 2))[counts > 0] / counts[counts > 0]
    return [larger.sum() / pairs.sum(), *np.quantile(fractions, [0.025, 0.975]), pairs.sum()]


def all_concordances(runs: pd.DataFrame, g: pd.DataFrame) -> pd.DataFrame:
    """Return the concordance for every moment and stratum, and for each task among runs of equal length."""
    solution = runs["steps_to_solve"].astype(float)
    moments = {"start": solution * 0, "last at chance": runs["chance_step"]}
    moments |= {f"{lead} steps before": solution - lead for lead in LEADS}
    g = g.reindex(runs["run"])
    rows = []
    for moment, steps in moments.items():
        for name, strata in STRATA.items():
            rows.append(["all", moment, name, *concordance(runs, g, steps, strata)])
        for task in runs["task"].unique():
            of_task = (runs["task"] == task).to_numpy()
            result = concordance(runs[of_task], g[of_task], steps[of_task], ["seq_len"])
            rows.append([task, moment, "task, length", *result])
    columns = ["task", "moment", "pairs within", "fraction", "low", "high", "pairs"]
    return pd.DataFrame(rows, columns=columns).astype({"pairs": int})


def effect_of_bias(runs: pd.DataFrame) -> pd.DataFrame:
    """Return how much a larger forget bias increases the fraction of solved runs, with 95 % intervals.

    The fractions are compared within each combination of task and length; the intervals are those of a
    bootstrap over these combinations.
    """
    by = ["task", "seq_len", "cell.forget_bias"]
    solved = runs.groupby(by, observed=True)["val/solved"].mean().unstack()
    rng = np.random.default_rng(0)
    rows = []
    for bias in solved.columns[1:]:
        gain = (solved[bias] - solved[solved.columns[0]]).to_numpy()
        means = rng.choice(gain, (RESAMPLES, len(gain))).mean(axis=1)
        rows.append([bias, gain.mean(), *np.quantile(means, [0.025, 0.975])])
    return pd.DataFrame(rows, columns=["cell.forget_bias", "gained", "low", "high"])


def compare_probes(folder: Path) -> pd.DataFrame:
    """Return how well g agrees between probe sequences as long as the task's and four times as long.

    Training is identical, so that the weights at every step are the same. For each task, the table gives the
    rank correlation over all recordings and the median difference, short minus long.
    """
    same = [*CONDITION, "seed", "step"]
    long, short = (rl.load_metrics(folder / sweep, G) for sweep in (MAIN, SHORT))
    both = long.merge(short, on=same, suffixes=("", " short"))
    rows = []
    for task, part in both.groupby("task", observed=True):
        correlation = part["value"].corr(part["value short"], method="spearman")
        rows.append([task, correlation, (part["value short"] - part["value"]).median(), len(part)])
    return pd.DataFrame(rows, columns=["task", "rank correlation", "median difference", "recordings"])


def collect(folder: Path) -> Tables:
    """Return the tables of the study; g is log₁₀ g(lag)/g(1) at the lag that the task requires.

    `origin` has one row per run of all three sweeps. `runs` has one row per run of the main sweep, as
    described by `add_recordings`; `biased` has one row per LSTM of the first two sweeps, for the seeds that
    all forget biases have in common. `concordance`, `forget_bias` and `probes` are the results of
    `all_concordances`, `effect_of_bias` and `compare_probes`.
    """
    origin = read_runs(folder, SWEEPS, COLUMNS)
    g = by_step(folder / MAIN, G)
    of_main = read_runs(folder, [MAIN], COLUMNS).astype({"run": str})
    runs = add_recordings(folder, of_main, g)
    biased = read_runs(folder, [MAIN, BIASED], COLUMNS).query("cell == 'lstm'").astype({"run": str})
    biased = biased[biased["seed"].isin(biased["seed"][biased["sweep"] == BIASED])]
    biased["g_start"] = biased["run"].map(pd.concat([g[0], by_step(folder / BIASED, G)[0]]))
    shown = ["sweep", "git_commit", "outcome", "seconds", "val/solved"]
    return {
        "origin": origin[shown],
        "runs": runs.drop(columns=["sweep", "git_commit", "seconds", "cell.forget_bias"]),
        "biased": biased[["task", "seq_len", "seed", "cell.forget_bias", "g_start", "val/solved"]],
        "concordance": all_concordances(runs, g),
        "forget_bias": effect_of_bias(biased),
        "probes": compare_probes(folder),
    }


if __name__ == "__main__":
    main(collect, __file__)
