import gc
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from rnnlab.app.config.memory_limit import cores
from tests import processes as commands
from tests.composed import keep_compositions
from tests.processes import TINY, Done, run
from tests.shared import empty_database, made_once, shared_folder
from tests.surroundings import ROOT

SLOWEST = (
    "app/test_signals.py",
    "test_experiments.py",
    "app/test_faults.py",
    "app/test_messages.py",
    "app/test_streams.py",
    "test_pages.py",
    "app/test_resume.py",
    "analysis/test_frames.py",
    "engine/test_compiled.py",
    "mlflow_mirror/test_mirror_end.py",
    "app/test_memory_limit.py",
    "app/test_surroundings.py",
    "fuzz/test_run_folders.py",
    "app/test_help.py",
    "analysis/test_report.py",
    "app/test_launch.py",
    "app/test_restoring.py",
    "engine/test_products.py",
    "test_gradients.py",
    "test_contributing.py",
    "app/test_pool.py",
    "mlflow_mirror/test_hung_server.py",
    "mlflow_mirror/test_mirrored_run.py",
    "test_training_state.py",
    "cells/test_stack.py",
    "app/test_options.py",
    "test_notebooks.py",
    "app/test_engines.py",
    "library/test_measuring.py",
    "commands/test_sync.py",
    "app/test_number_range.py",
    "analysis/test_inline_svg.py",
    "test_optional_keys.py",
    "app/test_all_mistakes.py",
)
"""The slowest test files, slowest first; they start first, so that no slow file runs alone at the end."""
os.environ.setdefault("RNNLAB_CACHE", str(ROOT / ".loops"))  # loops compiled by earlier tests are used again
Starter = Callable[..., commands.Command]

# No deadline: tests check results, not run times. Derandomised: failures are reproducible.
settings.register_profile("rnnlab", max_examples=60, deadline=None, derandomize=True, database=None)
settings.load_profile("rnnlab")


def pytest_xdist_auto_num_workers() -> int:
    """Return two test processes more than cores, because tests often wait for other processes."""
    return cores() + 2


def pytest_collection_finish() -> None:
    """Exclude the imported modules from garbage collection, which otherwise takes a tenth of the time."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests; with `--no-loadscope-reorder`, pytest-xdist distributes the files in this order."""
    place = {ROOT / "tests" / file: number for number, file in enumerate(SLOWEST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


@pytest.fixture
def start() -> Iterator[Starter]:
    """Yield `commands.start`; kill processes that still run after the test."""
    started: list[commands.Command] = []

    def begin(folder: Path, *arguments: str, **options: Any) -> commands.Command:
        started.append(commands.start(folder, *arguments, **options))
        return started[-1]

    yield begin
    for process in started:
        commands.end(process)


@pytest.fixture(scope="session")
def process_name(request: pytest.FixtureRequest) -> str:
    """Return the name of the pytest-xdist worker (`gw0`, `gw1` …), or `master` without pytest-xdist."""
    return getattr(request.config, "workerinput", {}).get("workerid", "master")


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory, process_name: str) -> Path:
    """Return an MLflow database without runs, for tests to copy."""
    return empty_database(tmp_path_factory, process_name)


@pytest.fixture
def database(tables: Path, tmp_path: Path) -> None:
    """Copy an empty MLflow database to `tmp_path`, the default location, because creating one takes time."""
    shutil.copy(tables, tmp_path / "mlflow.db")


@pytest.fixture
def kept_compositions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the tests of a process share compositions; not for tests about composition itself."""
    keep_compositions(monkeypatch)


@pytest.fixture(scope="session")
def sweep(tmp_path_factory: pytest.TempPathFactory, process_name: str) -> Done:
    """Return a small version of the README's sweep, in a folder with spaces and accents in its name.

    All test processes share the sweep.

    Tests may add to its runs, as `rnnlab.sync` does, but must not change existing files.
    """
    shared = shared_folder(tmp_path_factory, process_name, "sweep")
    folder = shared / "a folder, größer"

    def make() -> Done:
        folder.mkdir()
        return run(folder, "-m", "cell=rnn,lstm", *TINY, "val_every=6", "tracking.points=5")

    return made_once(shared, make)
