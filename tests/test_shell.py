"""Tests of the command in a shell: completion, colours, quiet mode, and the message about the default run."""

import io
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from rnnlab.app import launch
from rnnlab.app.cli import main
from rnnlab.commands import compare, repeat, report, show, sync, ui
from rnnlab.gradcheck.__main__ import main as gradcheck
from tests.app.conftest import here
from tests.processes import PATIENCE, TINY, run_info
from tests.surroundings import ROOT, environment

__all__ = ["here"]
COMMANDS = Path(sys.executable).parent
COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-9]m")
SMALL = ("cell=rnn", "seq_len=3", "hidden_size=2", "task=adding")
SETUP = 'eval "$(rnnlab -sc install=bash)"'


class Screen:
    """A command that runs in a separate terminal."""

    def __init__(self, terminal: int) -> None:
        self.terminal, self.shown = terminal, ""

    def type(self, keys: str) -> None:
        self.shown = ""
        os.write(self.terminal, keys.encode())

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while text not in self.shown:
            assert time.monotonic() < deadline, f"in vain waited for {text!r} in {self.shown!r}"
            if select.select([self.terminal], [], [], 0.1)[0]:
                try:
                    self.shown += os.read(self.terminal, 65536).decode(errors="replace")
                except OSError:  # the other side is closed
                    assert text in self.shown, self.shown
                    return


@contextmanager
def on_a_terminal(folder: Path, *command: str, **settings: str) -> Iterator[Screen]:
    ours, theirs = pty.openpty()
    path = f"{COMMANDS}{os.pathsep}{os.environ['PATH']}"
    plain = {
        key: value
        for key, value in environment(**settings).items()
        if key not in ("NO_COLOR", "FORCE_COLOR") or key in settings
    }
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=plain | {"PATH": path, "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield Screen(ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@pytest.mark.skipif(
    not shutil.which("bash") or not (COMMANDS / "rnnlab").exists(), reason="no bash, or not installed"
)
def test_tab_completes_in_bash(here: Path) -> None:
    assert SETUP in (ROOT / "docs" / "usage.md").read_text(encoding="utf-8")
    with on_a_terminal(here, "bash", "--norc", "--noprofile", "-i", PS1="ready> ") as screen:
        screen.wait_for("ready> ")
        screen.type(f"{SETUP}\n")
        screen.wait_for("ready> ")
        screen.type("rnnlab -q -m cell=l\t")
        screen.wait_for("cell=lstm")
        screen.type(" optimizer=\t\t")  # several candidates: the shell lists them
        screen.wait_for("optimizer=rmsprop")


def test_python_m_has_the_same_setup(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/rnnlab/__main__.py"])
    assert main(["-sc", "install=bash"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("-F hydra_bash_completion rnnlab")


@pytest.mark.parametrize(("arguments", "has_message"), [([], True), (["seed=1"], False), (["-q"], False)])
def test_the_default_configuration_is_announced(
    arguments: list[str], has_message: bool, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(launch, "launch", interrupted)
    assert main(arguments) == 130
    line = "Running the default configuration: cell=rnn task=char_lm seq_len=50 steps=2000. For all keys, see --help.\n"
    assert capsys.readouterr().out == (line if has_message else "")


def test_quiet_prints_only_the_folder_and_warnings(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["-q", *TINY, "figures=false", "tracking=none"]) == 0
    out, err = capfd.readouterr()
    assert err == "" and out.count("\n") == 1
    assert run_info(here / out.strip())["outcome"] == "finished"
    assert main(["--quiet", *TINY, "figures=false", "tracking.uri=http://127.0.0.1:9"]) == 0
    out, err = capfd.readouterr()
    assert out.count("\n") == 1 and "MLflow" in err
    assert "WARNING" in (here / out.strip() / "run.log").read_text(encoding="utf-8")
    os.environ["HYDRA_FULL_ERROR"] = "0"
    assert main(["-q", "lr=-1"]) == 2
    assert capfd.readouterr() == ("", "rnnlab: lr=-1: must be greater than 0\n")


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("terminal", "settings", "coloured"),
    [
        (True, {}, True),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_colours_only_where_enabled(
    terminal: bool, settings: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"TERM": "xterm"} | settings).items():
        monkeypatch.setenv(name, value)
    screen = Tty() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stdout", screen)
    assert gradcheck(SMALL) == 0
    assert "correct" in screen.getvalue() and bool(COLOUR.search(screen.getvalue())) == coloured
    assert terminal or "FORCE_COLOR" in settings or "\x1b" not in screen.getvalue()


def test_a_run_on_a_terminal_has_a_bar_and_colours(here: Path) -> None:
    command = (sys.executable, "-m", "rnnlab", *TINY, "steps=200", "figures=false", "tracking=none")
    with on_a_terminal(here, *command) as screen:
        screen.wait_for("Files: ")
    assert COLOUR.search(screen.shown) and "\x1b[32mfinished" in screen.shown
    assert re.search("━|steps/s|starting", screen.shown)


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (compare.main, "rnnlab.compare: the following arguments are required: first, second"),
        (gradcheck, "rnnlab.gradcheck: unrecognized arguments: --foo"),
        (repeat.main, "rnnlab.repeat: the following arguments are required: run"),
        (report.main, "rnnlab.report: the following arguments are required: sweep"),
        (show.main, "rnnlab.show: unrecognized arguments: --foo"),
        (sync.main, "rnnlab.sync: unrecognized arguments: --foo"),
        (ui.main, "rnnlab.ui: unrecognized arguments: --foo"),
    ],
)
def test_a_mistaken_option_is_reported_in_one_line(
    command: Callable[[Sequence[str]], int], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        command(["--foo"])
    assert capsys.readouterr() == ("", f"{problem}; see --help\n")


@pytest.mark.parametrize(
    ("command", "arguments", "name"),
    [
        (report.main, [""], "sweep"),
        (repeat.main, [""], "run"),
        (compare.main, ["", "x"], "first"),
        (compare.main, ["x", ""], "second"),
        (sync.main, [""], "folders"),
    ],
)
def test_an_empty_name_is_not_the_current_folder(
    command: Callable[[Sequence[str]], int],
    arguments: list[str],
    name: str,
    here: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit, match="2"):
        command(arguments)
    assert f"argument {name}: must not be empty; see --help" in capsys.readouterr().err


def test_an_address_is_not_left_unused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "run.json").write_text("{}")
    assert repeat.main([".", "--uri", "mlruns"]) == 2
    assert (
        capsys.readouterr().err
        == "rnnlab.repeat: --uri=mlruns: applies only to an MLflow run id; . is a run folder\n"
    )
