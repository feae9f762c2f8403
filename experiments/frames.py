"""Shared parts of the studies' scripts `collect.py`, which turn sweeps into small committed tables.

A script defines a function that returns the tables of its study for a folder of sweeps. `main` calls the
function and writes the tables to the folder `data/` beside the script, from which the notebook reads them.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

import rnnlab as rl
from rnnlab.records import ENDED

Tables = Mapping[str, pd.DataFrame]
"""Data frames by the name of their file, without suffix."""

ORIGIN = ("sweep", "git_commit", "seconds", "outcome")
"""Columns that describe how a run came about; they name neither a folder nor a machine."""
SINGLE_PRECISION = ("value", "log10_gmean")
"""Columns of the long tables that are stored as float32, which is more precise than any figure or table."""


def main(collect: Callable[[Path], Tables], script: str) -> None:
    """Collect the tables of one study and write them to `data/` beside its script.

    Args:
        collect: Function that returns the tables, given the folder that contains the sweep folders.
        script: Path of the script.
    """
    parser = argparse.ArgumentParser(description=f"Write the tables of {Path(script).parent.name}/data.")
    parser.add_argument("folder", nargs="?", default="multirun", type=Path, help="folder of the sweeps")
    try:
        tables = collect(parser.parse_args().folder)
    except ValueError as error:  # a sweep is missing or incomplete
        parser.error(str(error))
    write_tables(tables, Path(script).parent / "data")


def write_tables(tables: Tables, folder: Path) -> None:
    """Write tables as Parquet files, replace all earlier tables, and print the size of each file."""
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.parquet"):
        old.unlink()
    for name, table in tables.items():
        path = folder / f"{name}.parquet"
        short = {column: np.float32 for column in SINGLE_PRECISION if column in table}
        table.astype(short).to_parquet(path, index=False, compression="zstd", compression_level=19)
        print(f"{path}: {len(table)} rows, {path.stat().st_size / 1000:.0f} kB")


def read_runs(folder: Path, sweeps: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """Return one row per run, with the columns `run` and ORIGIN and the given columns of `load_runs`.

    A column that no run has, such as `steps_to_solve` if no run solved its task, is NaN.

    Args:
        folder: Folder that contains the sweep folders.
        sweeps: Names of the sweep folders.
        columns: Sweep axes and results.

    Raises:
        ValueError: If a run did not end, because a table must not mix complete and incomplete runs.
    """
    runs: pd.DataFrame = rl.load_runs([folder / sweep for sweep in sweeps])
    if len(unfinished := runs[~runs["outcome"].isin(ENDED)]):
        raise ValueError(f"{len(unfinished)} of {len(runs)} runs did not end; rerun with resume=true")
    runs["sweep"] = runs["sweep"].cat.rename_categories(lambda name: name.removeprefix("multirun_"))
    return runs.reindex(columns=["run", *ORIGIN, *columns])


def at_chosen_rate(runs: pd.DataFrame, by: list[str], value: str) -> pd.DataFrame:
    """Return each seed's run at the learning rate with the lowest mean of a value over the *other* seeds.

    No seed influences the choice of its own learning rate, so that the selection does not bias the result. A
    learning rate at which the value of another seed is missing is never chosen, if there is any other.

    Args:
        runs: Data frame with the columns `seed` and `lr`.
        by: Columns that define the groups in which the learning rate is chosen.
        value: Column of losses or costs.
    """
    chosen: list[pd.DataFrame] = []
    for _, group in runs.groupby(by, observed=True):
        table = group.pivot(index="seed", columns="lr", values=value).fillna(np.inf)
        for seed in table.index:
            others = table.drop(index=seed) if len(table) > 1 else table
            chosen.append(group[(group["seed"] == seed) & (group["lr"] == others.mean().idxmin())])
    return pd.concat(chosen, ignore_index=True)
