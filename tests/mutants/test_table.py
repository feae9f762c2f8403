"""The mutants of `make mutants` fit the code; a renamed line cannot silently disable a mutant."""

from pathlib import Path

import pytest

from tests.mutants.mutant import Mutant, Stale
from tests.mutants.table import MUTANTS

ROOT = Path(__file__).parents[2]
NOT_MUTATED = {
    *("__init__", "__main__", "ui", "show", "sync", "repeat", "compare", "report", "measure"),  # entry points
    *("__pycache__", "arrays", "blas", "workspace", "paths", "initial_states", "imports"),
}


def test_every_mutant_changes_one_place_of_valid_python() -> None:
    for mutant in MUTANTS:
        compile(mutant.changed(ROOT), mutant.file, "exec")


def test_every_package_has_a_mutant() -> None:
    rooms = {path.stem for path in (ROOT / "rnnlab").iterdir() if path.is_dir() or path.suffix == ".py"}
    assert rooms - NOT_MUTATED == {mutant.room for mutant in MUTANTS}


@pytest.mark.parametrize(
    ("mutant", "problem"),
    [
        (Mutant("nowhere.py", "a", "b", ()), "does not exist"),
        (Mutant("clipping.py", "no such text", "b", ()), "not found"),
        (Mutant("clipping.py", "return", "b", ()), r"found \d+ times"),
        (Mutant("clipping.py", "threshold / before", "b", ("test_nowhere.py",)), "tests/test_nowhere.py"),
    ],
)
def test_a_stale_mutant_is_reported(mutant: Mutant, problem: str) -> None:
    with pytest.raises(Stale, match=problem):
        mutant.changed(ROOT)
