"""Cost of a sweep of many tiny runs: time, disk, database, memory, and response time of MLflow's run list.

python -m benchmarks.many_runs --runs 125 250 500 1000
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from tests.cluster.services import MLflowServer

TINY = [
    "steps=20",
    "hidden_size=8",
    "batch_size=4",
    "seq_len=9",
    "probe=light",
    "figures=false",
    "report=false",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, nargs="+", default=[125, 250, 500, 1000])
    args = parser.parse_args()
    table = Table(box=None)
    for column in (
        "runs",
        "seconds",
        "ms per run",
        "database kB per run",
        "files kB per run",
        "launcher MB",
        "search page ms",
    ):
        table.add_column(column, justify="right")
    for runs in args.runs:
        with tempfile.TemporaryDirectory() as folder:
            table.add_row(*_measured(Path(folder), runs))
    Console(width=120).print(table)


def _measured(folder: Path, runs: int) -> list[str]:
    began = time.perf_counter()
    command = [sys.executable, "-m", "rnnlab", "-m", f"seed=range({runs})", *TINY]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    assert status == 0
    database = (folder / "mlflow.db").stat().st_size
    files = sum(path.stat().st_size for path in folder.glob("multirun/**/*") if path.is_file())
    figures = [seconds, 1000 * seconds / runs, database / runs / 1e3, files / runs / 1e3]
    figures += [usage.ru_maxrss / 1024, 1000 * _search(folder, runs)]
    return [str(runs), *(f"{figure:.0f}" for figure in figures)]


def _search(folder: Path, runs: int) -> float:
    """Return the median seconds of MLflow's request for the first hundred runs, as its web page sends it."""
    server = MLflowServer(folder / "server", f"sqlite:///{folder / 'mlflow.db'}")
    order = ["attributes.start_time DESC"]
    body = json.dumps({"experiment_ids": ["1"], "max_results": 100, "order_by": order}).encode()
    address = f"{server.uri}/ajax-api/2.0/mlflow/runs/search"
    durations: list[float] = []
    try:
        for _ in range(6):
            began = time.perf_counter()
            request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=30) as response:
                assert len(json.load(response)["runs"]) == min(runs, 100)
            durations.append(time.perf_counter() - began)
    finally:
        server.stop()
    return median(durations[1:])  # the first request opens the database


if __name__ == "__main__":
    main()
