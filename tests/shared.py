"""What takes long to make, made once for all processes of pytest-xdist."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from rnnlab.mlflow_mirror.store import open_experiment
from tests.processes import Done


def shared_folder(factory: pytest.TempPathFactory, worker: str, name: str) -> Path:
    """A folder of this name that all processes of the test session have in common."""
    base = factory.getbasetemp()
    folder = (base if worker == "master" else base.parent) / "shared" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def empty_database(factory: pytest.TempPathFactory, worker: str) -> Path:
    """MLflow's empty tables, which take a second to make."""
    folder = shared_folder(factory, worker, "tables")
    path = folder / "mlflow.db"
    with FileLock(folder / "tables.lock"):
        if not path.exists():
            open_experiment(f"sqlite:///{folder / 'new.db'}", "Default")
            (folder / "new.db").rename(path)
    return path


def made_once(folder: Path, make: Callable[[], Done]) -> Done:
    """What a command left behind; the first process to ask runs it, the others wait.

    Args:
        folder: Of its own for each command: `shared_folder`.
        make: Runs the command, somewhere in that folder.
    """
    result = folder / "result.json"
    with FileLock(folder / "result.lock"):
        if not result.exists():
            done = make()
            kept = {"folder": str(done.folder), "code": done.code, "out": done.out, "err": done.err}
            result.write_text(json.dumps(kept), encoding="utf-8")
    kept = json.loads(result.read_text(encoding="utf-8"))
    return Done(Path(kept["folder"]), kept["code"], kept["out"], kept["err"])
