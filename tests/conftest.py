import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import processes as commands
from tests.processes import ROOT, TINY, Done, run
from tests.shared import empty_database, made_once, shared_folder

SLOWEST = (
    "app/test_streams.py",
    "app/test_faults.py",
    "app/test_signals.py",
    "app/test_options.py",
    "app/test_resume.py",
    "test_experiments.py",
    "commands/test_ui.py",
    "fuzz/test_streams_and_signals.py",
    "app/test_surroundings.py",
    "mlflow_mirror/test_mirror_end.py",
    "mlflow_mirror/test_hung_server.py",
    "analysis/test_frames.py",
    "test_pages.py",
    "app/test_messages.py",
    "app/test_restoring.py",
    "commands/test_sync.py",
    "analysis/test_report.py",
    "test_gradients.py",
)
"""The files that take longest, the longest first: they begin first, so that none is left over at the end."""
Starter = Callable[..., subprocess.Popen[str]]

# No deadline: tests judge results, not the clock. Derandomised, so that a failure repeats.
settings.register_profile("rnnlab", deadline=None, derandomize=True, database=None)
settings.load_profile("rnnlab")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With `--no-loadscope-reorder`, pytest-xdist hands out files in this order."""
    place = {ROOT / "tests" / file: number for number, file in enumerate(SLOWEST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


@pytest.fixture
def start() -> Iterator[Starter]:
    """`commands.start`; what it started and is still there after the test is ended."""
    started: list[subprocess.Popen[str]] = []

    def begin(folder: Path, *arguments: str, **settings: str) -> subprocess.Popen[str]:
        started.append(commands.start(folder, *arguments, **settings))
        return started[-1]

    yield begin
    for process in started:
        commands.end(process)


@pytest.fixture(scope="session")
def process_name(request: pytest.FixtureRequest) -> str:
    """`gw0`, `gw1` … of a process of pytest-xdist, else `master`."""
    return getattr(request.config, "workerinput", {}).get("workerid", "master")


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory, process_name: str) -> Path:
    """An MLflow database without runs, to be copied."""
    return empty_database(tmp_path_factory, process_name)


@pytest.fixture
def database(tables: Path, tmp_path: Path) -> None:
    """MLflow's empty tables in `tmp_path`, where a command finds them, for tests of something else."""
    shutil.copy(tables, tmp_path / "mlflow.db")


@pytest.fixture(scope="session")
def sweep(tmp_path_factory: pytest.TempPathFactory, process_name: str) -> Done:
    """The README's sweep, small, in an empty folder with a difficult name; all processes share it.

    Tests may add to its runs, as `rnnlab.sync` does, but must change nothing that stands.
    """
    shared = shared_folder(tmp_path_factory, process_name, "sweep")
    folder = shared / "a folder, größer"

    def make() -> Done:
        folder.mkdir()
        return run(folder, "-m", "cell=rnn,lstm", *TINY, "val_every=6", "tracking.points=5")

    return made_once(shared, make)
