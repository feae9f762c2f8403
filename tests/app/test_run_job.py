"""Tests of a failing run in this process and of the files that it leaves."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rnnlab.app.check import check
from rnnlab.app.config.compose import compose_plan
from rnnlab.app.jobs import run_job as worker
from rnnlab.app.jobs.run_job import WorkOrder, execute
from rnnlab.paths import conf_dir
from rnnlab.runs.checkpoint import CHECKPOINT_FILE
from tests.app import test_restoring as restoring
from tests.processes import TINY, metric_rows, run_info


def order_of(*overrides: str) -> WorkOrder:
    plan = compose_plan(conf_dir(), [*TINY, "tracking=none", *overrides], multirun=False)
    return check(plan).orders[0]


def never() -> bool:
    """Never stop the run."""
    return False


def test_a_run_whose_text_was_deleted_fails(here: Path) -> None:
    text = here / "text.txt"
    text.write_text("to be or not to be " * 50)
    order = order_of(f"task.path={text}")
    text.unlink()
    assert execute(order, never) == "failed"
    info = run_info(order.folder)
    assert info["outcome"] == "failed"
    message = f"InvalidConfig: task.path={text}: cannot be read (No such file or directory)"
    assert info["summary"]["error"] == message
    assert (order.folder / "error.txt").read_text().rstrip().endswith(message)


def test_a_failing_run_keeps_its_recordings(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order, update = order_of(), worker.RunMonitor.update

    def break_at_step_3(monitor: worker.RunMonitor, record: Any) -> None:
        update(monitor, record)
        if record.step == 3:
            raise MemoryError("no room")

    monkeypatch.setattr(worker.RunMonitor, "update", break_at_step_3)
    assert execute(order, never) == "failed"
    assert run_info(order.folder)["summary"]["error"] == "MemoryError: no room"
    assert [row["step"] for row in metric_rows(order.folder)] == [0, 1, 2, 3]
    assert (order.folder / "gradients.parquet").stat().st_size > 1000
    assert (order.folder / "figures" / "lag_curves.png").is_file()


def test_a_stopped_worker_starts_no_job(here: Path) -> None:
    order = order_of()
    assert execute(order, lambda: True) is None
    assert not order.folder.exists()


def stopped_in_validation(number: int) -> tuple[Callable[[], bool], list[int]]:
    """Return a function that stops a run after two batches of a validation, and the batches by validation."""
    batches: list[int] = []
    is_validating = False

    def stopping() -> bool:
        nonlocal is_validating
        was_validating, is_validating = is_validating, sys._getframe(1).f_code.co_name == "validate"
        if is_validating:
            batches.extend([] if was_validating else [0])
            batches[-1] += 1
        return is_validating and len(batches) == number and batches[-1] == 2

    return stopping, batches


@pytest.mark.parametrize(("number", "step", "probe"), [(1, 0, "none"), (3, 4, "standard")])
def test_a_validation_is_stopped_between_two_batches(
    number: int, step: int, probe: str, tmp_path: Path
) -> None:
    overrides = ("layers=2", "task.held_out=0.1", f"probe={probe}", "engine=numpy")
    order = restoring.order_of(tmp_path / "whole", *overrides)
    assert execute(order, never) == "finished"
    part = replace(order, folder=tmp_path / "part", resume=True)
    stopping, batches = stopped_in_validation(number)
    assert execute(part, stopping) == "killed"
    assert batches[-1] == 2 and len(batches) == number
    assert [row["step"] for row in metric_rows(part.folder)] == list(range(step))
    assert (part.folder / CHECKPOINT_FILE).is_file() == (step > 0)
    assert execute(part, never) == "finished"
    log = restoring.log_of(part.folder)
    assert "damaged" not in log and (f"resuming from the checkpoint at step {step}" in log) == (step > 0)
    assert restoring.contents(part.folder) == restoring.contents(order.folder)
