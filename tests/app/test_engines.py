"""The engine of a run: which one runs, and which one continues."""

import sys
from collections.abc import Hashable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnlab.app.check import check
from rnnlab.app.config.build import build
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


@pytest.mark.parametrize(
    ("what", "name"),
    [("Adam", "Adam-*"), ("clipping", "clipping-by-norm-*"), ("the sums over time", "reductions-*")],
)
def test_it_is_said_what_is_compiled_besides_the_loops(
    what: str, name: str, whole: WorkOrder, cache: Path
) -> None:
    compiled = list(cache.glob(f"{name}/__pycache__/*.nbc"))
    assert compiled
    for path in compiled:
        path.unlink()
    for function in (loops._reductions, loops._update, loops._clipping):
        function.cache_clear()  # as in another process
    said: list[str] = []
    for _ in range(2):  # the second time, everything is in the cache
        compile_loops([whole], said.append)
    assert said == [f"compiling {what} for float32, once per machine and version, which takes a few seconds"]


class Requests:
    """Loops that have no functions, and record for which of them they are asked."""

    def __init__(self) -> None:
        self.found: set[Hashable] = set()
        self.missing: list[str] = []

    def lookup(self) -> "Requests":
        return Requests()

    def forward(self, cell: Any, symbols: bool, dtype: np.dtype[Any]) -> None:
        self.found.add(("forward", replace(cell, input_size=1, hidden_size=1), symbols, dtype))

    def backward(self, cell: Any, dtype: np.dtype[Any]) -> None:
        self.found.add(("backward", replace(cell, input_size=1, hidden_size=1), dtype))

    def reductions(self, dtype: np.dtype[Any]) -> None:
        self.found.add(("reductions", dtype))

    def update(self, rule: Any, numbers: Hashable, parameters: int, dtype: np.dtype[Any]) -> None:
        self.found.add(("update", type(rule), rule.moments, parameters, dtype))

    def clipping(self, *arguments: Hashable) -> None:
        self.found.add(("clipping", *arguments))


DEFAULTS = ("engine=compiled", "hidden_size=3", "seq_len=12", "batch_size=2", "tracking=none", "probe=light")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("cell=rnn", "cell=gru"),
        ("cell=rnn cell.nonlinearity=tanh", "cell=rnn cell.nonlinearity=relu"),
        ("dtype=float32", "dtype=float64"),
        ("task=char_lm", "task=adding"),
        ("layers=1", "layers=2"),
        ("optimizer=sgd", "optimizer=adam"),
        ("initial_state=zero", "initial_state=learned"),
        ("readout_bias=true", "readout_bias=false"),
        ("clip_mode=norm", "clip_mode=value"),
        ("clip=null clip_mode=value", "clip=1 clip_mode=value"),
    ],
)
def test_all_functions_of_a_sweep_are_compiled(
    first: str, second: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs that differ in a key on which the functions depend ask for the functions of both."""
    one, two = (composed(tmp_path, *DEFAULTS, *overrides.split()) for overrides in (first, second))

    def asked(*orders: WorkOrder) -> set[Hashable]:
        requests = Requests()
        monkeypatch.setattr("rnnlab.app.jobs.compile_loops.loops_of", lambda engine: requests)
        compile_loops(orders, never)
        return requests.found

    assert asked(two) - asked(one), "the functions depend on the key"
    assert asked(one, two) == asked(one) | asked(two)


def test_runs_with_the_same_functions_are_composed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = ("lr=0.1", "seed=3", "hidden_size=5", "batch_size=4", "steps=7", "clip=0.5")
    orders = [composed(tmp_path, *DEFAULTS, override) for override in ("lr=0.2", *others)]
    built: list[object] = []
    monkeypatch.setattr("rnnlab.app.jobs.compile_loops.loops_of", lambda engine: Requests())
    monkeypatch.setattr(
        "rnnlab.app.jobs.compile_loops.build", lambda config: built.append(config) or build(config)
    )
    compile_loops(orders, never)
    assert built == [orders[0].config]


def composed(folder: Path, *overrides: str) -> WorkOrder:
    plan = compose_plan(conf_dir(), [*overrides, f"hydra.run.dir={folder}/run"], multirun=False)
    return check(plan).orders[0]


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
