import pytest
from hypothesis import settings

from tests.commands import TINY, Done, run

# No deadline: tests judge results, not the clock. Derandomised, so that a failure repeats.
settings.register_profile("rnnlab", deadline=None, derandomize=True, database=None)
settings.load_profile("rnnlab")


@pytest.fixture(scope="session")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """The README's sweep, small, in an empty folder with a difficult name."""
    folder = tmp_path_factory.mktemp("a folder, größer")
    return run(folder, "-m", "cell=rnn,lstm", *TINY, "val_every=6", "tracking.points=5")
