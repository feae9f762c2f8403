"""Tests of a failing run in this process and of the files that it leaves."""

from pathlib import Path
from typing import Any

import pytest

from rnnlab.app.check import check
from rnnlab.app.config.compose import compose_plan
from rnnlab.app.jobs import run_job as worker
from rnnlab.app.jobs.run_job import WorkOrder, execute
from rnnlab.paths import conf_dir
from tests.processes import TINY, metric_rows, run_info


def order_of(*overrides: str) -> WorkOrder:
    plan = compose_plan(conf_dir(), [*TINY, "tracking=none", *overrides], multirun=False)
    return check(plan).orders[0]


def never() -> bool:
    """Never stop the run."""
    return False


def test_a_text_that_is_gone_by_now_fails_the_run(here: Path) -> None:
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


def test_a_run_that_breaks_on_its_way_keeps_what_it_has(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_worker_that_is_told_to_stop_starts_nothing(here: Path) -> None:
    order = order_of()
    assert execute(order, lambda: True) is None
    assert not order.folder.exists()
