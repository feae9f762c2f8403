"""Training time with an absent or hanging MLflow server, and a check that it receives everything later.

The benchmark alternates sweeps of two LSTMs, one per core, in four conditions: without tracking; with a
server that responds and shares the same cores; with a server that is down; and with a server that is stopped
(SIGSTOP) during the entire sweep. Training time is the time recorded by the runs from their first step to
their last.

    python -m benchmarks.deaf_server --rounds 5
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from rnnlab.metric_table import is_shown
from rnnlab.mlflow_mirror.store import connect
from rnnlab.records import LOSS
from rnnlab.runs.metrics_jsonl import MetricsReader
from rnnlab.runs.run_json import read_run_info
from tests.cluster.services import MLflowServer

SWEEP = ["-m", "report=false", "cell=lstm", "seed=0,1", "hidden_size=64", "figures=false"]
OFF, UP, DOWN, HANGS = "no tracking", "server up", "server down", "server hangs"
STATES = (OFF, UP, DOWN, HANGS)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2000)
    args = parser.parse_args()
    training: dict[str, list[float]] = {state: [] for state in STATES}
    wall: dict[str, list[float]] = {state: [] for state in STATES}
    values = 0
    with tempfile.TemporaryDirectory() as top:
        server = MLflowServer(Path(top) / "server", f"sqlite:///{top}/server.db")
        for round_ in range(args.rounds):
            for state in STATES[round_ % 4 :] + STATES[: round_ % 4]:
                folder = Path(top) / f"{round_} {state}"
                folder.mkdir()
                if state == HANGS:
                    server.signal(signal.SIGSTOP)
                if state == DOWN:
                    server.stop()
                began = time.perf_counter()
                tracking = "tracking=none" if state == OFF else f"tracking.uri={server.uri}"
                sweep = [*SWEEP, f"steps={args.steps}", tracking]
                _run(["-m", "rnnlab", *sweep], folder)
                wall[state].append(time.perf_counter() - began)
                if state == HANGS:
                    server.signal(signal.SIGCONT)
                if state == DOWN:
                    server.start()
                _run(["-m", "rnnlab.sync", "--uri", server.uri], folder)
                runs = [path.parent for path in folder.glob("multirun/*/*/*/run.json")]
                training[state].append(sum(_info(run)["summary"]["seconds"] for run in runs))
                values += sum(_count_values(run, server.uri) for run in runs)
        server.stop()
    for state in STATES:
        ratio = median(training[state]) / median(training[OFF])
        seconds, total = median(training[state]), median(wall[state])
        print(f"{state:12} training {seconds:6.2f} s ({ratio:.3f})  command {total:6.2f} s")
    print(f"after sync: {values} values in MLflow match the run folders; none is missing or duplicated")


def _run(arguments: list[str], folder: Path) -> None:
    subprocess.run([sys.executable, *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def _info(folder: Path) -> dict[str, dict[str, float]]:
    info = read_run_info(folder)
    assert info is not None
    return info


def _count_values(folder: Path, uri: str) -> int:
    """Compare every metric value of a run in MLflow with its run folder; return the number of values."""
    client = connect(uri)
    ledger = json.loads((folder / "mlflow.json").read_text())
    run_id = next(iter(ledger.values()))["run_id"]
    rows = MetricsReader(folder).new_rows()
    count, last = 0, max(row["step"] for row in rows if LOSS in row)
    for key in sorted({key for row in rows for key in row if is_shown(key)}):
        local = {row["step"]: row[key] for row in rows if row.get(key) is not None}
        tracked = [(point.step, point.value) for point in client.get_metric_history(run_id, key)]
        assert len(tracked) == len(dict(tracked)), f"{key}: MLflow has two values at one step"
        assert all(local[step] == value for step, value in tracked), f"{key}: MLflow has a different value"
        every_step = len(local) > 1000
        assert every_step or len(tracked) == len(local), f"{key}: MLflow lacks values"
        assert not every_step or {0, last} <= dict(tracked).keys(), f"{key}: MLflow lacks an endpoint"
        assert not every_step or len(tracked) >= 500, f"{key}: MLflow has fewer than 500 values"
        count += len(tracked)
    return count


if __name__ == "__main__":
    main()
