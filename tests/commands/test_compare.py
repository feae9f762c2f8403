"""Tests of `python -m rnnlab.compare`: all differences between two runs, and nothing else."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from rnnlab.commands.compare import main
from tests.processes import Done, run_info
from tests.tracked import tracked_runs


def compared(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, list[str]]:
    """Return the printed words of each line, keyed by the first word."""
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.strip()}


def test_two_cells_differ_only_in_their_own_keys(sweep: Done, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = sweep.runs["rnn"], sweep.runs["lstm"]
    table = compared(capsys, str(one), str(other))
    assert table["cell._target_"] == ["rnnlab.cells.Vanilla", "rnnlab.cells.LSTM"]
    assert table["cell.nonlinearity"] == ["tanh", "–"] and table["cell.forget_bias"] == ["–", "0"]
    first, second = (run_info(folder)["summary"]["val/loss"] for folder in (one, other))
    assert table["val/loss"] == [f"{first:.5g}", f"{second:.5g}", f"{second - first:+.3g}"]
    assert {"seq_len", "lr", "outcome", "git_commit", "seconds"}.isdisjoint(table)


def test_one_line_explains_the_metrics_that_differ(sweep: Done, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(sweep.runs["rnn"]), str(sweep.runs["lstm"])]) == 0
    *_, empty, line = capsys.readouterr().out.splitlines()
    assert empty == "" and "grad/gain: factor of the gradient norm per time step back" in line
    assert "val/bpc: validation loss in bits per character" in line and "solved" not in line


def test_the_steps_before_divergence_are_counted(
    sweep: Done, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(sweep.runs["rnn"], tmp_path / "other")
    info = run_info(other)
    before = [{"step": step, "train/loss": 481510803.375 * step, "grad/norm": 1.0} for step in range(3)]
    diverged = {"step": 3, "quantity": "h", "timestep": 4, "before": before}
    info["summary"]["diverged_at"] = diverged
    (other / "run.json").write_text(json.dumps(info))
    table = compared(capsys, str(sweep.runs["rnn"]), str(other))
    assert table["diverged_at.before"] == ["–", "3", "entries"]


def test_each_change_and_no_other_is_reported(
    sweep: Done, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = sweep.runs["rnn"]
    other = shutil.copytree(one, tmp_path / "other")
    assert main([str(one), str(other)]) == 0
    assert capsys.readouterr().out == "No differences in configuration, outcome, summary, code or machine.\n"
    info = run_info(other)
    info |= {"outcome": "failed", "name": "another", "started": 0.0}
    info["summary"] |= {"error": "no space left", "seconds": 1.0}
    info["tags"]["git_commit"] = "f" * 40
    info["machine"]["packages"]["numpy"] = "3.0"
    (other / "run.json").write_text(json.dumps(info))
    config = yaml.safe_load((other / "config.yaml").read_text())
    config["optimizer"]["betas"] = [0.5, 0.6]
    (other / "config.yaml").write_text(yaml.safe_dump(config))
    table = compared(capsys, str(one), str(other))
    assert table["outcome"] == ["finished", "failed"] and table["why"] == ["–", "no", "space", "left"]
    assert table["packages.numpy"][1] == "3.0" and table["optimizer.betas"][-2:] == ["[0.5,", "0.6]"]
    assert "git_commit" in table
    (other / "code.diff").write_text("another")
    assert compared(capsys, str(one), str(other))["code.diff"][-2:] == ["sha256", "ae448ac86c4e"]
    sections = {"config", "summary", "code"} & set(table)
    assert sections == {"config", "code"} and len(table) == 1 + 2 + 3 + 5 - 2, table


def test_a_run_is_named_by_its_id_in_mlflow_too(sweep: Done, capsys: pytest.CaptureFixture[str]) -> None:
    tracked = tracked_runs(sweep.uri)
    table = compared(capsys, tracked["rnn"].run_id, str(sweep.runs["lstm"]), "--uri", sweep.uri)
    assert table["cell._target_"] == ["rnnlab.cells.Vanilla", "rnnlab.cells.LSTM"]
    assert {"folder", "host"}.isdisjoint(table)


def test_incomparable_runs_are_reported_in_one_line(
    sweep: Done, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = str(sweep.runs["rnn"])
    (tmp_path / "run.json").write_text("{")
    for given, message in (
        ("nowhere", f"nowhere: neither a run folder nor a run in {sweep.uri} ("),
        (f"{tmp_path}/gone", f"{tmp_path}/gone: not a run folder"),
        (str(tmp_path), f"{tmp_path}: damaged: run.json: "),
    ):
        assert main([good, given, "--uri", sweep.uri]) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.startswith(f"rnnlab.compare: {message}") and err.count("\n") == 1


def test_values_are_not_markup(sweep: Done, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = shutil.copytree(sweep.runs["rnn"], tmp_path / "other")
    config = yaml.safe_load((other / "config.yaml").read_text())
    config["task"]["path"] = "[/b]x[bold]"
    (other / "config.yaml").write_text(yaml.safe_dump(config))
    table = compared(capsys, str(sweep.runs["rnn"]), str(other))
    assert table["task.path"] == ["–", "[/b]x[bold]"]
    (other / "config.yaml").unlink()
    assert main([str(sweep.runs["rnn"]), str(other)]) == 2
    assert capsys.readouterr().err == f"rnnlab.compare: {other}: config.yaml cannot be read\n"
