"""Tests of `python -m rnnlab.sync`: missing runs are sent to MLflow, and nothing is sent twice."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from rnnlab.commands import sync
from rnnlab.mlflow_mirror.ledger import LEDGER_FILE, Ledger
from rnnlab.mlflow_mirror.mirrored_run import MirroredRun
from rnnlab.mlflow_mirror.store import connect, open_experiment
from rnnlab.runs.folder import RunFolder
from rnnlab.runs.run_json import read_run_info
from tests.processes import TINY, metric_rows, run
from tests.runs.small_runs import STEPS, config_of, finish, held, info_of, whole_run, write
from tests.tracked import tracked_runs


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, without settings of the tester's environment."""
    folder = tmp_path / "here, größer"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return folder


def fresh(tables: Path, path: Path) -> str:
    """The URI of a new database."""
    shutil.copy(tables, path)
    return f"sqlite:///{path}"


def contents(uri: str, experiment: str = "rnnlab") -> list[dict[str, Any]]:
    client = connect(uri)
    found = client.get_experiment_by_name(experiment)
    return [] if found is None else held(client, found.experiment_id)


def output_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out.strip().splitlines()[-1]


def test_a_sweep_made_without_mlflow_can_be_sent_afterwards(here: Path) -> None:
    """Test the commands as processes, starting with `tracking=none` and without a database."""
    done = run(here, "-m", "cell=rnn,lstm", *TINY, "tracking=none", "figures=false")
    assert done.code == 0 and not (here / "mlflow.db").exists()
    sent = run(here, module="rnnlab.sync")
    assert (sent.code, sent.err) == (0, "")
    assert sent.out.splitlines()[-1] == "2 runs: 2 sent"
    tracked = tracked_runs(sent.uri)
    assert {name: found.status for name, found in tracked.items()} == dict.fromkeys(done.runs, "FINISHED")
    for name, folder in done.runs.items():
        rows = metric_rows(folder)
        for key in ("train/loss", "val/loss", "grad/norm"):
            assert tracked[name].history[key] == [(row["step"], row[key]) for row in rows if key in row]


def test_any_number_of_times_and_into_several_stores(
    here: Path, tables: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = fresh(tables, here / "mlflow.db"), fresh(tables, tmp_path / "second.db")
    whole_run(here / "runs" / "a", "a")
    whole_run(here / "runs" / "deep" / "b", "b", uri=second)
    whole_run(here / "runs" / "c", "c", outcome="failed", experiment="another")
    assert sync.main([]) == 0
    assert output_line(capsys) == "3 runs: 3 sent"
    assert [found["name"] for found in contents(first)] == ["a"]
    assert [found["name"] for found in contents(second)] == ["b"], "its own configuration says where"
    assert [found["status"] for found in contents(first, "another")] == ["FAILED"]
    before = contents(first)
    assert sync.main(["runs"]) == 0
    assert output_line(capsys) == "3 runs: 3 already complete"
    assert contents(first) == before
    assert sync.main(["runs", "--uri", second]) == 0  # all of them there too
    assert output_line(capsys) == "3 runs: 2 sent, 1 already complete"
    assert [found["name"] for found in contents(second)] == ["a", "b"]
    assert contents(first) == before == [found for found in contents(second) if found["name"] == "a"]


def test_mlflow_files_in_the_same_folder_are_not_mistaken_for_runs(
    here: Path, tables: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Test that `mlartifacts` is next to `mlflow.db` and contains a copy of each run.json."""
    uri = fresh(tables, here / "mlflow.db")
    whole_run(here / "outputs" / "a", "a")
    assert sync.main([]) == 0
    before = contents(uri)
    assert list(here.glob("mlartifacts/**/run.json"))
    for _ in range(2):
        assert sync.main([]) == 0
        assert output_line(capsys) == "1 run: 1 already complete"
    assert contents(uri) == before


def test_a_copied_folder_is_sent_to_another_store(
    here: Path, tables: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = fresh(tables, here / "mlflow.db"), fresh(tables, tmp_path / "second.db")
    whole_run(here / "runs" / "a", "a")
    assert sync.main([]) == 0
    shutil.copytree(here / "runs", tmp_path / "elsewhere")
    assert sync.main([str(tmp_path / "elsewhere"), "--uri", second]) == 0
    assert output_line(capsys) == "1 run: 1 sent"
    assert contents(second) == contents(first) != []
    assert sync.main([str(tmp_path / "elsewhere"), "--uri", first]) == 0
    assert output_line(capsys) == "1 run: 1 already complete"
    assert len(contents(first)) == 1


def test_a_running_run_is_unchanged_and_one_of_a_dead_process_is_closed(
    here: Path, tables: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = fresh(tables, here / "mlflow.db")
    with RunFolder(here / "runs" / "dead", info_of("dead"), config_of()) as folder:
        write(folder, [0, 1])
    with RunFolder(here / "runs" / "alive", info_of("alive"), config_of()) as folder:
        write(folder, [0, 1])
        assert sync.main(["runs"]) == 0
        assert output_line(capsys) in ("2 runs: 1 still running, 1 sent", "2 runs: 1 sent, 1 still running")
        assert {found["name"]: found["status"] for found in contents(uri)} == {"dead": "KILLED"}
        assert read_run_info(here / "runs" / "alive")["outcome"] is None  # type: ignore[index]
        assert read_run_info(here / "runs" / "dead")["outcome"] == "killed"  # type: ignore[index]
        write(folder, range(2, STEPS + 1))
        finish(folder)
    with RunFolder(here / "runs" / "dead", info_of("dead"), config_of(), resume=True) as folder:
        write(folder, range(STEPS + 1))
        finish(folder)
    assert sync.main(["runs"]) == 0
    assert output_line(capsys) == "2 runs: 2 sent"
    alive, dead = contents(uri)
    assert alive["status"] == dead["status"] == "FINISHED"
    values = [{k: [p[:2] for p in points] for k, points in one["history"].items()} for one in (alive, dead)]
    assert values[0] == values[1]


def test_a_lost_database_is_filled_again(
    here: Path, tables: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = fresh(tables, here / "mlflow.db")
    for name in "ab":
        whole_run(here / "runs" / name, name)
    assert sync.main([]) == 0
    before = contents(uri)
    # A new path simulates the lost database, because MLflow keeps the old one open in this process.
    other = fresh(tables, here / "other.db")
    for name in "ab":
        ledger = here / "runs" / name / LEDGER_FILE
        entry = ledger.read_text().replace(Ledger(here, uri).store, Ledger(here, other).store)
        ledger.write_text(entry)
    capsys.readouterr()
    assert sync.main(["runs", "--uri", other]) == 0
    assert output_line(capsys) == "2 runs: 2 sent"
    assert contents(other) == before
    assert sync.main(["runs", "--uri", other]) == 0
    assert output_line(capsys) == "2 runs: 2 already complete"


def test_runs_deleted_in_mlflow_stay_deleted(
    here: Path, tables: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = fresh(tables, here / "mlflow.db")
    for name in "ab":
        whole_run(here / "runs" / name, name)
    assert sync.main(["runs"]) == 0
    run_id = MirroredRun(here / "runs" / "a", uri).run_id()
    connect(uri).delete_run(run_id)
    for _ in range(2):
        assert sync.main(["runs"]) == 0
        assert output_line(capsys) == "2 runs: 1 deleted in MLflow, 1 already complete"
        assert [found["name"] for found in contents(uri)] == ["b"]


def test_a_deleted_unfinished_run_does_not_prevent_sending_the_others(
    here: Path, tables: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = fresh(tables, here / "mlflow.db")
    with RunFolder(here / "a", info_of("a"), config_of()) as folder:
        write(folder, [0])
        client, mirrored = connect(uri), MirroredRun(here / "a", uri)
        mirrored.update(client, client.create_experiment("rnnlab"))
        client.delete_run(mirrored.run_id())
    whole_run(here / "b", "b")
    assert sync.main([]) == 0
    assert output_line(capsys) == "2 runs: 1 deleted in MLflow, 1 sent"
    assert [found["name"] for found in contents(uri)] == ["b"]


@pytest.mark.parametrize("broken", ["run.json", "config.yaml"])
def test_an_unreadable_folder_does_not_prevent_sending_the_others(
    here: Path, tables: Path, capsys: pytest.CaptureFixture[str], broken: str
) -> None:
    uri = fresh(tables, here / "mlflow.db")
    for name in "ab":
        whole_run(here / name, name)
    (here / "a" / broken).write_text("{")
    code = sync.main([])
    heard = capsys.readouterr()
    assert code == 1 and heard.err.count("\n") == 1 and str(here / "a") in heard.err
    assert [found["name"] for found in contents(uri)] == ["b"]


@pytest.mark.parametrize("name", ["weights.safetensors", "config.yaml", "metrics.jsonl"])
def test_a_run_with_a_folder_in_place_of_a_file_is_not_sent(
    here: Path, tables: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    uri = fresh(tables, here / "mlflow.db")
    file = whole_run(here / "a", "a") / name
    file.unlink()
    file.mkdir()
    assert sync.main(["--uri", uri]) == 1
    heard = capsys.readouterr()
    assert heard.err.splitlines() == [f"rnnlab.sync: {here / 'a'}: {name}: is a directory"]
    assert contents(uri) == []


def test_the_environment_variable_applies_by_default(
    here: Path, tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = fresh(tables, tmp_path / "second.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    whole_run(here / "a", "a")
    assert sync.main([]) == 0
    assert [found["name"] for found in contents(uri)] == ["a"] and not (here / "mlflow.db").exists()


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "./mlruns", "sqlite:////nowhere/at/all.db"])
def test_a_store_that_refuses_runs_is_reported_in_one_line(
    here: Path, uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole_run(here / "a", "a", uri=uri)
    assert sync.main([]) == 1
    heard = capsys.readouterr().err
    assert heard.startswith("rnnlab.sync: ") and uri in heard and heard.count("\n") == 1
    assert not (here / "a" / LEDGER_FILE).exists()


def test_a_store_that_fails_twice_in_a_row_is_not_tried_again(
    here: Path, tables: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fresh(tables, here / "mlflow.db")
    for name in "abcde":
        whole_run(here / name, name)
    asked: list[str] = []

    def update(run: MirroredRun, *_: object) -> bool:
        asked.append(run.folder.name)
        if run.folder.name == "b":
            return True
        raise ConnectionError("broken")

    monkeypatch.setattr(MirroredRun, "update", update)
    assert sync.main([]) == 1
    out, err = capsys.readouterr()
    assert asked == ["a", "b", "c", "d"], "one that is taken in between counts"
    assert "5 runs: 4 not sent, 1 sent" in out
    assert [line.split(" (")[0] for line in err.splitlines()] == [
        *(f"rnnlab.sync: {here / name}: cannot be sent" for name in "ac"),
        f"rnnlab.sync: MLflow at sqlite:///{here / 'mlflow.db'}: cannot be sent",
    ]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nowhere", "nor/here"], "rnnlab.sync: nowhere, nor/here: not found\n"),
        ([], "rnnlab.sync: no runs in .\n"),
        (["empty"], "rnnlab.sync: no runs in empty\n"),
    ],
)
def test_nothing_to_send_is_reported_in_one_line(
    here: Path, arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "empty").mkdir()
    assert sync.main(arguments) == 2
    assert capsys.readouterr() == ("", line)
    assert [file.name for file in here.iterdir()] == ["empty"]


def with_a_copy(path: Path, copy: Path, uri: str | None = None) -> None:
    """A finished run, and a copy of its folder made during the run."""
    with RunFolder(path, info_of(), config_of(uri)) as folder:
        write(folder, range(2))
        if uri is not None:
            MirroredRun(path, uri).update(*open_experiment(uri, "rnnlab"))
        shutil.copytree(path, copy)
        write(folder, range(2, STEPS + 1))
        finish(folder)


COPY = "skipped (another copy of the run is more advanced)"


@pytest.mark.parametrize("copy", ["a", "z"])
def test_the_most_advanced_copy_is_sent(
    here: Path, tables: Path, copy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = fresh(tables, here / "mlflow.db")
    with_a_copy(here / "m" / "run", here / copy / "run")
    assert sync.main([]) == 0
    assert output_line(capsys) == f"2 runs: 1 {COPY}, 1 sent"
    (sent,) = contents(uri)
    assert sent["status"] == "FINISHED" and sent["tags"]["outcome"] == "finished"
    info = read_run_info(here / copy / "run")
    assert info is not None and info["outcome"] is None, "what is left out is left alone"


@pytest.mark.parametrize("with_ledger", [True, False])
def test_an_outdated_copy_is_not_sent_over_a_finished_run(
    here: Path, tables: Path, with_ledger: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = fresh(tables, here / "mlflow.db")
    with_a_copy(here / "m" / "run", here / "a" / "run", uri if with_ledger else None)
    assert sync.main(["m"]) == 0
    before = contents(uri)
    capsys.readouterr()
    for _ in range(2):
        assert sync.main(["a"]) == 0
        assert output_line(capsys) == f"1 run: 1 {COPY}"
    assert contents(uri) == before and before[0]["status"] == "FINISHED"


def test_an_outdated_copy_does_not_end_a_running_run(
    here: Path, tables: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = fresh(tables, here / "mlflow.db")
    path = here / "m" / "run"
    with RunFolder(path, info_of(), config_of(uri)) as folder:
        write(folder, range(2))
        shutil.copytree(path, here / "a" / "run")
        write(folder, range(2, 4))
        assert sync.main(["m"]) == 0
        assert output_line(capsys) == "1 run: 1 still running"
        MirroredRun(path, uri).update(*open_experiment(uri, "rnnlab"))
        assert sync.main(["a"]) == 0
        assert output_line(capsys) == f"1 run: 1 {COPY}"
        assert [found["status"] for found in contents(uri)] == ["RUNNING"]
