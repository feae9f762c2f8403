"""The mirror on a busy machine and with a slow store, until all data are sent or a limit is reached."""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rnnlab.mlflow_mirror import mirror as mirrors
from rnnlab.mlflow_mirror.mirror import CORE_SHARE, Mirror
from rnnlab.mlflow_mirror.mirrored_run import MirroredRun
from rnnlab.mlflow_mirror.store import open_experiment
from tests.conftest import Starter
from tests.processes import TINY, children, finish, run_info, wait_until
from tests.runs.small_runs import whole_run
from tests.surroundings import environment
from tests.tracked import tracked_runs

SLOW = """
import time
from rnnlab.__main__ import main
from rnnlab.mlflow_mirror.mirrored_run import MirroredRun

sent_at_once = MirroredRun.update

def update(*arguments):
    time.sleep({seconds})
    return sent_at_once(*arguments)

if __name__ == "__main__":
    MirroredRun.update = update
    main()
"""
NOT_SENT = re.compile(
    r"^Not fully sent to MLflow: (\d) of 3 runs.*\. To send the remaining data, run: (.*)$", re.MULTILINE
)


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    return [whole_run(tmp_path / str(number), str(number)) for number in range(8)]


@pytest.fixture
def uri(tmp_path: Path) -> str:
    address = f"sqlite:///{tmp_path / 'mlflow.db'}"
    open_experiment(address, "rnnlab")
    return address


@pytest.fixture
def busy() -> Iterator[None]:
    """Keep all cores busy at a higher priority than that of a low-priority thread."""
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in os.sched_getaffinity(0)]
    yield
    for burner in burners:
        burner.kill()
        burner.wait()


def slowly(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Delay every answer of the store."""

    class Slow:
        def __init__(self, client: Any) -> None:
            self._client = client

        def __getattr__(self, name: str) -> Callable[..., Any]:
            def ask(*args: Any, **keys: Any) -> Any:
                time.sleep(seconds)
                return getattr(self._client, name)(*args, **keys)

            return ask

    def opened(uri: str, name: str) -> tuple[Slow, str]:
        client, experiment = open_experiment(uri, name)
        return Slow(client), experiment

    monkeypatch.setattr(mirrors, "open_experiment", opened)


def cpu_of(thread: threading.Thread) -> float:
    """Return the CPU seconds that a thread has used."""
    fields = Path(f"/proc/self/task/{thread.native_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_mirroring_uses_a_share_of_a_core_during_runs(folders: list[Path], uri: str) -> None:
    mirror = Mirror(uri, "rnnlab", "sweep-1", folders)
    wait_until(lambda: mirror._runs[1].complete, "the first runs are sent")
    began, used = time.monotonic(), cpu_of(mirror._thread)
    wait_until(lambda: mirror._runs[-1].complete, "the last run is sent")
    assert cpu_of(mirror._thread) - used < 1.3 * CORE_SHARE * (time.monotonic() - began)
    assert mirror.finish(lambda: False).unsent_runs == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only there has a thread a priority of its own")
def test_no_thread_keeps_a_lower_priority(folders: list[Path], uri: str, busy: None) -> None:
    """Threads started by a library must not lose priority either, because they would never regain it."""
    mirror = Mirror(uri, "rnnlab", "sweep-1", folders)
    wait_until(lambda: mirror._runs[0].complete, "it sends")
    own = os.getpriority(os.PRIO_PROCESS, 0)
    threads = [int(task.name) for task in Path("/proc/self/task").iterdir()]
    assert {os.getpriority(os.PRIO_PROCESS, thread) for thread in threads} == {own}
    report = mirror.finish(lambda: False)
    assert (report.unsent_runs, report.error) == (0, None)


def test_a_store_that_is_slow_but_answers_gets_its_time(
    folders: list[Path], uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slowly(monkeypatch, 0.3)
    monkeypatch.setattr(mirrors, "GIVE_UP_SECONDS", {True: 3.0, False: 3.0})  # less than one run takes
    mirror, shown = Mirror(uri, "rnnlab", "sweep-1", folders[:2]), []
    report = mirror.finish(lambda: False, lambda left, seconds: shown.append((left, seconds)))
    assert (report.unsent_runs, report.error) == (0, None)
    lefts, seconds = zip(*shown, strict=True)
    assert list(lefts) == sorted(lefts, reverse=True) and set(lefts) >= {2, 1}
    assert seconds[-1] > 3 and list(seconds) == sorted(seconds)


@pytest.mark.parametrize("in_haste", [False, True])
def test_a_store_that_is_too_slow_is_abandoned_within_the_limit(
    in_haste: bool, folders: list[Path], uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slowly(monkeypatch, 0.3)
    monkeypatch.setattr(mirrors, "SEND_SECONDS", 1.0)
    monkeypatch.setattr(mirrors, "SECONDS_PER_RUN", 0.1)
    mirror, began = Mirror(uri, "rnnlab", "sweep-1", folders), time.monotonic()
    report = mirror.finish(lambda: False, is_interrupted=in_haste)
    assert report.error == f"not finished after {1 if in_haste else 2} s"
    assert report.unsent_runs > 0 and time.monotonic() - began < 6
    assert not mirror._thread.is_alive()  # no further requests
    wait_until(
        lambda: all(MirroredRun(folder, uri).run_id() is None for folder in folders[-1:]), "none is begun"
    )


def test_ctrl_c_while_sending_prints_a_command_that_sends_the_rest(start: Starter, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW.format(seconds=4))
    process = start(tmp_path, "-m", "seed=0,1,2", *TINY, "figures=false", module="slow")

    def all_ended() -> bool:
        files = list(tmp_path.glob("multirun/*/*/*/run.json"))
        return len(files) == 3 and all(run_info(file.parent)["outcome"] for file in files)

    wait_until(all_ended, "all runs have ended")
    wait_until(lambda: len(children(process.pid)) <= 1, "no worker is left")  # except Python's own tracker
    time.sleep(0.5)  # the gradient table does not exist yet while other data are sent
    process.send_signal(signal.SIGINT)
    done = finish(tmp_path, process)
    assert (done.code, done.err) == (130, "")
    found = NOT_SENT.search(done.out)
    assert found is not None and int(found[1]) > 0
    sent = subprocess.run(
        ["sh", "-c", found[2]], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert (sent.returncode, sent.stderr) == (0, "")
    assert {run.status for run in tracked_runs(done.uri).values()} == {"FINISHED"}
    assert shlex.split(found[2])[1:3] == ["-m", "rnnlab.sync"]


def test_the_mirror_has_a_time_limit_when_another_sends_the_same_run(
    folders: list[Path], uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from filelock import FileLock

    monkeypatch.setattr("rnnlab.mlflow_mirror.mirrored_run.LOCK_SECONDS", 0.1)
    with FileLock(folders[0] / ".mirroring"):
        report = Mirror(uri, "rnnlab", "sweep-1", folders[:2]).finish(lambda: False)
    assert (
        report.unsent_runs == 1 and report.error == f"{folders[0] / '.mirroring'}: locked by another process"
    )
