"""Tests of the terminal output during runs."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from rnnlab.app.config.build import Tracking
from rnnlab.app.config.plan import Job, Plan
from rnnlab.app.display import Display
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


def test_one_run_shows_step_loss_gradient_norm_and_speed(
    tmp_path: Path, display: Display, screen: io.StringIO
) -> None:
    job = job_in(tmp_path / "rnn")
    with display.show_progress([job]):
        display.refresh()
        write_run_info(job.folder, {"outcome": None})
        write(job.folder, 3, **{"train/loss": 2.5, "grad/norm": 0.125})
        display.refresh()
    assert "starting" in screen.getvalue()
    assert "step 4/10  loss 2.500  gradient norm 0.12  123 steps/s" in screen.getvalue()


def test_a_sweep_shows_how_many_runs_have_ended(
    tmp_path: Path, display: Display, screen: io.StringIO
) -> None:
    jobs = [job_in(tmp_path / name) for name in ("rnn", "lstm")]
    with display.show_progress(jobs):
        write_run_info(jobs[0].folder, {"outcome": "diverged"})
        write_run_info(jobs[1].folder, {"outcome": None})
        display.refresh()
    assert "1 of 2 runs" in screen.getvalue()


def test_numbers_that_are_not_finite_do_not_stop_the_bar(
    tmp_path: Path, display: Display, screen: io.StringIO
) -> None:
    job = job_in(tmp_path / "rnn")
    with display.show_progress([job]):
        write_run_info(job.folder, {"outcome": None})
        write(job.folder, 0, **{"train/loss": 2.5, "grad/norm": None})
        write(job.folder, 1, **{"train/loss": None, "grad/norm": None})
        display.refresh()
    assert "step 2/10  loss 2.500  gradient norm nan" in screen.getvalue()


def test_sending_shows_how_many_runs_are_left_and_for_how_long(capsys: pytest.CaptureFixture[str]) -> None:
    """Test the messages without a terminal: the first after half a minute, then at doubling intervals."""
    display = Display()
    with display.show_sending() as show:
        for seconds in range(130):
            show(200 - seconds, float(seconds))
    assert capsys.readouterr().out.splitlines() == [
        "Sending to MLflow: 169 runs left after 31 s",
        "Sending to MLflow: 139 runs left after 61 s",
        "Sending to MLflow: 79 runs left after 121 s",
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
