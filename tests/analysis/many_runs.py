"""Frames of a small synthetic sweep, as returned by the loaders."""

import itertools
from typing import Any

import numpy as np
import pandas as pd

CELLS = ("rnn", "lstm", "gru")
NAN = float("nan")


def runs_frame(
    cells: tuple[str, ...] = ("rnn", "lstm"),
    seq_lens: tuple[int, ...] = (10, 100),
    clips: tuple[float, ...] = (0.1, NAN),
    seeds: int = 3,
) -> pd.DataFrame:
    """Return one run per combination, with values drawn from a generator seeded by its number."""
    rows = []
    for number, (cell, seq_len, clip, seed) in enumerate(
        itertools.product(cells, seq_lens, clips, range(seeds))
    ):
        rng = np.random.default_rng(number)
        rows.append(
            {
                "run": f"r{number}",
                "outcome": "finished",
                "cell": cell,
                "seq_len": seq_len,
                "clip": clip,
                "seed": seed,
                "val/loss": rng.uniform(1, 3),
                "val/solved": float(rng.uniform() < 0.5),
                "grad/log10_gain": rng.normal(-0.1, 0.05),
                "grad/log10_gain_short": rng.normal(-0.2, 0.05),
                "grad/log10_gain_tail": rng.normal(-0.05, 0.02),
                "grad/horizon": float(rng.integers(3, seq_len)),
                "grad/censored": 0.0,
                "grad/clip_rate": 0.0 if np.isnan(clip) else rng.uniform(),
                "regime": "vanishing",
            }
        )
    return typed(pd.DataFrame(rows))


def gradients_frame(runs: pd.DataFrame, steps: tuple[int, ...] = (0, 5, 20), lags: int = 8) -> pd.DataFrame:
    """Return lag curves of `state` and `x`, and `h` by time step, of every run."""
    rows = []
    for place, run in enumerate(runs.to_dict("records")):
        rng = np.random.default_rng(1000 + place)
        for step, quantity in itertools.product(steps, ("state", "x")):
            level, slope = rng.normal(), rng.normal(-0.3, 0.05)
            rows += [
                key_of(run) | {"step": step, "quantity": quantity, "lag": k, "log10_gmean": level + slope * k}
                for k in range(lags + 1)
            ]
        rows += [
            key_of(run) | {"step": step, "quantity": "h", "timestep": t, "log10_gmean": rng.normal()}
            for step in steps
            for t in range(1, 5)
        ]
    frame = pd.DataFrame(rows).assign(target=pd.NA, layer=1, unit=pd.NA)
    return typed(frame).astype({"unit": "Int64", "timestep": "Int64", "lag": "Int64", "target": "Int64"})


def metrics_frame(runs: pd.DataFrame, steps: int = 12) -> pd.DataFrame:
    """Return `val/loss` and `train/loss` of every run."""
    rows = []
    for place, run in enumerate(runs.to_dict("records")):
        rng = np.random.default_rng(2000 + place)
        for metric, step in itertools.product(("val/loss", "train/loss"), range(steps)):
            value = 3 / (1 + 0.01 * step) + rng.uniform(0, 0.2)
            rows.append(key_of(run) | {"step": step, "metric": metric, "value": value})
    return typed(pd.DataFrame(rows))


def key_of(run: dict[str, Any]) -> dict[str, Any]:
    return {name: run[name] for name in ("run", "cell", "seq_len", "clip", "seed")}


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    """Convert text to categories, some of them unused, and integers to Int64."""
    known = {
        "cell": CELLS,
        "regime": ("vanishing", "stable", "exploding"),
        "outcome": ("finished", "unstable", "diverged", "failed", "killed"),
        "quantity": ("c", "h", "state", "x"),
        "metric": ("val/bpc", "val/loss", "train/loss"),
    }
    for name, words in known.items():
        if name in frame:
            more = [word for word in frame[name].dropna().unique() if word not in words]
            frame[name] = pd.Categorical(frame[name], categories=[*words, *more])
    return frame.astype({name: "Int64" for name in ("seq_len", "seed") if name in frame})


def replicates(frame: pd.DataFrame, *axes: str) -> list[pd.DataFrame]:
    """Return the rows of each combination of values of some axes, with null as a value of its own."""
    runs = frame.drop_duplicates("run")
    found: dict[tuple[str, ...], list[str]] = {}
    for _, run in runs.iterrows():
        found.setdefault(tuple(str(run[axis]) for axis in axes), []).append(run["run"])
    return [frame[frame["run"].isin(group)] for group in found.values()]


def curves(
    frame: pd.DataFrame, step: int, quantity: str = "state", relative: bool = True
) -> dict[str, list[float]]:
    """Return every run's lag curve, starting at lag 0 or 1."""
    found = {}
    for run in frame["run"].unique():
        rows = frame[(frame["run"] == run) & (frame["step"] == step) & (frame["quantity"] == quantity)]
        values = rows[rows["lag"].notna()].sort_values("lag")["log10_gmean"].tolist()
        found[run] = [value - values[1] for value in values[1:]] if relative else values
    return found


def groups_of(frame: pd.DataFrame, value: str, *axes: str) -> dict[tuple[str, ...], list[float]]:
    """Return the values of each combination of values of some axes, with null as a value of its own."""
    found: dict[tuple[str, ...], list[float]] = {}
    for _, run in frame.iterrows():
        found.setdefault(tuple(str(run[axis]) for axis in axes), []).append(run[value])
    return found


def sweep_layout(frame: pd.DataFrame, *axes: str) -> pd.DataFrame:
    """Return the frame with its axes between the columns `outcome` and `metric`, as from `load_runs`."""
    others = [name for name in frame if name not in (*axes, "outcome", "metric")]
    return frame.assign(metric="val/loss")[["outcome", *axes, "metric", *others]]


def with_zeros(share: float = 1.0) -> pd.DataFrame:
    """Return 24 runs, of which two (rnn at length 10) have a gain of 0."""
    runs = runs_frame()
    zero = runs["run"].isin(["r0", "r1"])
    logs = {
        f"grad/log10_gain{end}": runs[f"grad/log10_gain{end}"].mask(zero) for end in ("", "_short", "_tail")
    }
    gains = {name.replace("log10_", ""): (10**values).mask(zero, 0.0) for name, values in logs.items()}
    shares = pd.Series(np.where(zero, share, 0.0), index=runs.index)
    return runs.assign(**logs, **gains, **{"grad/zero_fraction": shares, "grad/zero_at_horizon": shares})
