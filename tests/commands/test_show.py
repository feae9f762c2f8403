"""Tests of `python -m rnnlab.show`."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rnnlab.commands.show import main
from rnnlab.paths import conf_dir
from tests.app.test_options import LENGTH
from tests.surroundings import environment

TASKS = sorted(file.stem for file in (conf_dir() / "task").glob("*.yaml"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_shows_sequences_from_which_the_target_can_be_derived(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rnnlab.show", "task=adding", "seq_len=12"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "metric      val/mse, baseline 0.16667" in done.stdout
    assert re.search(r"^solved +val/error_rate < 0\.01 *$", done.stdout, re.MULTILINE)
    rows = {
        name: [line.split()[1:] for line in done.stdout.splitlines() if line.startswith(f"{name} ")]
        for name in ("number", "marker", "target")
    }
    assert len(rows["number"]) == 4
    for numbers, markers, targets in zip(*rows.values(), strict=True):
        total = sum(float(n) * float(m) for n, m in zip(numbers, markers, strict=True))
        assert targets[:-1] == ["·"] * 11
        assert float(targets[-1]) == pytest.approx(total, abs=0.016)
    assert "Figure: outputs/show/adding.png" in done.stdout
    assert [file.name for file in tmp_path.rglob("*.*")] == ["adding.png"]


@pytest.mark.parametrize("task", TASKS)
def test_every_task_can_be_shown(task: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"task={task}", f"seq_len={LENGTH.get(task, 12)}", "--examples", "2"]) == 0
    output = capsys.readouterr().out
    assert output.startswith(f"{task}, seq_len=") and "\nexample 2\n" in output and "example 3" not in output
    assert max(map(len, output.splitlines())) <= 110
    with Image.open(here / "outputs" / "show" / f"{task}.png") as image:
        assert np.asarray(image.convert("L")).std() > 10


def test_symbols_are_shown_by_name(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["task=copy", "seq_len=5", "--examples=1"]) == 0
    output = capsys.readouterr().out
    (given,) = re.findall(r"^input +([0-7]{10})_{4}\?_{10}$", output, re.MULTILINE)
    assert re.search(rf"^target +_{{15}}{given}$", output, re.MULTILINE)


def test_long_sequences_show_their_beginning_and_end(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["task=copy", "seq_len=900", "--examples=1"]) == 0
    output = capsys.readouterr().out
    left_out = int(re.findall(r"… (\d+) more time steps", output)[0])
    inputs = re.findall(r"^input  +([0-7_?]+)$", output, re.MULTILINE)
    assert left_out + sum(map(len, inputs)) == 920
    targets = re.findall(r"^target +([0-7_]+)$", output, re.MULTILINE)
    assert inputs[0][:10] == targets[-1][-10:] and "_" not in inputs[0][:10]


def test_steps_after_the_last_target_are_not_shown(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["task=reber", "--examples=6"]) == 0
    output = capsys.readouterr().out
    inputs = re.findall(r"^input   ([A-Z]+)$", output, re.MULTILINE)
    targets = re.findall(r"^target  ([A-Z]+)$", output, re.MULTILINE)
    assert len(inputs) == 6 and all(
        x[1:] == y[:-1] and y[-1] == "E" for x, y in zip(inputs, targets, strict=True)
    )
    assert all(x.count("E") == 1 for x in inputs)


def test_some_of_many_inputs_are_shown(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["task=noise", "task.features=20", "seq_len=5", "--examples=1"]) == 0
    assert "\n… 12 more inputs\n" in capsys.readouterr().out


def test_variable_lengths_are_reported(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["task=multiplication", "seq_len=50", "--examples=1"]) == 0
    assert "sequence    50 time steps (50 to 54 across batches)\n" in re.sub(
        " +\n", "\n", capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["task=add"], "task=add: unknown option"),
        (
            ["task=digits", "seq_len=50"],
            "seq_len=50: must be 64, the number of time steps per image with read=pixels",
        ),
        (["--examples=0"], "--examples=0: must be a positive integer"),
        (["lr=-1"], "lr=-1: must be greater than 0"),
    ],
)
def test_mistakes(arguments: list[str], message: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"rnnlab.show: {message}")
    assert list(here.iterdir()) == []
