"""Tests of the terminal output during runs."""

import io
import json
import re
from math import log
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from rich.console import Console
from rich.progress import Progress, Task

from rnnlab.app.config.plan import Job, Plan
from rnnlab.app.config.settings import Tracking
from rnnlab.app.display import Display
from rnnlab.app.progress import Elapsed, Remaining
from rnnlab.runs.folder import write_run_info


def job_in(folder: Path) -> Job:
    folder.mkdir()
    return Job(0, folder.name, folder, {"steps": 10}, [], {}, {"cell": "rnn"})


def write(folder: Path, step: int, **metrics: Any) -> None:
    row = {"step": step, "time/steps_per_second": 123.4} | metrics
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")


@pytest.fixture
def screen() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def display(screen: io.StringIO) -> Display:
    return Display(Console(file=screen, force_terminal=True, width=150, color_system=None))


BITS = {"loss_unit": {"name": "bits per character", "factor": 1 / log(2)}}


def test_progress_bar_of_one_run_counts_training_steps_and_shows_the_unit_of_the_loss(
    tmp_path: Path, display: Display, screen: io.StringIO
) -> None:
    job = job_in(tmp_path / "rnn")
    with display.show_progress([job]):
        display.refresh()
        write_run_info(job.folder, {"outcome": None} | BITS)
        write(job.folder, 3, **{"train/loss": 2.5, "grad/norm": 0.125})
        display.refresh()
    assert "0 of 10 training steps" in screen.getvalue() and "starting" in screen.getvalue()
    assert "4 of 10 training steps" in screen.getvalue()
    line = "training loss 3.607 (bits per character), gradient norm 0.12, 123 steps/s"
    assert line in screen.getvalue()


def test_the_loss_of_an_older_folder_has_no_unit(
    tmp_path: Path, display: Display, screen: io.StringIO
) -> None:
    job = job_in(tmp_path / "rnn")
    with display.show_progress([job]):
        write_run_info(job.folder, {"outcome": None})
        write(job.folder, 3, **{"train/loss": 2.5, "grad/norm": 0.125})
        display.refresh()
    assert "training loss 2.500, gradient norm 0.12" in screen.getvalue()


def test_progress_bar_of_a_sweep_counts_training_steps_and_finished_runs(
    tmp_path: Path, display: Display, screen: io.StringIO
) -> None:
    jobs = [job_in(tmp_path / name) for name in ("rnn", "lstm")]
    with display.show_progress(jobs):
        write_run_info(jobs[0].folder, {"outcome": "diverged"})
        write_run_info(jobs[1].folder, {"outcome": None})
        display.refresh()
    assert "10 of 20 training steps" in screen.getvalue() and "1 of 2 runs ended" in screen.getvalue()


def test_the_time_of_a_progress_bar_is_labelled_remaining_or_elapsed() -> None:
    progress = Progress(disable=True)
    progress.add_task("", total=4, start=False)
    (task,) = progress.tasks
    assert Remaining().render(task).plain == ""  # no estimate before the first step
    with mock.patch.object(Task, "time_remaining", 75.4):
        assert Remaining().render(task).plain == "0:01:15 left"
    with mock.patch.object(Task, "elapsed", 31.9):
        assert Elapsed().render(task).plain == "0:00:31 elapsed"


def test_non_finite_numbers_do_not_stop_the_bar(
    tmp_path: Path, display: Display, screen: io.StringIO
) -> None:
    job = job_in(tmp_path / "rnn")
    with display.show_progress([job]):
        write_run_info(job.folder, {"outcome": None})
        write(job.folder, 0, **{"train/loss": 2.5, "grad/norm": None})
        write(job.folder, 1, **{"train/loss": None, "grad/norm": None})
        display.refresh()
    assert "2 of 10 training steps" in screen.getvalue()
    assert "training loss 2.500, gradient norm –" in screen.getvalue()


def test_an_exploding_loss_has_few_digits(tmp_path: Path, display: Display, screen: io.StringIO) -> None:
    job = job_in(tmp_path / "rnn")
    with display.show_progress([job]):
        write_run_info(job.folder, {"outcome": None})
        write(job.folder, 0, **{"train/loss": 1.2345e38, "grad/norm": 5e30})
        display.refresh()
    assert "training loss 1.23e+38, gradient norm 5e+30" in screen.getvalue()


def test_no_progress_bar_without_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    display, job = Display(), job_in(tmp_path / "rnn")
    with display.show_progress([job]), display.show_sending(1) as show, display.show_status("Writing"):
        display.refresh()
        show(1, 0.0)
    assert capsys.readouterr().out == ""


def test_sending_counts_the_runs_sent_and_the_elapsed_time(display: Display, screen: io.StringIO) -> None:
    with display.show_sending(12) as show:
        show(9, 2.0)
    assert "Sending to MLflow" in screen.getvalue() and "3 of 12 runs sent" in screen.getvalue()
    assert "0:00:00 elapsed" in screen.getvalue() and "Ctrl-C stops sending" in screen.getvalue()


def test_without_a_terminal_sending_prints_lines_at_doubling_intervals(
    capsys: pytest.CaptureFixture[str],
) -> None:
    display = Display()
    with display.show_sending(200) as show:
        for seconds in range(130):
            show(200 - seconds, float(seconds))
    assert capsys.readouterr().out.splitlines() == [
        "Sending to MLflow: 31 of 200 runs sent, 31 s elapsed",
        "Sending to MLflow: 61 of 200 runs sent, 61 s elapsed",
        "Sending to MLflow: 121 of 200 runs sent, 121 s elapsed",
    ]


def test_the_table_has_gains_of_0_and_shares_of_zeros(
    tmp_path: Path, display: Display, screen: io.StringIO
) -> None:
    job = job_in(tmp_path / "rnn")
    plan = Plan(tmp_path, [job, job], True, str(tmp_path), "sweep")
    lost = {"grad/gain": 0.0, "grad/horizon": 0.0, "grad/zero_fraction": 1.0}
    half = {"grad/gain": 0.5, "grad/horizon": 31.0, "grad/zero_fraction": 0.69, "grad/zero_at_horizon": 0.5}
    infos = [{"outcome": "finished", "summary": summary} for summary in (lost, half)]
    display.show_results(plan, infos, Tracking("none", None, "rnnlab", 1000), None)
    output = screen.getvalue()
    assert "0.500 (69% zero)" in output and "31 (50% zero)" in output and "zero: fraction of probe" in output
    first = next(line.split() for line in output.splitlines() if "finished" in line)
    assert first[3:5] == ["0", "0"]


def table_of(
    width: int, infos: list[dict[str, Any]], tmp_path: Path, terminal: bool = True, **axes: list[str]
) -> list[str]:
    """Return the printed lines of the results of some runs."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=width, color_system=None)
    values = [dict(zip(axes, row, strict=True)) for row in zip(*axes.values(), strict=True)] or [{}]
    folder = tmp_path / "run"
    jobs = [Job(n, "", folder, {}, [], value, {"cell": "rnn"}) for n, value in enumerate(values)]
    plan = Plan(tmp_path, jobs, True, str(tmp_path), "sweep")
    Display(console).show_results(plan, infos, Tracking("none", None, "rnnlab", 1000), None)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    return [line.rstrip() for line in plain.partition("\nFiles: ")[0].splitlines()]


def info_of(outcome: str = "finished", **summary: Any) -> dict[str, Any]:
    goal = {"metric": "val/mse", "baseline": 0.167, "criterion": "val/error_rate"}
    return {"outcome": outcome, "goal": goal, "summary": {"grad/clip_rate": 0.0} | summary}


MSE = {"val/mse": 0.17, "grad/gain": 0.5, "grad/horizon": 7.0, "seconds": 3.0}
LONG_AXES = {
    "init.W_hh.gain": ["1", "5"],
    "optimizer.momentum": ["0.5", "0.9"],
    "hidden_size": ["16", "32"],
    "cell": ["rnn", "rnn"],
}


def test_one_line_explains_the_columns_that_appear(tmp_path: Path) -> None:
    lines = table_of(500, [info_of(**MSE)], tmp_path)
    (line,) = [line for line in lines if "gain: " in line]
    assert line == (
        "val/mse: mean squared error on the validation set; baseline: the same without memory; gain: factor of the "
        "gradient norm per time step back (1 preserves it); horizon: time steps back until 1 % of the gradient is "
        "left; clip rate: training steps with a clipped gradient; solved at: first training step that met the "
        "success criterion"
    )
    without_criterion = info_of(**MSE, **{"grad/censored": 1.0}) | {
        "goal": {"metric": "val/loss", "baseline": 0.7},
        "loss_unit": {"name": "nats per target", "factor": 1.0},
    }
    (line,) = [line for line in table_of(500, [without_criterion], tmp_path) if "gain: " in line]
    assert line.startswith("val/loss: validation loss in nats per target; ")
    assert "; ≥: at least, because" in line and "solved at" not in line


@pytest.mark.parametrize("width", [80, 120])
def test_the_results_fit_the_terminal(width: int, tmp_path: Path) -> None:
    at = {"step": 25, "timestep": 20, "quantity": "loss"}
    other = {"val/mse": 1.555, "grad/gain": 0.1, "diverged_at": at}
    lines = table_of(width, [info_of(**MSE), info_of("diverged", **MSE | other)], tmp_path, **LONG_AXES)
    assert all(len(line) <= width for line in lines), lines
    text = " ".join(" ".join(lines).split())
    assert "All runs: cell rnn, baseline 0.167, horizon 7, clip rate 0.0%, solved at –, seconds 3.0" in text
    assert all(number in text for number in ("0.9", "1.555", "0.100"))
    whole = "diverged at step 25, time step 20: loss"
    assert whole in text and any(whole in line for line in lines) == (width == 120)


def test_an_outcome_is_not_wrapped_if_the_table_is_too_wide_anyway(tmp_path: Path) -> None:
    at = {"step": 25, "timestep": 20, "quantity": "loss"}
    infos = [info_of(**MSE), info_of("diverged", **MSE | {"grad/gain": 0.1, "diverged_at": at})]
    lines = table_of(40, infos, tmp_path, **LONG_AXES)
    assert any("diverged at step 25, time step 20: loss" in line for line in lines)


def test_a_single_run_that_does_not_fit_the_terminal_is_listed(tmp_path: Path) -> None:
    lines = table_of(60, [info_of(**MSE)], tmp_path)
    assert lines[:3] == ["cell       rnn", "val/mse    0.170", "baseline   0.167"]
    assert all(len(line) <= 60 for line in lines)


def test_without_a_terminal_no_line_is_wrapped(tmp_path: Path) -> None:
    at = {"step": 25, "timestep": 20, "quantity": "loss"}
    infos = [info_of(**MSE), info_of("diverged", **MSE, diverged_at=at)]
    lines = table_of(80, infos, tmp_path, terminal=False, **LONG_AXES)
    assert "diverged at step 25, time step 20: loss" in lines[2] and lines[2].endswith("3.0")
    assert lines[3].startswith("val/mse: ") and lines[3].endswith("criterion")


def test_an_axis_value_of_an_optimizer_has_few_digits(tmp_path: Path) -> None:
    lines = table_of(
        200, [info_of(**MSE)] * 2, tmp_path, lr=["0.058206855079668086", "0.01"], seed=["123456789", "7"]
    )
    assert lines[1].split()[:2] == ["0.058207", "123456789"] and lines[2].split()[:2] == ["0.01", "7"]
