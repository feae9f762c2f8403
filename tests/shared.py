"""Results of long computations, computed once for all processes of pytest-xdist."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from rnnlab.mlflow_mirror.store import open_experiment
from tests.processes import Done


def shared_folder(factory: pytest.TempPathFactory, worker: str, name: str) -> Path:
    """Return a folder with this name, shared by all processes of the test session."""
    base = factory.getbasetemp()
    folder = (base if worker == "master" else base.parent) / "shared" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def empty_database(factory: pytest.TempPathFactory, worker: str) -> Path:
    """Return an empty MLflow database, whose creation takes one second."""
    folder = shared_folder(factory, worker, "tables")
    path = folder / "mlflow.db"
    with FileLock(folder / "tables.lock"):
        if not path.exists():
            open_experiment(f"sqlite:///{folder / 'new.db'}", "Default")
            (folder / "new.db").rename(path)
    return path


def made_once(folder: Path, make: Callable[[], Done]) -> Done:
    """Return the result of a command; the first process runs the command, the others wait.

    Args:
        folder: A `shared_folder` for this command only.
        make: A function that runs the command inside this folder.
    """
    result = folder / "result.json"
    with FileLock(folder / "result.lock"):
        if not result.exists():
            done = make()
            kept = {"folder": str(done.folder), "code": done.code, "out": done.out, "err": done.err}
            result.write_text(json.dumps(kept), encoding="utf-8")
    kept = json.loads(result.read_text(encoding="utf-8"))
    return Done(Path(kept["folder"]), kept["code"], kept["out"], kept["err"])
