"""Invalid paths and conflicting folders: one line per problem, and no files or folders."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from rnnlab.app.cli import main
from rnnlab.app.config.messages import ConfigProblems
from rnnlab.app.config.run_paths import resolve_folder
from rnnlab.commands import compare, repeat, report, show, sync, ui
from rnnlab.paths import path_problem
from rnnlab.text import one_line
from tests.app.conftest import here
from tests.processes import TINY
from tests.surroundings import environment

__all__ = ["here"]
pytestmark = pytest.mark.usefixtures("kept_compositions")
SINGLE = [*TINY, "tracking=none", "figures=false"]
SWEEP = ["-m", *SINGLE, "seed=0,1", "hydra.sweep.dir=sweep"]
LONG = "x" * 256
LONGER = "/".join(["y" * 200] * 25)
DEEP = "z/" * 300 + "z"
A_NAME = "contains a name that is too long (256 bytes; at most 255)"


def message_of(of: Callable[[Sequence[str]], int], arguments: Sequence[str], capsys: Any, here: Path) -> str:
    """Return the single line that a command prints; the command creates no files."""
    before = sorted(here.rglob("*"))
    os.environ["HYDRA_FULL_ERROR"] = "0"  # the command line sets this variable; `here` restores it
    assert of(list(arguments)) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and sorted(here.rglob("*")) == before
    return str(err).rstrip("\n").partition(": ")[2]


@pytest.mark.parametrize("key", ["hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir"])
@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (LONG, A_NAME),
        ("é" * 128, A_NAME),
        (f"a/{LONG}/b", A_NAME),
        (DEEP, "nested folders; at most 200"),
        (LONGER, "bytes including the files written there; at most 4095)"),
        ("artifacts", "must not end with artifacts; a folder with this name is not searched for runs"),
        ("a/artifacts", "must not end with artifacts; a folder with this name is not searched for runs"),
    ],
)
def test_an_impossible_folder_is_refused(
    key: str, given: str, problem: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = SINGLE if key == "hydra.run.dir" else SWEEP
    line = message_of(main, [*command, f'{key}="{given}"'], capsys, here)
    assert line.startswith(one_line(f"{key}={given}")[:200]) and line.endswith(problem)


def test_a_folder_name_with_characters_that_no_name_may_have() -> None:
    for given, problem in (
        ("a\0b", "contains a NUL character, which is not allowed in file names"),
        ("a\ud800", "contains a character that is not allowed in file names"),
    ):
        with pytest.raises(ConfigProblems, match=problem):
            resolve_folder("hydra.run.dir", given)
    assert path_problem(Path("\udcff")) is None  # a byte that is not valid UTF-8


def test_a_folder_that_is_only_part_of_a_path_is_not_created(here: Path) -> None:
    assert resolve_folder("hydra.run.dir", "x/../y") == here / "y"


@pytest.mark.parametrize(
    ("subdir", "own"),
    [
        ("sweep.json", "sweep.json"),
        ("sweep.json/${seed}", "sweep.json"),
        ("sweep.json.new/${seed}", "sweep.json.new"),
        (".running/${seed}", ".running"),
        ("./.running/${seed}", ".running"),
        ("sweep.log", "sweep.log"),
        (".slurm/${seed}", ".slurm"),
        (".stop-${seed}", ".stop-0"),
        ("report.html/${seed}", "report.html"),
        ("optimization_results.yaml", "optimization_results.yaml"),
    ],
)
def test_a_run_folder_cannot_replace_a_file_of_the_sweep(
    subdir: str, own: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = message_of(main, [*SWEEP, f"hydra.sweep.subdir={subdir}"], capsys, here)
    assert line.endswith(f": must not replace {own}, which belongs to the sweep")


def test_a_run_folder_cannot_be_inside_another(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLACE0", "a")
    monkeypatch.setenv("PLACE1", "a/b")
    line = message_of(main, [*SWEEP, 'hydra.sweep.subdir="${oc.env:PLACE${seed}}"'], capsys, here)
    assert line == f"{here / 'sweep/a/b'}: must not be inside {here / 'sweep/a'}, the folder of another run"


@pytest.mark.parametrize("given", [LONG, LONGER])
def test_other_keys_that_name_a_file_or_folder(
    given: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "texts").mkdir()
    long = one_line(given)[:200]
    for arguments in (
        ["--config-dir", given],
        [f"resume={given}"],
        ["-m", "seed=0,1", f"resume={given}"],
        [f"task.path={given}"],
        ["task=series", f"task.path={given}.csv"],
        ["tracking=mlflow", f"tracking.uri=sqlite:///{given}"],
        [f"hydra.searchpath=[{given}]"],
    ):
        assert long in message_of(main, [*SINGLE, *arguments], capsys, here)
    uri = ["--uri", f"sqlite:///{given}"]
    for of, arguments in (
        (report.main, [given]),
        (report.main, ["x", *uri]),
        (compare.main, [given, given]),
        (compare.main, ["x", "y", *uri]),
        (repeat.main, [given]),
        (repeat.main, ["x", *uri]),
        (sync.main, [given]),
        (ui.main, uri),
        (show.main, ["--config-dir", given]),
    ):
        assert long in message_of(of, arguments, capsys, here)


@pytest.mark.parametrize(
    ("out", "problem"),
    [
        ("x" * 252, f"{'x' * 252}: contains a name that is too long (256 bytes; at most 255)"),
        ("runs", "runs: is a directory"),
        (".", ".: is a directory"),
        ("no/page.html", "no/page.html: cannot be written (folder no not found)"),
        ("", "argument --out: must not be empty; see --help"),
    ],
)
def test_an_impossible_page_path_is_reported_before_runs_are_read(
    out: str, problem: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "runs").mkdir()
    (here / "runs" / "run.json").write_text("{}")

    def run(arguments: Sequence[str]) -> int:
        try:
            return report.main(arguments)
        except SystemExit as end:
            return int(end.code or 0)

    assert message_of(run, ["runs", "--out", out], capsys, here) == problem


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        ('PermissionError(13, "Permission denied", "/root/x")', 2, "rnnlab: /root/x: Permission denied"),
        ('OSError("of ours")', 1, "OSError: of ours"),
    ],
)
def test_a_file_that_cannot_be_opened_is_reported_in_one_line(error: str, code: int, line: str) -> None:
    """Errors with a file name are one line everywhere; errors without one are bugs and keep their traceback."""
    program = f"""
from rnnlab.terminal.command import run_command
def fail(arguments):
    raise {error}
run_command(fail)
"""
    done = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, text=True)
    assert done.returncode == code and done.stderr.splitlines()[-1] == line
    assert ("Traceback" in done.stderr) == (code == 1)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody who may not")
def test_a_folder_without_permission_to_list_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with tempfile.TemporaryDirectory() as top, chdir(top):
        closed = Path(top, "closed")
        (closed / "in").mkdir(parents=True)
        closed.chmod(0)
        Path(top).chmod(0o755)
        os.seteuid(65534)
        try:
            for arguments in (
                [f"hydra.run.dir={closed}/x/y"],
                ["--config-dir", f"{closed}/in"],
                [f"resume={closed}/in"],
            ):
                assert str(closed) in message_of(main, [*SINGLE, *arguments], capsys, Path(top))
            for of in (report.main, sync.main, repeat.main):
                assert str(closed) in message_of(of, [f"{closed}/in"], capsys, Path(top))
        finally:
            os.seteuid(0)
