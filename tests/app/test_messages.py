"""Mistakes on the command line: one line per mistake, exit code 2, no files."""

from pathlib import Path

import numpy as np
import pytest

from rnnlab.app.cli import main
from rnnlab.mlflow_mirror.store import NO_FOLDER_STORE
from tests.app.mistakes import MISTAKES

pytestmark = pytest.mark.usefixtures("kept_compositions")


@pytest.fixture
def texts(here: Path) -> None:
    write_texts(here.parent / "texts")


def write_texts(folder: Path) -> None:
    """Write the files to which the command lines refer."""
    folder.mkdir()
    (folder / "empty").write_text("")
    (folder / "one").write_text("a" * 9000)
    (folder / "binary").write_bytes(bytes(range(256)))
    (folder / "short").write_text("ab" * 50)
    np.save(folder / "h.npy", np.zeros(128))
    np.savez(folder / "h.npz", h=np.zeros(5))
    np.savez(folder / "nan.npz", h=np.full(5, np.nan))
    np.savez(folder / "huge.npz", h=np.full(5, -1e39))
    np.savez(folder / "pickle.npz", h=np.array([{}], dtype=object))


def messages(command_line: str, capsys: pytest.CaptureFixture[str], here: Path) -> list[str]:
    """Return the lines printed for a refused command line."""
    assert main(command_line.split()) == 2
    out, err = capsys.readouterr()
    assert out == "" and list(here.iterdir()) == []
    return err.splitlines()


@pytest.mark.usefixtures("texts")
@pytest.mark.parametrize("command_line", MISTAKES)
def test_a_mistake(command_line: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert messages(command_line, capsys, here) == [f"rnnlab: {MISTAKES[command_line]}"]


def test_a_nonexistent_experiment(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line, other = messages("experiment=quik jobs=0", capsys, here)
    start = "rnnlab: experiment=quik: unknown option; did you mean quick? allowed: adding, "
    assert line.startswith(start) and ", quick, source_brown" in line
    assert other == "rnnlab: jobs=0: must be greater than or equal to 1, or null"


def test_the_mistakes_of_one_job_are_reported_together(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = messages(
        "lr=-1 jobs=0 init.b_h.gain=0 cell.bias=1 optimizer.beta1=2 task.held_out=0", capsys, here
    )
    keys = [line.split()[1].split("=")[0] for line in lines]
    assert keys == ["lr", "jobs", "init.b_h.gain", "cell.bias", "optimizer.beta1", "task.held_out"]


def test_the_mistakes_of_all_jobs_are_reported_together(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = messages("-m cell=rnn,elman lr=1,-1 task.path=nowhere,null tracking.uri=mlruns", capsys, here)
    assert lines == [
        "rnnlab: cell=elman: unknown option; allowed: gru, lstm, rnn",
        "rnnlab: lr=-1: must be greater than 0",
        "rnnlab: task.path=nowhere: cannot be read (No such file or directory)",
        f"rnnlab: tracking.uri=mlruns: {NO_FOLDER_STORE}",
    ]


def test_one_bad_job_stops_the_whole_sweep(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = messages("-m seq_len=5,9,100000 steps=2", capsys, here)
    assert line.startswith("rnnlab: seq_len=100000 ") and line.endswith("and needs at least 100001")


def test_an_endless_sweep_is_refused_immediately(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = messages("-m seed=range(1000000) cell=rnn,lstm steps=2", capsys, here)
    assert line == (
        "rnnlab: sweep of 2,000,000 runs (1,000,000 seeds × 2 cells) exceeds the limit of 100,000"
    )


def test_a_number_of_excessive_length(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert messages(f"lr={'1' * 5000}", capsys, here) == ["rnnlab: lr: must have at most 4300 digits"]


GLOBAL = b"# @package _global_\n"
OPTIONS = {
    b"": "experiment/own.yaml: must begin with the line # @package _global_",
    b"lr: 1\n": "experiment/own.yaml: must begin with the line # @package _global_",
    GLOBAL + b"- a\n": "experiment/own.yaml: must contain lines of the form key: value",
    GLOBAL + b"lr: 1 # \xff\n": "experiment/own.yaml: not UTF-8 text (invalid start byte at byte 28)",
    GLOBAL + b"lr: &a [*a]\n": "experiment/own.yaml: cannot be read (the content refers to itself)",
    GLOBAL + b"defaults: [nope: x]\n": "experiment/nope=x: unknown group experiment/nope",
    GLOBAL
    + b"defaults: [/cell: lstm]\n": "cell: chosen twice; in an option file, write override /cell: OPTION",
    GLOBAL + b"defaults: [override /cell: ../cell/rnn]\n": "cell=../cell/rnn: must be a name without /",
}


@pytest.mark.parametrize("option", OPTIONS)
def test_a_user_defined_option(
    option: bytes, here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "experiment" / "own.yaml"
    file.parent.mkdir()
    file.write_bytes(option)
    assert messages(f"--config-dir {tmp_path} experiment=own", capsys, here) == [f"rnnlab: {OPTIONS[option]}"]


@pytest.mark.parametrize("nothing", ["", "+", " "])
def test_an_empty_argument_is_reported_as_empty(
    nothing: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["hidden_size=4", nothing]) == 2
    expected = f"rnnlab: {nothing!r}: empty argument; check for an empty shell variable\n"
    assert capsys.readouterr().err == expected


def test_a_database_needs_its_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = messages("tracking.uri='sqlite:///nowhere/mlflow.db'", capsys, here)
    folder = here / "nowhere"
    assert line == f"rnnlab: tracking.uri=sqlite:///nowhere/mlflow.db: {folder}: not found"


def test_an_address_from_the_environment_is_checked(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "databricks")
    assert messages("steps=2", capsys, here) == [f"rnnlab: tracking.uri=databricks: {NO_FOLDER_STORE}"]


@pytest.mark.parametrize(
    ("command_line", "taken", "problem"),
    [
        ("hydra.run.dir=../texts", "texts", "already in use"),
        ("-m hydra.sweep.dir=../texts", "texts", "not empty"),
        ("-m seed=0,1 hydra.sweep.subdir=same", "same", "already in use"),
    ],
)
@pytest.mark.usefixtures("texts")
def test_a_folder_in_use_is_refused(
    command_line: str, taken: str, problem: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = messages(command_line, capsys, here)
    assert f"{taken}: {problem}; each " in line and line.endswith(" needs its own folder")


@pytest.mark.usefixtures("texts")
@pytest.mark.parametrize(
    "command_line", ["hydra.run.dir=../texts/one/a/run", "-m hydra.sweep.dir=../texts/one/sweep"]
)
def test_an_unwritable_path_is_reported_before_anything_runs(
    command_line: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = messages(command_line, capsys, here)
    assert line.endswith("cannot be written (Not a directory)")


def test_tracebacks_can_be_enabled(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    first, *_, last = messages("xyz=1", capsys, here)
    assert first.startswith("Traceback") and last == "rnnlab: xyz=1: unknown key; --help lists all keys"
