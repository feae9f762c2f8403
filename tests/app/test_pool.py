"""Tests of the pool of worker processes with small real runs."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rnnlab.app.check import check
from rnnlab.app.config.compose import compose_plan
from rnnlab.app.jobs.run_job import WorkOrder
from rnnlab.app.launchers import pool as launcher
from rnnlab.app.launchers.pool import LocalPool
from rnnlab.paths import conf_dir
from tests.processes import ENDLESS, PATIENCE, TINY, children, run_info, suspend, wait_until, worker_of
from tests.surroundings import environment
from tests.thorough import thorough

SMALL = (*TINY[1:], "probe=none", "figures=false", "tracking=none", "val_every=null")


def orders_of(*steps: str) -> list[WorkOrder]:
    """Return one work order per number of steps."""
    plans = [compose_plan(conf_dir(), [given, *SMALL], multirun=False) for given in steps]
    orders = [check(plan).orders[0] for plan in plans]
    for number, order in enumerate(orders):
        object.__setattr__(order, "folder", order.folder.with_name(str(number)))
    return orders


def outcome(order: WorkOrder) -> str | None:
    """Return the outcome of a run from its folder."""
    result: str | None = run_info(order.folder)["outcome"]
    return result


def worker_at(order: WorkOrder, pool: LocalPool, rows: int = 2) -> int:
    """Return the process of a run after some recorded steps, or None."""

    def found() -> int | None:
        assert pool.ended(0) == []
        path = order.folder / "metrics.jsonl"
        has_begun = path.is_file() and path.read_bytes().count(b"\n") >= rows
        return worker_of(os.getpid(), order.folder) if has_begun else None

    return int(wait_until(found, "the run records"))


def rest(pool: LocalPool) -> dict[str, str | None]:
    """Return the errors of all runs by folder name after all have ended."""
    errors: dict[str, str | None] = {}

    def ended() -> bool:
        errors.update({order.folder.name: error for order, error in pool.ended(0.1)})
        return not pool.busy

    wait_until(ended, "all runs have ended")
    return errors


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (signal.SIGKILL, "worker process died (SIGKILL; the system kills processes when memory runs out)"),
        thorough(signal.SIGSEGV, "worker process died (SIGSEGV)"),
    ],
)
def test_a_dead_worker_affects_only_its_job_and_is_replaced(
    here: Path, number: signal.Signals, message: str
) -> None:
    lost, *others = orders = orders_of(ENDLESS, "steps=3", "steps=4")
    pool = LocalPool(orders, workers=1)
    try:
        os.kill(worker_at(lost, pool), number)
        assert rest(pool) == {"0": message, "1": None, "2": None}
    finally:
        pool.close()
    assert outcome(lost) is None
    assert [outcome(order) for order in others] == ["finished", "finished"]


def test_other_workers_continue_when_one_dies(here: Path) -> None:
    lost, beside = orders = orders_of(ENDLESS, ENDLESS)
    pool = LocalPool(orders, workers=2)
    try:
        dies, lives = worker_at(lost, pool), worker_at(beside, pool)
        os.kill(dies, signal.SIGKILL)
        ((order, error),) = wait_until(lambda: pool.ended(0.1), "the death is noticed")
        assert order is lost and error is not None
        assert (
            worker_at(beside, pool, rows=(beside.folder / "metrics.jsonl").read_bytes().count(b"\n") + 2)
            == lives
        )
        assert pool.busy
    finally:
        pool.close()


def test_workers_are_reused_and_their_number_is_limited(here: Path) -> None:
    before = set(children(os.getpid()))
    orders = orders_of("steps=2", "steps=3", "steps=4", "steps=5")
    pool, seen = LocalPool(orders, workers=2), set()
    try:
        while pool.busy:
            assert all(error is None for _, error in pool.ended(0.05))
            seen |= set(children(os.getpid())) - before
    finally:
        pool.close()
    workers = {pid for pid in seen if pid not in children(os.getpid())}  # Python's resource tracker remains
    assert len(workers) <= 2
    assert [outcome(order) for order in orders] == ["finished"] * 4


def test_a_failed_job_is_reported_and_its_worker_continues(here: Path) -> None:
    refused, other = orders = orders_of("steps=2", "steps=2")
    refused.folder.mkdir(parents=True)
    pool = LocalPool(orders, workers=1)
    try:
        errors = rest(pool)
    finally:
        pool.close()
    assert str(errors["0"]).startswith("FileExistsError: ") and errors["1"] is None
    assert outcome(other) == "finished" and not list(refused.folder.iterdir())


def test_stop_ends_running_jobs_as_killed_and_starts_no_more(here: Path) -> None:
    running, waiting = orders = orders_of(ENDLESS, "steps=2")
    pool = LocalPool(orders, workers=1)
    try:
        worker_at(running, pool)
        pool.stop()
        assert rest(pool) == {"0": None}
    finally:
        pool.close()
    assert outcome(running) == "killed" and (running.folder / "checkpoint.safetensors").is_file()
    assert not waiting.folder.exists()


def test_stop_finally_kills_unresponsive_processes(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "STOP_SECONDS", PATIENCE)  # until the other worker has ended
    deaf, listening = orders = orders_of(ENDLESS, ENDLESS)
    pool = LocalPool(orders, workers=2)
    errors: dict[Path, str | None] = {}
    try:
        pid, _ = worker_at(deaf, pool), worker_at(listening, pool)
        suspend(pid)

        def ended() -> bool:
            pool.stop()
            errors.update({order.folder: error for order, error in pool.ended(0.05)})
            if listening.folder in errors:
                monkeypatch.setattr(launcher, "STOP_SECONDS", 0)
            return not pool.busy

        wait_until(ended, "all runs have ended")
    finally:
        pool.close()
    assert errors[listening.folder] is None and outcome(listening) == "killed"
    assert str(errors[deaf.folder]).startswith("worker process died (SIGKILL")
    assert outcome(deaf) is None and not Path(f"/proc/{pid}").exists()


def test_close_leaves_no_process(here: Path) -> None:
    orders = orders_of(ENDLESS, ENDLESS, "steps=2")
    pool = LocalPool(orders, workers=2)
    workers = [worker_at(order, pool) for order in orders[:2]]
    assert len(set(workers)) == 2
    pool.close()
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


FORKING = """
import threading
from types import SimpleNamespace
from rnnlab.imports import own_process, start_no_threads
start_no_threads()
from rnnlab.app.launchers import forking
answers = [forking.can_fork()]
own_process()
forking.import_for_workers([SimpleNamespace(config={"figures": True})])
answers.append(forking.can_fork())
ended = threading.Event()
threading.Thread(target=ended.wait).start()
answers.append(forking.can_fork())
ended.set()
print(*answers)
"""


def test_a_command_forks_its_workers_only_while_it_has_one_thread() -> None:
    """The imports start no threads, even if the environment allows them."""
    settings = environment(OPENBLAS_NUM_THREADS="2", OMP_NUM_THREADS="2")
    command = [sys.executable, "-c", FORKING]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "False"]
