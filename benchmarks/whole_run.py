"""Breakdown of a command's wall time, from Enter to the prompt, for one run or a sweep of 24 on two cores.

The metrics.jsonl file of each run contains the time of each step. The time of a training step is the median
over steps without a probe or a validation. Extra time in the other steps counts as recording or validation.
Time before the first step is start-up, time after the last step is figures and files, and time of the
launching process after the last run is tracking.

    python -m benchmarks.whole_run            # the default configuration
    python -m benchmarks.whole_run --sweep    # 24 LSTMs with hidden size 64, 2000 steps each
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.machine import about

SWEEP = ["-m", "cell=lstm", "steps=2000", "hidden_size=64", "seed=range(24)"]
PROBED = ("grad/log10_gain", "grad_norm/", "weights/", "lyapunov/")
PARTS = ("start-up", "training", "recording", "validation", "figures and files", "tracking")


def split_of_run(folder: Path) -> dict[str, float]:
    """Return the seconds that the worker spent on each part of a run."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    info = json.loads((folder / "run.json").read_text())
    durations = np.diff([0.0, *(row["seconds"] for row in rows)])
    probed = np.array([any(key.startswith(PROBED) for key in row) for row in rows])
    validated = np.array(["val/loss" in row for row in rows])
    validated[-1] = True  # the last row is the final validation
    plain = ~(probed | validated)
    step = float(np.median(durations[plain]))
    extra = np.maximum(durations - step, 0)
    both = probed & validated
    validation = extra[validated & ~probed].sum() + extra[both].sum() / 2
    return {
        "training": float(durations[plain].sum() + step * (~plain).sum()),
        "recording": float(extra[probed & ~validated].sum() + extra[both].sum() / 2),
        "validation": float(validation),
        "figures and files": info["ended"] - info["started"] - rows[-1]["seconds"],
        "started": info["started"],
        "ended": info["ended"],
    }


def command(overrides: Sequence[str], folder: Path) -> None:
    """Run `python -m rnnlab` in `folder`."""
    subprocess.run(
        [sys.executable, "-m", "rnnlab", *overrides], cwd=folder, check=True, stdout=subprocess.DEVNULL
    )


def run(overrides: Sequence[str], folder: Path) -> tuple[float, dict[str, float], int]:
    """Run a command in `folder`; return its wall time, the seconds per part, and the number of runs."""
    began, wall_began = time.time(), time.perf_counter()
    command(overrides, folder)
    wall, ended = time.perf_counter() - wall_began, time.time()
    runs = [*folder.glob("outputs/*/*/run.json"), *folder.glob("multirun/*/*/*/run.json")]
    new_runs = [path.parent for path in runs if path.stat().st_mtime >= began]
    splits = [split_of_run(path) for path in new_runs]
    parts = {part: sum(split.get(part, 0.0) for split in splits) for part in PARTS}
    parts["start-up"] = min(split["started"] for split in splits) - began
    parts["tracking"] = ended - max(split["ended"] for split in splits)
    return wall, parts, len(splits)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sweep", action="store_true", help="measure a sweep of 24 runs instead of one run")
    parser.add_argument("overrides", nargs="*", help="overrides to use instead of the default")
    options = parser.parse_args()
    overrides = options.overrides or (SWEEP if options.sweep else ["steps=2000"])
    workers = min(os.cpu_count() or 1, 24) if "-m" in overrides else 1
    print("   ".join(f"{name} {value}" for name, value in about("numpy", "mlflow").items()))
    with tempfile.TemporaryDirectory() as scratch:
        command(["steps=2"], Path(scratch))  # creates the database and fills the file cache
        wall, parts, runs = run(overrides, Path(scratch))
    table = Table("", "seconds", "share", box=None)
    for part in PARTS:
        cores = 1 if part in ("start-up", "tracking") else workers
        table.add_row(part, f"{parts[part]:.2f}", f"{parts[part] / cores / wall:.1%}")
    idle = workers * wall - sum(
        parts[part] * (workers if part in ("start-up", "tracking") else 1) for part in PARTS
    )
    table.add_row("idle workers", f"{idle:.2f}", f"{idle / workers / wall:.1%}")
    Console().print(table)
    print(f"{runs} runs, {workers} workers, {wall:.1f} s of wall time")


if __name__ == "__main__":
    main()
