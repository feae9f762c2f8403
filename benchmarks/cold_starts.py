"""Check that MLflow has every run of a sweep whose eight workers start together without a database.

python -m benchmarks.cold_starts --times 20
"""

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from rnnlab.mlflow_mirror.store import connect

SWEEP = [
    "-m",
    "report=false",
    "seed=range(8)",
    "jobs=8",
    "steps=20",
    "hidden_size=8",
    "batch_size=4",
    "seq_len=9",
    "figures=false",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--times", type=int, default=20)
    times = parser.parse_args().times
    run_counts: Counter[tuple[str, str]] = Counter()
    for _ in range(times):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(
                [sys.executable, "-m", "rnnlab", *SWEEP], cwd=folder, check=True, stdout=subprocess.DEVNULL
            )
            client = connect(f"sqlite:///{Path(folder) / 'mlflow.db'}")
            for experiment in client.search_experiments():
                for run in client.search_runs([experiment.experiment_id]):
                    run_counts[experiment.name, run.info.status] += 1
    print(f"{times} cold starts of 8 workers: {times * 8} runs expected")
    for (name, status), count in sorted(run_counts.items()):
        print(f"  {count} runs with status {status} in experiment {name}")


if __name__ == "__main__":
    main()
