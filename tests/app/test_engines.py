"""The engine of a run: which one runs, and which one continues."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rnnlab.app.check import check
from rnnlab.app.config.compose import compose_plan
from rnnlab.app.config.messages import ConfigProblems
from rnnlab.app.jobs.compile_loops import compile_loops
from rnnlab.app.jobs.run_job import WorkOrder, execute
from rnnlab.cells import GRU
from rnnlab.paths import conf_dir
from rnnlab.runs.run_json import read_run_info
from rnnlab.training import choose_engine, obstacle
from tests.app.test_restoring import contents, log_of, never, order_of, stopped
from tests.cells.own import Normalised

pytest.importorskip("numba")
from rnnlab.engine.compiled import loops

COMPILED = ("engine=compiled", "cell=gru", "probe=standard", "probe.examples=2")


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("RNNLAB_CACHE", str(folder))
        for cached in (
            loops._loop,
            loops._reductions,
            loops._update,
            loops._clipping,
        ):  # loaded from another folder by earlier tests
            cached.cache_clear()
        yield folder


@pytest.fixture(scope="module")
def whole(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> WorkOrder:
    order = order_of(tmp_path_factory.mktemp("runs") / "whole", *COMPILED)
    said: list[str] = []
    for _ in range(2):  # the second time, the loops are in the cache
        compile_loops([order], said.append)
    assert said == ["compiling GRU for float32, once per machine and version, which takes a few seconds"]
    assert execute(order, never) == "finished"
    return order


def engine_of(folder: Path) -> object:
    info = read_run_info(folder)
    assert info is not None
    return info["engine"]


def resumed(order: WorkOrder, *overrides: str) -> WorkOrder:
    return replace(order_of(order.folder.parent / "never", *overrides), folder=order.folder, resume=True)


def test_a_stopped_run_resumes_with_its_engine(whole: WorkOrder, tmp_path: Path) -> None:
    order = order_of(tmp_path / "run", *COMPILED)
    assert execute(order, stopped(3)) == "killed" and engine_of(order.folder) == "compiled"
    auto = resumed(order, *COMPILED, "engine=auto")
    assert auto.info["identity"] == whole.info["identity"] == order.info["identity"]
    assert execute(auto, never) == "finished" and engine_of(order.folder) == "compiled"
    assert "resuming from the checkpoint at step 3" in log_of(order.folder)
    assert contents(order.folder) == contents(whole.folder)


def test_another_engine_starts_from_the_beginning(whole: WorkOrder, tmp_path: Path) -> None:
    order = order_of(tmp_path / "run", *COMPILED)
    assert execute(order, stopped(3)) == "killed"
    assert execute(resumed(order, *COMPILED, "engine=numpy"), never) == "finished"
    assert "checkpoint of engine=compiled; restarting with engine=numpy" in log_of(order.folder)
    plain = order_of(tmp_path / "plain", *COMPILED, "engine=numpy")
    assert (
        execute(plain, never) == "finished" and engine_of(order.folder) == engine_of(plain.folder) == "numpy"
    )
    assert contents(order.folder) == contents(plain.folder)
    assert contents(plain.folder)[0] != contents(whole.folder)[0], "the engines differ by rounding errors"


def test_auto_works_without_numba(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = order_of(tmp_path / "run", *COMPILED)
    assert execute(order, stopped(3)) == "killed"
    monkeypatch.setitem(sys.modules, "numba", None)
    assert execute(resumed(order, *COMPILED, "engine=auto"), never) == "finished"
    assert "cannot continue with the compiled engine: Numba cannot be imported" in log_of(order.folder)
    assert engine_of(order.folder) == "numpy"


def test_without_numba_auto_reports_it_and_compiled_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    checked = check(compose_plan(conf_dir(), ["engine=auto"], multirun=False))
    (remark,) = checked.remarks
    assert remark.startswith("engine=auto: running with NumPy, because Numba cannot be imported (")
    assert checked.orders[0].info["engine"] == "numpy"
    with pytest.raises(
        ConfigProblems, match=r"^engine=compiled: Numba cannot be imported .*pip install numba"
    ):
        check(compose_plan(conf_dir(), ["engine=compiled"], multirun=False))


def test_a_cell_of_single_steps_runs_with_numpy() -> None:
    slow = Normalised(3, 4, bias=True)
    assert (
        choose_engine("auto", slow) == "numpy"
        and choose_engine("auto", GRU(3, 4, bias=True, reset_after=True)) == "compiled"
    )
    assert obstacle(slow) == "Normalised gives single time steps, which are not compiled"
