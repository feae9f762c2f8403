"""The tracking store, checked without importing MLflow."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from rnnlab.mlflow_mirror.store import (
    is_server,
    open_experiment,
    sqlite_file,
    tracking_uri,
    ui_address,
    uri_problem,
)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("sqlite:///mlflow.db", None),
        ("http://127.0.0.1:5000", None),
        ("https://mlflow.example.org/lab", None),
        ("postgresql+psycopg://me@127.0.0.1/mlflow", None),
        ("mysql://me@127.0.0.1/mlflow", None),
        ("./mlruns", "must be sqlite:///"),
        ("file:///tmp/mlruns", "must be sqlite:///"),
        ("databricks", "must be sqlite:///"),
        ("ftp://127.0.0.1", "must be sqlite:///"),
        ("127.0.0.1:5000", "must be sqlite:///"),
        ("", "must be sqlite:///"),
        ("postgresql+psycopg2://me@127.0.0.1/mlflow", "use postgresql+psycopg://"),
        ("postgresql+nothing://me@127.0.0.1/mlflow", "cannot be read (Can't load plugin"),
        ("mysql+pymysql://me@127.0.0.1/mlflow", "the driver pymysql is not installed"),
        ("http://", "must name a server"),
        ("http://127.0.0.1:65536", "Port out of range"),
        ("sqlite://", "must name a file"),
        ("sqlite:///.", "must name a file"),
        ("sqlite:///folder", "folder: is a directory"),
        ("sqlite:///" + "x" * 244, "contains a name that is too long (256 bytes; at most 255)"),
        ("sqlite:///text", "text: not a SQLite database"),
        ("sqlite:///nothing_yet", None),
        ("sqlite:///it's a = b, (c) # größe", None),
        ("sqlite:///x.db?mode=ro", "does not accept ? in a path"),
        ("sqlite:///100%.db", "does not accept % in a path"),
        ("sqlite:///'a\"b.db", "does not accept both kinds of quotes in a path"),
        ("sqlite:///nowhere/mlflow.db", "nowhere: not found"),
    ],
)
def test_a_tracking_uri_is_checked_without_mlflow(
    uri: str, message: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("a text that is no database")
    for driver in ("psycopg", "MySQLdb"):
        monkeypatch.setitem(sys.modules, driver, ModuleType(driver))
    for driver in ("psycopg2", "pymysql"):
        monkeypatch.setitem(sys.modules, driver, None)  # simulates a missing package
    problem = uri_problem(uri)
    assert (problem is None) if message is None else (problem is not None and message in problem)


def test_the_file_of_a_sqlite_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert sqlite_file("sqlite:///runs.db") == tmp_path / "runs.db"
    assert sqlite_file("sqlite:////data/runs.db") == Path("/data/runs.db")
    assert sqlite_file("http://127.0.0.1:5000") is None


def test_the_default_store_of_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking_uri(None) == f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:1")
    assert tracking_uri(None) == "http://server:1"
    assert tracking_uri("sqlite:///own.db") == "sqlite:///own.db"


def test_where_a_browser_finds_the_ui() -> None:
    assert ui_address("https://server:1") == "https://server:1" and is_server("https://server:1")
    assert ui_address("sqlite:///own.db", 5005) == "http://127.0.0.1:5005" and not is_server(
        "sqlite:///own.db"
    )


def test_a_missing_driver_is_reported_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    message = uri_problem("postgresql+psycopg://me@127.0.0.1/mlflow")
    assert message is not None and "pip install 'rnnlab[postgresql]'" in message


def test_an_unfinished_database_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.store.db import utils

    def dies(_: object) -> None:
        assert [file.name for file in tmp_path.glob("*.db*") if file.suffix != ".lock"] == ["mlflow.db.new"]
        raise InterruptedError

    monkeypatch.setattr(utils, "_initialize_tables", dies)
    with pytest.raises(InterruptedError):
        open_experiment(f"sqlite:///{tmp_path / 'mlflow.db'}", "rnnlab")
    assert [file.name for file in tmp_path.iterdir()] == ["mlflow.db.lock"]


@pytest.mark.filterwarnings("ignore:The ``noload``")
def test_an_experiment_of_another_program_is_marked_as_model_training(tmp_path: Path) -> None:
    """Without its kind, MLflow asks for it before it shows the charts; a kind that a user chose stays."""
    uri, key = f"sqlite:///{tmp_path / 'mlflow.db'}", "mlflow.experimentKind"
    client, _ = open_experiment(uri, "ours")
    client.create_experiment("theirs")
    client.create_experiment("chosen", tags={key: "finetuning"})
    kinds = {}
    for name in ("ours", "theirs", "chosen"):
        _, experiment = open_experiment(uri, name)
        kinds[name] = client.get_experiment(experiment).tags[key]
    kind = "custom_model_development"
    assert kinds == {"ours": kind, "theirs": kind, "chosen": "finetuning"}
