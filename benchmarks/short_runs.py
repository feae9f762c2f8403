"""CPU time that one more short run adds to a sweep, with figures, recording and tracking.

Two sweeps that differ only in the number of runs are measured in turn, with all their processes. The
difference divided by the number of additional runs is the cost per run, without imports and compilation.

    python -m benchmarks.short_runs
    python -m benchmarks.short_runs --compare ../other_checkout   # also measure another version
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.machine import about
from benchmarks.whole_run import split_of_run

RUNS = (8, 16)
SHORT = ("cell=rnn,lstm", "steps=20")
HERE = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compare", type=Path, help="checkout of another version to measure in turn")
    parser.add_argument("overrides", nargs="*", help="overrides in addition to the default")
    options = parser.parse_args()
    print("   ".join(f"{name} {value}" for name, value in about("numpy", "matplotlib", "mlflow").items()))
    checkouts = [HERE, *([options.compare.resolve()] if options.compare else [])]
    costs: dict[Path, list[float]] = {checkout: [] for checkout in checkouts}
    for _ in range(options.rounds):
        for checkout in checkouts:
            few, many = (_seconds(checkout, runs, options.overrides) for runs in RUNS)
            costs[checkout].append((many[0] - few[0]) / (RUNS[1] - RUNS[0]))
            print(
                f"{checkout.name}: {RUNS[0]} runs {few[0]:.2f} s, {RUNS[1]} runs {many[0]:.2f} s, "
                f"{costs[checkout][-1]:.2f} s per run, of which training steps {many[1]:.2f} s",
                flush=True,
            )
    for checkout, seconds in costs.items():
        print(f"{checkout.name}: {median(seconds):.2f} s of CPU time per run (median)")
    if options.compare:
        ours, other = (median(costs[checkout]) for checkout in checkouts)
        print(f"ratio {ours / other:.2f}")


def _seconds(checkout: Path, runs: int, overrides: Sequence[str]) -> tuple[float, float]:
    """Return the CPU seconds of a sweep with an existing database, and the seconds of training per run."""
    with tempfile.TemporaryDirectory() as folder:
        _run(checkout, folder, ["steps=2"])  # creates the database, compiles and fills the file cache
        before = _children()
        _run(checkout, folder, ["-m", *SHORT, f"seed=range({runs // 2})", *overrides])
        folders = [file.parent for file in Path(folder).glob("multirun/*/*/*/run.json")]
        assert len(folders) == runs
        return _children() - before, float(np.mean([split_of_run(run)["training"] for run in folders]))


def _run(checkout: Path, folder: str, arguments: Sequence[str]) -> None:
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    command = [sys.executable, "-m", "rnnlab", *arguments]
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)


def _children() -> float:
    """Return the CPU seconds of all ended child processes and of their children."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
