"""Tests of faulty surroundings: foreign stores, read-only folders and clock changes."""

import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rnnlab.runs.closing import close_run
from rnnlab.runs.folder import RunFolder, read_run_info
from tests.processes import TINY, Done, run, run_info
from tests.surroundings import environment
from tests.tracked import tracked_runs

OBEDIENT = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
"""Command prefix that makes root obey file permissions."""
LITTLE = (*TINY, "figures=false", "val_every=null")


def run_obeying(folder: Path, *arguments: str) -> Done:
    """Run a command that obeys file permissions."""
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("root is held back by no permission")
    prefix = OBEDIENT if os.geteuid() == 0 else ()
    command = [*prefix, sys.executable, "-m", "rnnlab", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, check=False, timeout=90
    )
    return Done(folder, done.returncode, done.stdout, done.stderr)


@pytest.fixture
def closed(tmp_path: Path):
    """A read-only folder."""
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)


@pytest.mark.parametrize("command_line", ["", "-m seed=0,1", "hydra.run.dir=own"])
def test_a_folder_that_cannot_be_written(command_line: str, closed: Path) -> None:
    done = run_obeying(closed, *command_line.split(), *LITTLE, "tracking=none")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"rnnlab: {closed}/") and done.err.endswith(
        ": cannot be written (Permission denied)\n"
    )
    assert done.err.count("\n") == 1 and list(closed.iterdir()) == []


def test_a_store_that_cannot_be_written(closed: Path, tmp_path: Path) -> None:
    done = run_obeying(closed, *LITTLE)
    database = closed / "mlflow.db"
    assert (done.code, done.out) == (2, "")
    assert done.err == f"rnnlab: tracking.uri=sqlite:///{database}: {closed}: cannot be written\n"
    sqlite3.connect(tmp_path / "others.db").execute("create table t (x)").connection.close()
    (tmp_path / "others.db").chmod(0o444)
    done = run_obeying(tmp_path, *LITTLE, "tracking.uri='sqlite:///others.db'")
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith("others.db: cannot be written\n") and not (tmp_path / "outputs").exists()


def test_an_unreadable_text(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("ab" * 9000)
    (tmp_path / "text").chmod(0)
    done = run_obeying(tmp_path, *LITTLE, "task.path=text")
    assert (done.code, done.err) == (2, "rnnlab: task.path=text: cannot be read (Permission denied)\n")


def test_a_system_folder_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, *LITTLE, "hydra.run.dir=/proc/own/run")
    assert (done.code, done.out) == (2, "")
    assert done.err == "rnnlab: /proc/own/run: cannot be written (No such file or directory)\n"
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_run_and_a_deleted_experiment_are_each_reported(tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    first = run(tmp_path, *LITTLE)
    client = MlflowClient(first.uri)
    client.delete_experiment("1")
    second = run(tmp_path, *LITTLE, "seed=1")
    assert second.code == 0 and len(second.runs) == 2
    assert (
        "experiment=rnnlab: deleted; run `mlflow experiments restore -x 1` or choose another experiment"
        in second.out
    )
    client.restore_experiment("1")
    sent = run(tmp_path, "outputs", module="rnnlab.sync")
    assert sent.code == 0 and len(tracked_runs(first.uri)) == 2


def test_the_database_of_a_newer_mlflow_is_not_changed(tmp_path: Path) -> None:
    run(tmp_path, *LITTLE)
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("update alembic_version set version_num = 'abc'")
    database.close()
    before = (tmp_path / "mlflow.db").read_bytes()
    done = run(tmp_path, *LITTLE, "seed=1")
    assert done.code == 0 and "Traceback" not in done.out + done.err
    assert "created by an MLflow version newer than the installed 3." in done.out
    assert (tmp_path / "mlflow.db").read_bytes() == before


def test_the_database_of_an_older_mlflow_is_migrated_only_on_request(tmp_path: Path) -> None:
    make_older_database(database := tmp_path / "mlflow.db")
    before = database.read_bytes()
    done = run(tmp_path, *LITTLE)
    assert done.code == 0 and "Traceback" not in done.out + done.err
    assert database.read_bytes() == before
    for reader in ("rnnlab.ui", "rnnlab.compare"):
        result = run(tmp_path, *(["0" * 32] * 2 if reader == "rnnlab.compare" else []), module=reader)
        assert result.code == 2 and "created by an older MLflow version" in result.err
        assert database.read_bytes() == before
    (printed,) = re.findall("make a backup, then run `(mlflow db upgrade .*?)`", " ".join(done.out.split()))
    program, *arguments = shlex.split(printed)
    subprocess.run([Path(sys.executable).with_name(program), *arguments], check=True, capture_output=True)
    assert run(tmp_path, "outputs", module="rnnlab.sync").code == 0
    assert len(tracked_runs(f"sqlite:///{database}")) == 1


def make_older_database(file: Path) -> None:
    """Create the tables of MLflow 2.16."""
    from alembic import command
    from mlflow.store.db import utils
    from mlflow.store.tracking.dbmodels.initial_models import Base

    engine = utils.create_sqlalchemy_engine_with_retry(f"sqlite:///{file}")
    Base.metadata.create_all(engine)
    config = utils._get_alembic_config(str(engine.url))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "4465047574b1")
    engine.dispose()


def test_the_second_of_two_simultaneous_sweeps_in_one_folder_is_refused(tmp_path: Path) -> None:
    arguments = ("-m", "seed=0,1", *LITTLE, "tracking=none", "hydra.sweep.dir=mine")
    with ThreadPoolExecutor(2) as pool:
        ended = sorted(pool.map(lambda _: run(tmp_path, *arguments), range(2)), key=lambda done: done.code)
    assert [done.code for done in ended] == [0, 2]
    assert ended[1].err in [
        f"rnnlab: {tmp_path / 'mine'}: {why}\n"
        for why in ("cannot be written (File exists)", "not empty; each sweep needs its own folder")
    ]
    assert len(list((tmp_path / "mine").glob("*/run.json"))) == 2
    assert {run_info(file.parent)["outcome"] for file in (tmp_path / "mine").glob("*/run.json")} == {
        "finished"
    }


def test_a_clock_that_is_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Test that a run never ends before its start, which MLflow and tables cannot represent."""
    now = iter(range(2_000_000_000, 0, -3600))
    monkeypatch.setattr("rnnlab.runs.folder.time.time", lambda: float(next(now)))
    info = {"id": "a", "identity": "b", "name": "run", "number": 0}
    with RunFolder(tmp_path / "whole", info, {}) as folder:
        folder.close()
        folder.finish("finished", {})
    with RunFolder(tmp_path / "killed", info, {}) as folder:
        folder.close()
    close_run(tmp_path / "killed", "killed", {})
    for name in ("whole", "killed"):
        ended = read_run_info(tmp_path / name)
        assert ended is not None and ended["ended"] >= ended["started"]
