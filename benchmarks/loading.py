"""Time to load many runs into data frames, from run folders and through MLflow's client.

python -m benchmarks.loading --runs 1000
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from mlflow.entities import Metric
from rich.console import Console
from rich.table import Table

from benchmarks.machine import about
from rnnlab.mlflow_mirror.store import open_experiment
from rnnlab.records import Curve, StepRecord
from rnnlab.runs.folder import RunFolder

SNAPSHOTS, TIME_STEPS, QUANTITIES = 50, 100, ("h", "state", "x")
LOADERS = {
    "load_runs": "load_runs(folder)",
    "load_gradients": "load_gradients(folder)",
    "load_gradients, one quantity, last step": "load_gradients(folder, 'state', steps='last')",
    "load_metrics, one metric": "load_metrics(folder, 'train/loss')",
}
# Each call runs in a new process because reused memory is faster.
SCRIPT = """
import sys, time, resource
from rnnlab.analysis import load_gradients, load_metrics, load_runs
folder = sys.argv[1]
began = time.perf_counter()
frame = {call}
seconds = time.perf_counter() - began
print(seconds, len(frame), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--by-mlflow", type=int, default=20, help="number of runs to load from MLflow")
    args = parser.parse_args()
    console = Console(width=120)
    console.print(about("pandas", "pyarrow", "mlflow"))
    table = Table(box=None)
    for column in ("", "rows", "seconds (median)", "all rounds", "MB"):
        table.add_column(column, justify="right" if column else "left")
    with tempfile.TemporaryDirectory() as top:
        folder = Path(top)
        for number in range(args.runs):
            _write(folder / f"{number:04d}", number)
        for label, call in LOADERS.items():
            table.add_row(label, *_measured(folder, call, args.rounds))
        console.print(table)
        seconds = _by_mlflow(folder / "mlflow.db", args.by_mlflow)
    console.print(
        f"get_metric_history of {len(QUANTITIES) * TIME_STEPS} metrics × {SNAPSHOTS} steps from SQLite: "
        f"{seconds:.2f} s per run, median of {args.by_mlflow} runs; "
        f"estimate for {args.runs} runs: {seconds * args.runs:,.0f} s"
    )


def _measured(folder: Path, call: str, rounds: int) -> list[str]:
    command = [sys.executable, "-c", SCRIPT.format(call=call), str(folder)]
    outputs = [
        subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(rounds)
    ]
    seconds, rows, memory = zip(*([float(word) for word in line.split()] for line in outputs), strict=True)
    all_rounds = " ".join(f"{second:.2f}" for second in seconds)
    return [f"{rows[0]:,.0f}", f"{np.median(seconds):.2f}", all_rounds, f"{max(memory):,.0f}"]


def _write(folder: Path, number: int) -> None:
    """Write a run folder with SNAPSHOTS recordings of TIME_STEPS random values of each quantity."""
    rng = np.random.default_rng(number)
    params = {"cell": ("rnn", "lstm")[number % 2], "task": "char_lm", "seq_len": "100", "lr": "0.002"}
    info = {
        "id": f"{number:032x}",
        "name": f"seed={number}",
        "number": number,
        "steps": SNAPSHOTS,
        "params": params | {"clip": "1.0" if number % 3 else "null", "seed": str(number)},
        "tags": {"sweep": "many"},
        "tracking": {"experiment": "many", "points": 500},
        "dataset": {"name": "none", "digest": "0", "source": "drawn"},
        "machine": {"host": "here", "cpu": "", "python": "", "packages": {"numpy": ""}, "blas": {}},
    }
    time_steps = np.arange(1, TIME_STEPS + 1)
    with RunFolder(folder, info, {"tracking": {"uri": None}}) as run:
        for step in range(SNAPSHOTS):
            norms = [rng.lognormal(size=TIME_STEPS) for _ in QUANTITIES]
            curves = [
                Curve(quantity, "timestep", time_steps, norm, 0.9 * norm, 2 * norm, np.log10(norm), 0 * norm)
                for quantity, norm in zip(QUANTITIES, norms, strict=True)
            ]
            run.write(StepRecord(step, {"train/loss": float(rng.random())}, curves))
        run.close()
        run.finish("finished", {"val/loss": float(rng.random()), "regime": "stable"})
    (folder / "gradients.arrow").unlink()


def _by_mlflow(database: Path, runs: int) -> float:
    """Return the median seconds that MLflow's client takes to load a run, with one value per row."""
    client, experiment_id = open_experiment(f"sqlite:///{database}", "loading")
    keys = [f"{quantity}/{t:03d}" for quantity in QUANTITIES for t in range(TIME_STEPS)]
    durations = []
    for _ in range(runs):
        run_id = client.create_run(experiment_id).info.run_id
        for step in range(SNAPSHOTS):
            client.log_batch(run_id, metrics=[Metric(key, 1.0, 0, step) for key in keys])
        began = time.perf_counter()
        points = [point for key in keys for point in client.get_metric_history(run_id, key)]
        durations.append(time.perf_counter() - began)
        assert len(points) == len(keys) * SNAPSHOTS
    return median(durations)


if __name__ == "__main__":
    main()
