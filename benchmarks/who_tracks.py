"""Time and memory to send runs to MLflow from one process for all runs, or from one process per worker.

The benchmark sends the same finished runs to an empty database several times: first from a single process,
then from several concurrent processes that each send their share of the runs.

    python -m benchmarks.who_tracks --runs 24 --workers 2 8
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rnnlab.mlflow_mirror.ledger import LEDGER_FILE
from rnnlab.mlflow_mirror.store import open_experiment

SWEEP = [
    "-m",
    "report=false",
    "cell=lstm",
    "steps=1000",
    "hidden_size=8",
    "batch_size=4",
    "seq_len=20",
    "tracking=none",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=24)
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 8])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as top:
        _run([sys.executable, "-m", "rnnlab", *SWEEP, f"seed=range({args.runs})"], top).wait()
        runs = [str(path.parent) for path in Path(top).glob("multirun/*/*/*/run.json")]
        for senders in (1, *args.workers):
            for ledger in Path(top).rglob(LEDGER_FILE):
                ledger.unlink()
            uri = f"sqlite:///{top}/{senders}.db"
            open_experiment(uri, "rnnlab")
            before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            command = [sys.executable, "-m", "rnnlab.sync", "--uri", uri]
            processes = [_run([*command, *runs[n::senders]], top) for n in range(senders)]
            memory, codes = 0, []
            for process in processes:
                _, status, usage = os.wait4(process.pid, 0)
                memory += usage.ru_maxrss
                codes.append(os.waitstatus_to_exitcode(status))
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            print(
                f"{senders} processes: {time.perf_counter() - began:5.1f} s, {cpu:5.1f} s of CPU, "
                f"{memory / 1024:5.0f} MB, {sum(code != 0 for code in codes)} failed"
            )


def _run(command: list[str], folder: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
