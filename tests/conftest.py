import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import processes as commands
from tests.processes import TINY, Done, run

Starter = Callable[..., subprocess.Popen[str]]

# No deadline: tests judge results, not the clock. Derandomised, so that a failure repeats.
settings.register_profile("rnnlab", deadline=None, derandomize=True, database=None)
settings.load_profile("rnnlab")


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
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """The README's sweep, small, in an empty folder with a difficult name."""
    folder = tmp_path_factory.mktemp("a folder, größer")
    return run(folder, "-m", "cell=rnn,lstm", *TINY, "val_every=6", "tracking.points=5")
