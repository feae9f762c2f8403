"""Texts printed without a run: help, configuration, completion, and the few modules loaded for them."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rnnlab.app.cli import main
from rnnlab.commands import MODULES
from rnnlab.paths import conf_dir
from tests.surroundings import environment

HEAVY = ("matplotlib", "mlflow", "pandas", "pyarrow", "seaborn", "torch")
THEN_TELL_WHAT_IS_LOADED = f"""
import atexit, sys
from rnnlab.app.cli import main
atexit.register(lambda: print(*(name for name in {HEAVY} if name in sys.modules), file=sys.stderr))
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("command_line", "code"),
    [
        ("--help", 0),
        ("--cfg job", 0),
        ("-sc query=bash", 0),
        ("cell=elman", 2),
        ("lr=-1", 2),
        ("task.path=nowhere", 2),
        ("-m cell=rnn,lstm lr=1,-1", 2),
    ],
)
def test_no_slow_library_is_loaded_before_a_run(command_line: str, code: int, here: Path) -> None:
    command = [sys.executable, "-c", THEN_TELL_WHAT_IS_LOADED, *command_line.split()]
    settings = environment(COMP_LINE="rnnlab cell=")
    done = subprocess.run(command, cwd=here, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert done.stderr.splitlines()[-1] == ""
    assert list(here.iterdir()) == []


FIRST_STEP = f"""
import sys
from pathlib import Path
from rnnlab.app import check as orders
from rnnlab.app.jobs import run_job as worker
from rnnlab.app.config.compose import compose_plan
from rnnlab.paths import conf_dir
from rnnlab.runs import folder

def write(self, record):
    print("step", record.step, *(name for name in {HEAVY} if name in sys.modules), flush=True)
    raise SystemExit

folder.RunFolder.write = write
checked = orders.check(compose_plan(conf_dir(), ["hidden_size=4", "tracking=none"], multirun=False))
worker.execute(checked.orders[0], lambda: False)
"""
MIRROR = f"""
import os, sys, threading
from pathlib import Path
from rnnlab.mlflow_mirror import mirror

mirror.import_mlflow = lambda *_: threading.Event().wait()
mirror.Mirror("sqlite:///mlflow.db", "rnnlab", "a-sweep", [Path("a-run")])
print("mirror", *(name for name in {HEAVY} if name in sys.modules), flush=True)
os._exit(0)
"""


@pytest.mark.parametrize(("code", "output"), [(FIRST_STEP, "step 0"), (MIRROR, "mirror")])
def test_no_slow_library_is_loaded_before_the_first_step(code: str, output: str, here: Path) -> None:
    """Neither by a worker nor by the mirror, which opens MLflow in a thread of its own."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=here, env=environment(), capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == (output, "")


@pytest.fixture
def help_text(here: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["--help"]) == 0
    return capsys.readouterr().out


def test_help_lists_every_group_and_option(help_text: str) -> None:
    for group in (path for path in conf_dir().iterdir() if path.is_dir() and path.name != "hydra"):
        options = sorted(file.stem for file in group.glob("*.yaml"))
        assert f"{group.name}: {', '.join(options)}" in help_text.splitlines()


def test_help_lists_every_command_before_the_keys(help_text: str) -> None:
    lines = help_text.splitlines()
    first = lines.index("Commands (COMMAND --help prints details):") + 1
    listed = [line.split()[0] for line in lines[first : lines.index("", first)]]
    assert sorted(listed) == sorted(MODULES) and first + len(listed) < 24, "in the first screen"


@pytest.mark.parametrize("name", MODULES)
def test_each_command_belongs_to_the_console_script(name: str, here: Path) -> None:
    script = Path(sys.executable).with_name("rnnlab")
    done = subprocess.run(
        [script, name, "--nonsense"], cwd=here, env=environment(), capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"rnnlab.{name}: ") and list(here.iterdir()) == []


def test_help_names_the_axes_and_every_key(help_text: str) -> None:
    (axes,) = (line for line in help_text.splitlines() if line.startswith("Research axes"))
    assert all(
        axis in axes for axis in ("cell=rnn|lstm|gru", "seq_len", "clip ", "clip_mode=norm|value", "lr")
    )
    keys = yaml.safe_load((conf_dir() / "config.yaml").read_text(encoding="utf-8")).keys()
    assert all(f"\n{key}:" in help_text for key in keys - {"defaults", "hydra"})


def test_help_gives_examples_that_work(
    help_text: str, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = [line for line in help_text.splitlines() if line.startswith("  python -m rnnlab")]
    commands = [line.split("   ")[0].removeprefix("  python -m rnnlab").split() for line in shown]
    assert commands[:2] == [[], ["-m", "cell=rnn,lstm"]] and len(commands) == 3
    for arguments in commands:  # composed and checked, and stopped by a mistake of ours alone
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
        assert main([*arguments, "jobs=0"]) == 2
        assert capsys.readouterr().err == "rnnlab: jobs=0: must be greater than or equal to 1, or null\n"


def test_cfg_shows_the_configuration_that_a_run_would_have(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--cfg", "job", "cell=lstm", "clip=null", "seq_len=7"]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["cell"]["_target_"] == "rnnlab.cells.LSTM"
    assert (shown["clip"], shown["seq_len"], shown["lr"]) == (None, 7, 0.002)
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("cell=", {"cell=gru", "cell=lstm", "cell=rnn"}),
        ("cell=l", {"cell=lstm"}),
        ("cell=lstm optimizer=ad", {"optimizer=adagrad", "optimizer=adam"}),
        ("cell=lstm cell.for", {"cell.forget_bias="}),
        ("seq", {"seq_len="}),
    ],
)
def test_the_console_script_completes_with_tab(
    typed: str, offered: set[str], here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["rnnlab", "-sc", "query=bash"])
    monkeypatch.setenv("COMP_LINE", f"rnnlab {typed}")
    assert main(["-sc", "query=bash"]) == 0
    assert set(capsys.readouterr().out.split()) == offered


def test_the_completion_script_of_a_shell(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-sc", "install=bash"]) == 0
    assert "COMP_LINE" in capsys.readouterr().out
