"""The command `python -m rnnlab.gradcheck`."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rnnlab.cells import LSTM, CellDeltas
from rnnlab.gradcheck.__main__ import main
from tests.surroundings import environment

pytestmark = pytest.mark.usefixtures("kept_compositions")
SMALL = ["hidden_size=5", "batch_size=2", "seq_len=4"]


def test_prints_a_table_and_exits_with_0(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rnnlab.gradcheck", "cell=lstm", "clip=null", *SMALL]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    for name in (
        "W_xh",
        "W_hh",
        "b_h",
        "W_hy",
        "b_y",
        "h[0]",
        "c[0]",
        "x[1]",
        "h[1]",
        "h[2]",
        "c[3]",
        "one step c",
        "total c[3]",
        "immediate h[3]",
        "z[3]",
        "(W_hh h)[3]",
        "one step total c",
        "one step z",
    ):
        assert done.stdout.count(f"\n{name} ") == 2
    assert "seq_len=4, next batch, state carried" in done.stdout
    assert "all gradients are correct; largest relative error" in done.stdout
    assert list(tmp_path.iterdir()) == []


def scope(output: str) -> str:
    (line,) = (line for line in output.splitlines() if line.startswith("Checked "))
    return line


@pytest.mark.parametrize("asked", [[], ["cell=all"], ["-m"]])
def test_without_a_cell_every_one_is_checked(asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*asked, "task.carry=false", *SMALL]) == 0
    output = capsys.readouterr().out
    assert [line.split()[0] for line in output.splitlines() if line.endswith("correct")] == [
        "gru",
        "lstm",
        "rnn",
    ]
    assert scope(output).startswith(
        "Checked cell=gru,lstm,rnn task=char_lm init=torch initial_state=zero loss=null"
    )
    assert re.search(r"seq_len=4 hidden_size=5 batch_size=2 seed=0: \d+ gradients$", scope(output))


@pytest.mark.parametrize("asked", [["cell=rnn"], ["cell.nonlinearity=relu"], ["experiment=source_shah"]])
def test_only_requested_parts_are_checked_and_named(
    asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*asked, *SMALL]) == 0
    assert scope(capsys.readouterr().out).startswith("Checked cell=rnn task=")


def test_all_cells_by_each_value_of_a_sweep(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-m", "loss_reduction=sum,mean", "cell=all", "task.carry=false", *SMALL]) == 0
    output = capsys.readouterr().out
    assert output.count("  correct") == 6 and "loss_reduction=sum,mean" in scope(output)


def test_all_cells_include_user_defined_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cell").mkdir()
    (tmp_path / "cell" / "mine.yaml").write_text("_target_: rnnlab.cells.GRU\nbias: false\n")
    assert main(["--config-dir", str(tmp_path), "task.carry=false", *SMALL]) == 0
    assert scope(capsys.readouterr().out).startswith("Checked cell=gru,lstm,mine,rnn ")


def test_one_wrong_cell_of_all_is_not_right(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = LSTM._backward

    def wrong(self: LSTM, *arguments: object) -> CellDeltas:
        deltas = right(self, *arguments)  # type: ignore[arg-type]
        deltas.grads["W_hh"] = 2 * deltas.grads["W_hh"]
        return deltas

    monkeypatch.setattr(LSTM, "_backward", wrong)
    assert main(["task.carry=false", *SMALL]) == 1
    assert "gradients are incorrect or undecided in 1 of 3 cases" in capsys.readouterr().out


def test_checks_each_value_of_a_sweep(capsys: pytest.CaptureFixture[str]) -> None:
    sweep = ["-m", "cell=rnn,lstm,gru", "initial_state=zero,normal,learned", "loss=null,squared_error"]
    assert main([*sweep, "task.carry=false", "task.targets=last", *SMALL]) == 0
    output = capsys.readouterr().out
    assert output.count("  correct") == 18
    assert "WRONG" not in output


def test_a_wrong_gradient_is_named_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = LSTM._backward

    def missing_bias(self: LSTM, *arguments: object) -> CellDeltas:
        deltas = right(self, *arguments)  # type: ignore[arg-type]
        deltas.grads["b_h"] = np.zeros_like(deltas.grads["b_h"])
        return deltas

    monkeypatch.setattr(LSTM, "_backward", missing_bias)
    assert main([*SMALL, "-m", "cell=rnn,lstm", "task.carry=false"]) == 1  # -m may appear anywhere
    output = capsys.readouterr().out
    summary, row = (line for line in output.splitlines() if line.rstrip().endswith("WRONG"))
    assert summary.startswith("lstm") and " b_h " in summary
    assert row.startswith("b_h ")
    assert output.count("\nW_hh ") == 1  # the correct network is not shown in full
    assert "gradients are incorrect or undecided in 1 of 2 cases; largest relative error 1.0e+00" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lr=-1"], "rnnlab.gradcheck: lr=-1: must be greater than 0\n"),
        (
            ["cell=all", "cell.forget_bias=2"],
            "rnnlab.gradcheck: cell.forget_bias=2: unknown key of cell=gru; cell=lstm has the key cell.forget_bias\n"
            "rnnlab.gradcheck: cell.forget_bias=2: unknown key of cell=rnn; cell=lstm has the key cell.forget_bias\n",
        ),
        (["lr=-1", "cell=lstm"], "rnnlab.gradcheck: lr=-1: must be greater than 0\n"),
        (
            ["cell=lstn"],
            "rnnlab.gradcheck: cell=lstn: unknown option; did you mean lstm? allowed: gru, lstm, rnn\n",
        ),
        (
            ["-m", "cell=rnn,lstm", "seq_len=0"],
            "rnnlab.gradcheck: seq_len=0: must be greater than or equal to 1\n",
        ),
    ],
)
def test_a_mistake_is_reported_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err == message
