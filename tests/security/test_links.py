"""Symbolic links in the folder of somebody else: nothing is written through them."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rnnlab.analysis.figures.run_folder import draw_run
from rnnlab.app.cli import main
from rnnlab.app.config.run_paths import SWEEP_FILE, SWEEP_FILES
from rnnlab.app.jobs.run_job import WorkOrder
from rnnlab.app.launchers.cluster_job import stop_file
from rnnlab.app.launchers.slurm import new_submission_folder
from rnnlab.commands import report, show
from rnnlab.mlflow_mirror import mirror
from rnnlab.mlflow_mirror.new_run import FOLDER_TAG, ID_TAG
from rnnlab.mlflow_mirror.store import open_experiment
from rnnlab.runs.closing import close_run
from rnnlab.runs.files import LineFile, make_folder, replace_file, replace_text, touch
from rnnlab.runs.folder import RunFolder
from tests.app.conftest import here
from tests.processes import TINY, Done, run_info
from tests.security.promises import keeps

__all__ = ["here"]
pytestmark = pytest.mark.usefixtures("kept_compositions")
LEAVES_IT = "symbolic link; refusing to write through it"
SWEEP = ["-m", *TINY, "cell=rnn,lstm", "tracking=none", "figures=false", "hydra.sweep.dir=sweep"]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Return a folder next to the current one, with a file; both must remain unchanged."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "file").write_text("mine\n")
    return folder


def is_untouched(outside: Path) -> bool:
    return [(file.name, file.read_text()) for file in outside.iterdir()] == [("file", "mine\n")]


@pytest.fixture
def theirs(here: Path, sweep: Done) -> Path:
    """Return a sweep of somebody else, with one finished and one unfinished run."""
    folder, runs = here / "sweep", {}
    for number, name in enumerate(("rnn", "lstm")):
        run = folder / f"{number}_{name}"
        shutil.copytree(sweep.runs[name], run, ignore=shutil.ignore_patterns("mlflow.json"))
        runs[run.name] = run_info(run)["identity"]
    info = run_info(folder / "1_lstm") | {"outcome": None}
    (folder / "1_lstm" / "run.json").write_text(json.dumps(info), encoding="utf-8")
    (folder / SWEEP_FILE).write_text(json.dumps({"sweep": "theirs", "runs": runs}))
    return folder


def resumed(theirs: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Resume the sweep and return the error message."""
    command = run_info(theirs / "0_rnn")["overrides"]
    shared = [override for override in command if not override.startswith("cell=")]
    assert main(["-m", "cell=rnn,lstm", *shared, "tracking=none", f"resume={theirs}"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    return err.removeprefix("rnnlab: ").rstrip("\n")


Write = Callable[[Path], object]
WAYS: dict[str, Write] = {
    "replaced, its scratch file": lambda path: replace_text(path.with_name(path.stem), "theirs"),
    "replaced": lambda path: replace_text(path, "theirs"),
    "with lines": LineFile,
    "touched": touch,
}


@keeps("inside-the-folder")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("target", ["file", "nowhere"])
def test_a_file_is_not_written_through_a_link(way: str, target: str, tmp_path: Path, outside: Path) -> None:
    link = tmp_path / "report.html.new"
    link.symlink_to(outside / target)
    try:
        WAYS[way](link)
    except OSError:
        assert link.is_symlink()
    else:
        assert "replaced" in way and not link.is_symlink()  # the link is gone or replaced by the file
    assert is_untouched(outside)


@keeps("inside-the-folder")
def test_no_parent_folder_is_a_link(tmp_path: Path, outside: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "figures").symlink_to(outside)
    for write in (
        lambda: replace_file(run / "figures" / "file", lambda file: file.write(b"theirs"), run),
        lambda: make_folder(run / "figures", run),
        lambda: make_folder(run / "figures" / "timeline", run),
    ):
        with pytest.raises(OSError, match=f"figures: {LEAVES_IT}"):
            write()
    assert is_untouched(outside)


def test_a_named_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "sweep.log")
    with pytest.raises(OSError, match="not a regular file"):
        LineFile(tmp_path / "sweep.log")


@keeps("inside-the-folder")
@pytest.mark.filterwarnings("ignore::rnnlab.analysis.frames.load.IncompleteRuns")
def test_a_report_is_written_to_the_given_path(theirs: Path, outside: Path) -> None:
    for name in ("report.html", "report.html.new"):
        (theirs / name).symlink_to(outside / "file")
    assert report.main([str(theirs)]) == 0
    assert is_untouched(outside) and not (theirs / "report.html").is_symlink()


@keeps("inside-the-folder")
@pytest.mark.parametrize("name", SWEEP_FILES)
def test_a_sweep_with_a_link_in_place_of_its_file_is_not_resumed(
    name: str, theirs: Path, outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (theirs / name).unlink(missing_ok=True)
    (outside / "file").unlink()
    runs = {
        f"{n}_{cell}": run_info(theirs / f"{n}_{cell}")["identity"] for n, cell in enumerate(("rnn", "lstm"))
    }
    (outside / "file").write_text(content := json.dumps({"sweep": "theirs", "runs": runs}))
    (theirs / name).symlink_to(outside / "file")
    assert resumed(theirs, capsys) == f"{theirs / name}: {LEAVES_IT}"
    assert (outside / "file").read_text() == content


@keeps("inside-the-folder")
def test_temporary_files_of_a_sweep_are_recreated(theirs: Path, outside: Path) -> None:
    (theirs / "sweep.json.new").symlink_to(outside / "file")
    command = [o for o in run_info(theirs / "0_rnn")["overrides"] if not o.startswith("cell=")]
    assert main(["-m", "cell=rnn,lstm", *command, "tracking=none", f"resume={theirs}"]) == 0
    assert is_untouched(outside) and not (theirs / "sweep.json.new").is_symlink()


@keeps("inside-the-folder")
@pytest.mark.parametrize("name", ["ln/1_lstm", "a/ln/1_lstm", "ln"])
def test_no_run_is_created_through_a_link(
    name: str, theirs: Path, outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (theirs / "a").mkdir()
    link = theirs / ("a/ln" if name.startswith("a/") else "ln")
    link.symlink_to(outside)
    listed = json.loads((theirs / SWEEP_FILE).read_text())
    listed["runs"][name] = listed["runs"].pop("1_lstm")
    (theirs / SWEEP_FILE).write_text(json.dumps(listed))
    assert resumed(theirs, capsys) == f"{link}: {LEAVES_IT}"
    assert is_untouched(outside)


@keeps("inside-the-folder")
@pytest.mark.parametrize(
    "name", ["sweep.json", ".running/x", "sweep.log", "0_rnn/figures", "x" * 256, "a\0b", "."]
)
def test_a_sweep_cannot_name_a_run_like_another_of_its_files(
    name: str, theirs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = json.loads((theirs / SWEEP_FILE).read_text())
    listed["runs"][name] = listed["runs"].pop("1_lstm")
    (theirs / SWEEP_FILE).write_text(json.dumps(listed))
    assert resumed(theirs, capsys) == f"resume={theirs}: neither the name nor the folder of a sweep"


@keeps("inside-the-folder")
@pytest.mark.parametrize("name", [".slurm", ".running", ".hidden"])
def test_no_sweep_starts_in_a_linked_folder(
    name: str, here: Path, outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "sweep").mkdir()
    (here / "sweep" / name).symlink_to(outside)
    assert main([*SWEEP, "hydra.sweep.subdir=.hidden/${hydra.job.num}"]) == 2
    assert capsys.readouterr().err == f"rnnlab: {here / 'sweep' / name}: {LEAVES_IT}\n"
    assert is_untouched(outside)


@keeps("inside-the-folder")
def test_each_slurm_submission_gets_a_new_folder(tmp_path: Path, outside: Path) -> None:
    """Submitit follows existing links, and leaves links to its own files, which must not prevent a resumption."""
    first = new_submission_folder(tmp_path / ".slurm")
    (first / "1_submission.sh").symlink_to(outside / "file")
    second = new_submission_folder(tmp_path / ".slurm")
    assert second != first and second.parent == tmp_path / ".slurm" and list(second.iterdir()) == []


@keeps("inside-the-folder")
def test_a_run_is_not_created_in_a_folder_with_a_link(theirs: Path, outside: Path) -> None:
    """The check does not depend on the caller."""
    run = theirs / "1_lstm"
    (run / "metrics.jsonl").unlink()
    (run / "metrics.jsonl").symlink_to(outside / "file")
    with pytest.raises(ValueError, match=LEAVES_IT):
        RunFolder(run, run_info(run), {}, resume=True)
    assert is_untouched(outside)


@keeps("inside-the-folder")
@pytest.mark.parametrize("link", ["figures", "figures/timeline"])
def test_figures_are_drawn_in_the_runs_folder(link: str, theirs: Path, outside: Path) -> None:
    run = theirs / "0_rnn"
    shutil.rmtree(run / link)
    (run / link).symlink_to(outside)
    with pytest.raises(OSError, match=LEAVES_IT):
        draw_run(run)
    assert is_untouched(outside)


@keeps("inside-the-folder")
@pytest.mark.parametrize("link", ["outputs/show", "outputs/show/adding.png", "outputs/show/adding.png.new"])
def test_examples_are_drawn_in_their_folder(
    link: str, here: Path, outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / link).parent.mkdir(parents=True)
    (here / link).symlink_to(outside if link == "outputs/show" else outside / "file")
    refused = link == "outputs/show"
    assert show.main(["task=adding", "seq_len=12"]) == (2 if refused else 0)
    assert (LEAVES_IT in capsys.readouterr().err) == refused
    assert is_untouched(outside)


@keeps("inside-the-folder")
def test_a_database_is_created_at_its_path(here: Path, outside: Path) -> None:
    (here / "mlflow.db.new").symlink_to(outside / "file")
    open_experiment(f"sqlite:///{here / 'mlflow.db'}", "rnnlab")
    assert (here / "mlflow.db").read_bytes().startswith(b"SQLite")
    assert is_untouched(outside) and not (here / "mlflow.db.new").is_symlink()


@keeps("inside-the-folder")
def test_a_file_of_the_sweep_requests_runs_to_stop(here: Path, outside: Path) -> None:
    order = WorkOrder(here / "0_rnn", {}, {})
    (here / ".stop-0_rnn").symlink_to(outside / "file")
    touch(stop_file([order], here))
    assert (here / ".stop-0_rnn").is_file() and not (here / ".stop-0_rnn").is_symlink()
    assert is_untouched(outside)


@keeps("inside-the-folder")
@pytest.mark.parametrize("what", ["the folder", "in the folder"])
def test_a_run_that_a_server_names_is_not_closed_through_a_link(
    what: str, theirs: Path, tmp_path: Path, outside: Path
) -> None:
    run = theirs / "1_lstm"
    before = (run / "run.json").read_bytes()
    named = tmp_path / "link" if what == "the folder" else run
    if what == "the folder":
        named.symlink_to(run)
    else:
        (run / "gradients.parquet.new").symlink_to(outside / "file")
    tags = {FOLDER_TAG: str(named), ID_TAG: run_info(run)["id"]}
    data: Any = SimpleNamespace(data=SimpleNamespace(tags=tags), info=SimpleNamespace(run_id="0" * 32))
    client: Any = SimpleNamespace(search_runs=lambda *_: [data])
    assert mirror.close_abandoned(client, "1", "sqlite:///x.db", set()) == 0
    assert (run / "run.json").read_bytes() == before and is_untouched(outside)
    with pytest.raises(ValueError, match="symbolic link"):
        close_run(named, "killed", {})


@keeps("inside-the-folder")
@pytest.mark.parametrize(
    "tags", [{}, {ID_TAG: "x"}, {FOLDER_TAG: "a\0b", ID_TAG: "x"}, {FOLDER_TAG: "y" * 5000}]
)
def test_a_server_that_names_no_folder_closes_nothing(tags: dict[str, str], here: Path) -> None:
    data: Any = SimpleNamespace(data=SimpleNamespace(tags=tags), info=SimpleNamespace(run_id="0" * 32))
    client: Any = SimpleNamespace(search_runs=lambda *_: [data])
    assert mirror.close_abandoned(client, "1", "sqlite:///x.db", set()) == 0
    assert list(here.iterdir()) == []
