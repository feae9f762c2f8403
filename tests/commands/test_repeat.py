"""Tests of `python -m rnnlab.repeat`: a repeated run is compared bit by bit."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from rnnlab.commands.repeat import main
from tests.processes import TINY, Done, metric_rows, run, run_info
from tests.tracked import tracked_runs

SAME = "The weights, metrics and gradient table are bit-identical to those of run"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """A run on the user's own text, tracked in MLflow."""
    folder = tmp_path_factory.mktemp("original")
    (folder / "text.txt").write_text("to be or not to be " * 50)
    done = run(folder, "cell=lstm", "task.path=text.txt", "figures=false", *TINY)
    assert (done.code, done.err) == (0, "")
    return done


@pytest.fixture
def copy(original: Done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the run folder in the current folder."""
    shutil.copytree(next(iter(original.runs.values())), tmp_path / "copy")
    shutil.copy(original.folder / "text.txt", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path / "copy"


def made(top: Path) -> list[Path]:
    return list(top.glob("outputs/*/*-repeat-*"))


def test_a_run_is_repeated_by_its_folder(original: Done) -> None:
    (folder,) = original.runs.values()
    given = str(folder.relative_to(original.folder))
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    done = run(original.folder, given, module="rnnlab.repeat")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-1] == f"{SAME} {given}."
    (again,) = made(original.folder)
    assert f"Files: {again.relative_to(original.folder)}" in done.out
    assert (again / "weights.safetensors").read_bytes() == before[folder / "weights.safetensors"]
    assert run_info(again)["identity"] == run_info(folder)["identity"]
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    assert len(tracked_runs(original.uri)) == 1


def test_a_run_is_repeated_by_its_id_in_mlflow(
    original: Done, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(copy)  # its files are downloaded from MLflow
    (tracked,) = tracked_runs(original.uri).values()
    assert main([tracked.run_id, "--uri", original.uri]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{SAME} {tracked.run_id}."


def test_differing_weights_are_named(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = load_file(copy / "weights.safetensors")
    weights["W_hh"][2, 3] = np.nextafter(weights["W_hh"][2, 3], np.float32(9))
    save_file(weights, copy / "weights.safetensors")
    assert main([str(copy)]) == 1
    output = capsys.readouterr().out
    assert f"Not identical to {copy}:\n  weights: W_hh differ by at most " in output
    assert "W_xh" not in output and "metrics:" not in output and "gradients:" not in output


def test_differing_metrics_are_named(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = metric_rows(copy)
    rows[7]["train/loss"] += 1e-12
    (copy / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main([str(copy)]) == 1
    output = capsys.readouterr().out
    assert "  metrics: train/loss first differs at step 7: " in output
    assert "weights:" not in output and "gradients:" not in output


def test_different_code_is_reported_where_the_result_differs(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    info = run_info(copy)
    info["tags"]["rnnlab_version"] = "0.0.1"
    (copy / "run.json").write_text(json.dumps(info))
    rows = metric_rows(copy)
    (copy / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:-1]))
    assert main([str(copy)]) == 1
    output = capsys.readouterr().out
    assert (
        "  metrics: the steps differ (12 and 13 rows)" in output
        and "  rnnlab_version: 0.0.1 before, " in output
    )


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the one-line error of a refused command."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert out == "" and not made(Path())
    return str(line)


def test_an_unknown_run(original: Done, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = f"rnnlab.repeat: nowhere: neither a run folder nor a run in {original.uri} ("
    assert refused(capsys, "nowhere", "--uri", original.uri).startswith(message)
    assert refused(capsys, "nowhere", "--uri", "mlruns").startswith(
        "rnnlab.repeat: nowhere: not a run folder, and mlruns: must be sqlite:///"
    )


def test_looking_for_a_run_makes_no_database(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "nowhere").endswith("mlflow.db: not found")
    assert not list(Path().glob("mlflow.db*"))


def test_an_unfinished_run(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "run.json").write_text(json.dumps(run_info(copy) | {"outcome": "killed"}))
    message = f"rnnlab.repeat: {copy}: killed; only a completed run can be repeated"
    assert refused(capsys, str(copy)) == message


def test_a_run_that_is_still_running(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "run.json").write_text(json.dumps(run_info(copy) | {"outcome": None}))
    assert "None" not in refused(capsys, str(copy))


def test_a_run_still_listed_as_running_in_mlflow(
    original: Done, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlflow.tracking import MlflowClient

    (tracked,) = tracked_runs(original.uri).values()
    client = MlflowClient(original.uri)
    client.update_run(tracked.run_id, status="RUNNING")
    try:
        message = (
            f"rnnlab.repeat: {tracked.run_id}: the run is still in progress, or its files are not in MLflow"
        )
        assert refused(capsys, tracked.run_id, "--uri", original.uri) == message
    finally:
        client.set_terminated(tracked.run_id)


def test_a_run_without_weights(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "weights.safetensors").unlink()
    message = f"rnnlab.repeat: {copy}: cannot be compared without weights.safetensors"
    assert refused(capsys, str(copy)) == message


@pytest.mark.parametrize("now", ["to be or not to bee" * 50, None])
def test_changed_data(now: str | None, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("text.txt").unlink()
    if now is None:
        message = "rnnlab.repeat: task.path=text.txt: cannot be read (No such file or directory)"
    else:
        Path("text.txt").write_text(now)
        message = f"rnnlab.repeat: {copy}: the data has changed since this run (text.txt)"
    assert refused(capsys, str(copy)) == message


def test_a_changed_initial_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("h.npz", h=np.zeros(8))
    given = ("initial_state=given", "initial_state.path=h.npz", "hydra.run.dir=mine", "tracking=none")
    assert run(tmp_path, *given, "figures=false", *TINY).code == 0
    np.savez("h.npz", h=np.ones(8))
    message = "since this run, the data has changed or a configuration key has a new meaning"
    assert message in refused(capsys, "mine")
