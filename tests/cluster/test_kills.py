"""Sweeps resumed after random kills have the same results as undisturbed sweeps.

RNNLAB_KILLS sets the number of kills (default 8), spread over sweeps of twelve runs. The victim is, in turn, a
worker, the launcher, the MLflow server and PostgreSQL. RNNLAB_SEED is the seed of the kill times.
"""

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rnnlab.analysis.frames.identity import find_differences
from tests import processes as commands
from tests.cluster.services import MLflowServer, PostgreSQL
from tests.processes import Done, children, run, run_info
from tests.tracked import Tracked, tracked_runs

KILLS = int(os.environ.get("RNNLAB_KILLS", "8"))
SWEEP = (
    "-m",
    "report=false",
    "cell=rnn,lstm",
    "seed=range(6)",
    "steps=1200",
    "hidden_size=24",
    "val_every=100",
)
QUICK = ("checkpoint_every=0.3", "figures=false", "jobs=2")
LONGEST_WAIT = 3.0
"""Maximum time to the next kill, in seconds."""
ATTEMPTS = 60


class Lab:
    """PostgreSQL and an MLflow server, with the counts of their kills."""

    def __init__(self, folder: Path) -> None:
        self.random = random.Random(int(os.environ.get("RNNLAB_SEED", "0")))
        self.database = PostgreSQL(folder / "postgresql")
        self.server = MLflowServer(folder / "server", self.database.uri)
        self.killed: Counter[str] = Counter()
        self.kinds = ["worker", "launcher", "server", "postgresql"]

    @property
    def settings(self) -> dict[str, str]:
        return {"MLFLOW_TRACKING_URI": self.server.uri}

    def kill_something(self, launcher: "subprocess.Popen[str]") -> None:
        """Kill a process of the next kind, if one is running."""
        kind = self.kinds[sum(self.killed.values()) % len(self.kinds)]
        if kind == "worker":
            workers = [pid for pid in children(launcher.pid) if b"spawn_main" in _command_line(pid)]
            if not workers:
                return
            os.kill(self.random.choice(workers), signal.SIGKILL)
        elif kind == "launcher":
            launcher.kill()
        elif kind == "server":
            self.server.stop()
            time.sleep(self.random.uniform(0, 2))
            self.server.start()
        else:
            self.database.kill()
            time.sleep(self.random.uniform(0, 2))
            self.database.start()
        self.killed[kind] += 1

    def close(self) -> None:
        self.server.stop()
        self.database.stop()


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.close()


def disturbed(lab: Lab, folder: Path, experiment: str) -> Done:
    """Run a sweep with repeated kills, resumed until it is done."""
    folder.mkdir()
    for _ in range(ATTEMPTS):
        arguments = (*SWEEP, *QUICK, f"tracking.experiment={experiment}", "resume=true")
        process = commands.start(folder, *arguments, **lab.settings)
        try:
            while process.poll() is None and sum(lab.killed.values()) < KILLS:
                time.sleep(lab.random.uniform(0.2, LONGEST_WAIT))
                if process.poll() is None:
                    lab.kill_something(process)
            done = commands.finish(folder, process)
        except BaseException:
            commands.end(process)
            raise
        assert "Traceback" not in done.err, done.err
        if done.code == 0:
            return done
    raise AssertionError(f"not done after {ATTEMPTS} attempts:\n{done.out}")


def shown(runs: dict[str, Tracked]) -> dict[str, Any]:
    """Return the data of the runs in MLflow, without times."""
    return {
        name: (
            r.status,
            r.params,
            r.history,
            sorted(path for path in r.artifacts if not path.startswith("images/")),
        )
        for name, r in runs.items()
    }


def test_no_row_is_lost_or_duplicated(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    whole = run(tmp_path / "whole", *SWEEP, *QUICK, "tracking.experiment=whole", **lab.settings)
    assert whole.code == 0
    expected = shown(tracked_runs(lab.server.uri, "whole"))
    assert len(expected) == 12
    sweeps = 0
    while sum(lab.killed.values()) < KILLS:
        sweeps += 1
        folder, experiment = tmp_path / f"sweep{sweeps}", f"disturbed{sweeps}"
        done = disturbed(lab, folder, experiment)
        assert run(folder, module="rnnlab.sync", **lab.settings).code == 0
        assert len(list(folder.glob("multirun/*/*/*/run.json"))) == 12, "a run is lost, or there twice"
        assert {run_info(path)["outcome"] for path in done.runs.values()} == {"finished"}
        for name in whole.runs:
            assert find_differences(whole.runs[name], done.runs[name]) == []
        assert shown(tracked_runs(lab.server.uri, experiment)) == expected
    print(f"\n{dict(lab.killed)} in {sweeps} sweeps of 12")
