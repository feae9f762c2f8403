"""`python -m rnnlab.gradcheck`, as it is typed."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rnnlab.cells import LSTM, CellDeltas
from rnnlab.gradcheck.__main__ import main
from tests.commands import environment

SMALL = ["hidden_size=5", "batch_size=2", "seq_len=4"]


def test_prints_a_table_and_ends_well(tmp_path: Path) -> None:
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
    ):
        assert done.stdout.count(f"\n{name} ") == 2
    assert "seq_len=4, next batch, state carried" in done.stdout
    assert "all gradients are right; largest relative error" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_checks_each_value_of_a_sweep(capsys: pytest.CaptureFixture[str]) -> None:
    sweep = ["-m", "cell=rnn,lstm,gru", "initial_state=zero,normal,learned", "loss=null,squared_error"]
    assert main([*sweep, "task.carry=false", "task.targets=last", *SMALL]) == 0
    told = capsys.readouterr().out
    assert told.count("  right") == 18
    assert "WRONG" not in told


def test_a_wrong_gradient_is_named_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = LSTM._backward

    def missing_bias(self: LSTM, *arguments: object) -> CellDeltas:
        deltas = right(self, *arguments)  # type: ignore[arg-type]
        deltas.grads["b_h"] = np.zeros_like(deltas.grads["b_h"])
        return deltas

    monkeypatch.setattr(LSTM, "_backward", missing_bias)
    assert main([*SMALL, "-m", "cell=rnn,lstm", "task.carry=false"]) == 1  # -m may stand anywhere
    told = capsys.readouterr().out
    summary, row = (line for line in told.splitlines() if line.rstrip().endswith("WRONG"))
    assert summary.startswith("lstm") and " b_h " in summary
    assert row.startswith("b_h ")
    assert told.count("W_hh") == 1  # the right one is not shown in full
    assert "not right in 1 of 2 tables; largest relative error 1.0e+00" in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["lr=-1", "cell=lstm"], "rnnlab.gradcheck: lr=-1: must be greater than 0\n"),
        (
            ["cell=lstn"],
            "rnnlab.gradcheck: cell=lstn: no such option; did you mean lstm? allowed: gru, lstm, rnn\n",
        ),
        (
            ["-m", "cell=rnn,lstm", "seq_len=0"],
            "rnnlab.gradcheck: seq_len=0: must be greater than or equal to 1\n",
        ),
    ],
)
def test_a_mistake_is_told_in_a_line(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err == told
