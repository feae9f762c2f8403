"""CPU milliseconds per job for composing and checking a sweep, from the command line to the first run.

python -m benchmarks.composing --jobs 1000 5000
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import chdir, suppress
from math import exp, log
from pathlib import Path
from unittest import mock

from rich.console import Console
from rich.table import Table

FLAGS = ["tracking=none", "report=false"]


class _Started(BaseException):
    """Exception raised instead of starting the first run."""


def sweeps(folder: Path) -> dict[str, Callable[[int], list[str]]]:
    """Return functions that give the overrides of a sweep of about n runs, by the axes of the sweep."""
    table = folder / "table.csv"
    table.write_text("a,b\n" + "\n".join(f"{n % 17},{n % 23}" for n in range(2000)), encoding="utf-8")
    series = ["seq_len=8", "batch_size=4", f"task.path={table}"]

    def side(jobs: int, axes: int) -> int:
        return max(1, round(exp(log(jobs) / axes)))

    return {
        "seed": lambda n: [f"seed=range({n})"],
        "cell × seed": lambda n: ["cell=rnn,lstm", f"seed=range({n // 2})"],
        "lr × clip × seed": lambda n: [
            f"lr=range(1,{side(n, 3) + 1})",
            f"clip=range(1,{side(n, 3) + 1})",
            f"seed=range({n // side(n, 3) ** 2})",
        ],
        "lr": lambda n: [f"lr=range(1,{n + 1})"],
        "a key of a group": lambda n: ["cell=lstm", f"cell.forget_bias=range({n})"],
        "task × key × seed": lambda n: [
            "task=copy,adding,noise",
            "task.validation_examples=10,20",
            f"seed=range({n // 6})",
        ],
        "names by interpolation": lambda n: ["hydra.sweep.subdir='${seed}/${cell}'", f"seed=range({n})"],
        "an interpolated value": lambda n: ["val_every=${steps}", f"steps=range(1,{n + 1})"],
        "task=series × seed": lambda n: ["task=series", *series, f"seed=range({n})"],
        "task=char_lm × lr": lambda n: ["task=char_lm", f"lr=range(1,{n + 1})"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--only", nargs="+", default=[], help="names of the sweeps to measure")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one is not None:
        _one(args.one)
        return
    table = Table(box=None)
    for column in ("sweep", *(f"{jobs} jobs" for jobs in args.jobs), "exponent", "MB"):
        table.add_column(column, justify="left" if column == "sweep" else "right")
    with tempfile.TemporaryDirectory() as folder:
        for name, overrides in sweeps(Path(folder)).items():
            if args.only and name not in args.only:
                continue
            measured = [_measured(Path(folder), overrides(jobs)) for jobs in args.jobs]
            jobs, seconds, megabytes = zip(*measured, strict=True)
            times = [f"{1000 * s / n:.2f} ms" for s, n in zip(seconds, jobs, strict=True)]
            growth = log(seconds[-1] / seconds[0]) / log(jobs[-1] / jobs[0]) if len(jobs) > 1 else 1
            table.add_row(name, *times, f"{growth:.2f}", f"{megabytes[-1]:.0f}")
    Console(width=120).print(table)


def _measured(folder: Path, overrides: Sequence[str]) -> tuple[int, float, float]:
    """Return the number of jobs, CPU seconds and megabytes of a sweep, measured in a new process."""
    command = [sys.executable, "-m", "benchmarks.composing", "--one", str(folder), *overrides]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    jobs, seconds, megabytes = done.stdout.split()
    return int(jobs), float(seconds), float(megabytes)


def _one(arguments: Sequence[str]) -> None:
    from rnnlab.app import display, launch  # noqa: F401  # imported before the clock starts
    from rnnlab.app.cli import main as rnnlab

    def started(checked: object, *_: object) -> None:
        raise _Started

    folder, *overrides = arguments
    no_pool = mock.patch.object(launch, "LocalPool", started)
    with tempfile.TemporaryDirectory(dir=folder) as here, chdir(here), no_pool:
        began = time.process_time()
        with suppress(_Started):
            rnnlab(["-m", *overrides, *FLAGS])
        seconds = time.process_time() - began
        sweep = next(Path().glob("multirun/*/*/sweep.json"))
        jobs = sweep.read_text(encoding="utf-8").count("\n") - 4
    print(jobs, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    main()
