"""The compiled engine agrees with NumPy's, and its cache never serves a result of other equations."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlab.arrays import copy_params
from rnnlab.cells import GRU, LSTM, TANH, Cell, GatedCell, Stack, Vanilla, layers_of
from rnnlab.diagnostics import first_non_finite
from rnnlab.diagnostics.norms import log_norm_of_steps
from rnnlab.engine.weights import add_by_symbol, gather_inputs
from rnnlab.initial_states import Zero
from rnnlab.initializers import Init, Initializer
from rnnlab.losses import losses_and_gradients
from rnnlab.model import Batch, Model
from rnnlab.readout import Readout
from rnnlab.workspace import Workspace, by_feature
from tests.cells.log_space import LogMinGRU
from tests.cells.own import Bottleneck, Coupled, Diagonal, Skipping
from tests.cells.peephole import Peephole
from tests.security.promises import keeps

pytest.importorskip("numba")

from rnnlab.engine.compiled import store
from rnnlab.engine.compiled.loops import CompiledLoops

CELLS: list[Any] = [
    lambda X, H, bias: Vanilla(X, H, "tanh", bias=bias),
    lambda X, H, bias: LSTM(X, H, "tanh", 0.0, bias=bias),
    lambda X, H, bias: GRU(X, H, bias=bias, reset_after=True),
]
if os.environ.get("RNNLAB_FUZZ"):
    CELLS += [
        lambda X, H, bias: Vanilla(X, H, "relu", bias=bias),
        lambda X, H, bias: LSTM(X, H, "sigmoid", 0.0, bias=bias),
        *(
            lambda X, H, bias, kind=kind: kind(X, H, bias=bias)
            for kind in (Peephole, Diagonal, Coupled, Bottleneck, Skipping, LogMinGRU)
        ),
    ]
"""Cells whose loops are compiled in the tests; `make fuzz` compiles all of them, which takes minutes."""
LOOPS = CompiledLoops()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("symbols", [3, 400])
def test_the_compiled_sum_by_symbol_equals_numpys(symbols: int, dtype: type) -> None:
    rng = np.random.default_rng(symbols)
    columns, x = rng.standard_normal((5, 900)).astype(dtype), rng.integers(symbols, size=900)
    found, right = np.ones((5, symbols), dtype), np.ones((5, symbols))
    np.add.at(right.T, x, columns.T.astype(np.float64))
    add_by_symbol(columns, x.astype(np.int32), found, Workspace(LOOPS))
    assert np.abs(found - right).max() <= (1e-5 if dtype is np.float32 else 1e-13) * np.abs(right).max()


@pytest.mark.parametrize("columns", [1, 25, 700])
def test_the_compiled_softmax_is_as_exact_as_numpys(columns: int) -> None:
    rng = np.random.default_rng(columns)
    logits = (30 * rng.standard_normal((9, columns))).astype(np.float32)
    targets = rng.integers(9, size=columns)
    logits[:, 0] = 200 * np.arange(9)  # exp(-1600) is 0
    wide = losses_and_gradients("cross_entropy", logits.astype(np.float64), targets, Workspace())
    narrow = losses_and_gradients("cross_entropy", logits, targets, Workspace())
    found = losses_and_gradients("cross_entropy", logits, targets, Workspace(LOOPS))
    for true, by_numpy, compiled in zip(wide, narrow, found, strict=True):
        scale = np.abs(true).max()
        allowed = max(2e-6 * scale, 2 * np.abs(by_numpy - true).max())
        assert compiled.dtype == np.float32 and np.abs(compiled - true).max() <= allowed


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_compiled_softmax_keeps_non_finite_logits(value: float) -> None:
    logits = np.zeros((3, 20), np.float32)
    logits[1, 7] = value
    targets = np.full(20, 1)
    with np.errstate(all="ignore"):
        losses, do = losses_and_gradients("cross_entropy", logits, targets, Workspace(LOOPS))
        by_numpy, do_by_numpy = losses_and_gradients("cross_entropy", logits, targets, Workspace())
    np.testing.assert_array_equal(np.isfinite(losses), np.isfinite(by_numpy))
    np.testing.assert_array_equal(np.isfinite(do), np.isfinite(do_by_numpy))
    assert not np.isfinite(losses[7]) and np.isfinite(np.delete(losses, 7)).all()


@pytest.mark.parametrize("batch", [1, 3, 20])
@pytest.mark.parametrize("scale", [1e-40, 1.0, 1e30])
def test_compiled_norms_agree_with_numpys(batch: int, scale: float) -> None:
    whole = (np.random.default_rng(0).standard_normal((7, 21, batch)) * scale).astype(np.float32)
    whole[3] = 0
    for a in (whole, whole[2:], whole[1:, 4:15], whole[:, :, :1], whole[::2]):
        right = log_norm_of_steps(a.astype(np.float64))
        np.testing.assert_allclose(log_norm_of_steps(a, Workspace(LOOPS)), right, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compiled_copies_and_markers_equal_numpys(dtype: type) -> None:
    rng, compiled = np.random.default_rng(0), Workspace(LOOPS)
    a = rng.standard_normal((6, 9, 5)).astype(dtype)
    for part in (a, a[1:, 2:7]):
        np.testing.assert_array_equal(by_feature(part, compiled, "x"), by_feature(part, Workspace(), "x"))
    e = np.where(rng.random(a.shape) < 0.05, a, 0)
    e[2, 8, 4], e[3] = np.nan, 0
    marks = np.zeros((6, 5), bool)
    compiled.reductions(np.dtype(dtype)).mark_losses(e, marks)
    np.testing.assert_array_equal(marks, (e != 0).any(axis=1))
    x, columns = rng.integers(4, size=(6, 5)), a[0, :, :4].copy()
    one, two = np.empty_like(a), np.empty_like(a)
    gather_inputs(columns, x, one, compiled)
    gather_inputs(columns, x, two, Workspace())
    np.testing.assert_array_equal(one, two)


@dataclass(frozen=True)
class Case:
    """A cell with parameters, inputs, initial states and losses in float64 that float32 represents exactly."""

    cell: Cell
    params: dict[str, np.ndarray]
    x: np.ndarray
    initial: dict[str, np.ndarray]
    e: np.ndarray

    def rounded(self, seed: int) -> "Case":
        """Return the case with every weight moved to one of its two neighbours in float32."""
        rng = np.random.default_rng(seed)

        def moved(weights: np.ndarray) -> np.ndarray:
            towards = np.where(rng.random(weights.shape) < 0.5, -np.inf, np.inf)
            return np.nextafter(weights.astype(np.float32), towards.astype(np.float32)).astype(np.float64)

        return replace(self, params={name: moved(weights) for name, weights in self.params.items()})

    def run(self, dtype: type, loops: CompiledLoops | None) -> dict[str, np.ndarray]:
        """Return all results of both passes in float64."""
        x = self.x if self.x.dtype.kind == "i" else self.x.astype(dtype)
        params, workspace = copy_params(self.params, dtype), Workspace(loops)
        with np.errstate(all="ignore"):
            tape = self.cell.forward(params, x, copy_params(self.initial, dtype), workspace)
            deltas = self.cell.backward(params, tape, self.e.astype(dtype), workspace, scaled=True)
            groups = {
                "state": tape.states,
                "inner": tape.inner,
                "grad": deltas.grads,
                "initial": deltas.initial,
            }
            groups |= {"immediate": deltas.immediate}
            results = {
                f"{g} {n}": a.astype(np.float64) for g, arrays in groups.items() for n, a in arrays.items()
            }
            for layer, own in zip(layers_of(self.cell), deltas.layers or (deltas,), strict=True):
                scale = 1.0 if own.exponents is None else np.ldexp(1.0, own.exponents)[:, None, :]
                for group in ("total", "adjoint"):
                    results |= {
                        f"{group} {layer.prefix}{n}": a.astype(np.float64) * scale
                        for n, a in getattr(own, group).items()
                    }
        return results


@st.composite
def cases(draw: Any) -> Case:
    H, X, B, T = (draw(st.integers(1, most)) for most in (6, 4, 4, 40))
    make, bias = draw(st.sampled_from(CELLS)), draw(st.booleans())
    cell, layers = make(X, H, bias), draw(st.sampled_from([1, 1, 2, 3]))
    if layers > 1:
        cell, T = Stack.of([cell, *[make(H, H, bias)] * (layers - 1)], draw(st.booleans())), -(-T // layers)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    gain = draw(st.sampled_from([0.0, 0.1, 1.0, 1.0, *([5.0, 40.0] if layers == 1 else [])]))

    def drawn(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32).astype(np.float64)

    params = {n: gain * drawn(*s) / 2 ** round(np.log2(s[1]) / 2) for n, s in cell.param_shapes().items()}
    x = drawn(T, X, B) if draw(st.booleans()) else rng.integers(0, X, (T, B))
    e = drawn(draw(st.integers(1, T)), cell.output_size, B)
    e[:, :, rng.random(B) < 0.2] = 0  # examples without a loss
    e[rng.random(len(e)) < draw(st.sampled_from([0.0, 0.5, 0.95]))] = 0
    return Case(cell, params, x, {n: drawn(s, B) for n, s in cell.state_sizes.items()}, e)


ROUNDINGS = 6


@given(cases())
@settings(max_examples=25)
def test_float32_is_as_close_to_float64_as_numpy(case: Case) -> None:
    true, by_numpy = case.run(np.float64, None), case.run(np.float32, None)
    compiled = case.run(np.float32, LOOPS)
    assert list(compiled) == list(by_numpy) == list(true)
    if not all(
        np.isfinite(a).all() and np.abs(a).max(initial=0) < 1e30 for a in (*true.values(), *by_numpy.values())
    ):
        return
    others: list[dict[str, np.ndarray]] = []
    for name, array in true.items():
        limit = 2e-6 * (np.linalg.norm(array) or 1.0)
        one, two = (np.linalg.norm(other[name] - array) for other in (by_numpy, compiled))
        if two <= max(limit, 2 * one):
            continue
        # Chaos amplifies rounding errors by a random factor, so one run of NumPy does not show how large its
        # distance can be: take the largest of several networks whose weights are rounded differently.
        others = others or [case.rounded(seed).run(np.float32, None) for seed in range(ROUNDINGS)]
        assert two <= 2 * max(np.linalg.norm(other[name] - array) for other in others), name


@given(cases())
@settings(max_examples=12)
def test_float64_agrees_to_the_last_digits(case: Case) -> None:
    one, two = case.run(np.float64, None), case.run(np.float64, LOOPS)
    if not all(np.isfinite(a).all() for a in one.values()):
        return
    for name, array in one.items():
        assert np.linalg.norm(two[name] - array) <= 1e-12 * max(
            np.linalg.norm(array), 1e-300
        ) * 10 ** _digits(case), name


def _digits(case: Case) -> float:
    """Return the decimal digits that may be lost.

    Rounding errors grow with the gain in a chaotic network; the slope of a saturated unit is a difference of
    nearly equal numbers, and a nearly closed gate has an error of about 1e-16.
    """
    largest = max(np.abs(a).max(initial=0) for n, a in case.params.items())
    chaos = min(6.0, max(0.0, len(case.x) * np.log10(max(largest, 1.0)) / 4))
    tape = case.cell.forward(case.params, case.x, case.initial)
    distances = [1.0]
    for layer, own in zip(layers_of(case.cell), tape.layers or (tape,), strict=True):
        distances += [np.minimum(a, 1 - a).min() for a in layer.cell.sigmoid_gates(own).values()]
        distances += [np.abs(1 - np.abs(a)).min() for a in own.states.values()]
    return chaos + max(0.0, -np.log10(max(min(distances), 1e-12)) - 3)


@pytest.mark.parametrize("make", CELLS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("place", ["x", "W_xh", "W_hh", "state", "weights of the readout"])
def test_the_first_non_finite_value_is_that_of_numpy(make: Any, bad: float, place: str) -> None:
    cell, rng = make(3, 5, True), np.random.default_rng(0)
    model = Model(cell, Readout(5, 2, True), Zero(), "squared_error", "mean")
    init = Init(*(Initializer("normal", 0.8) for _ in range(3)))
    params = cell.init_params(rng, init, np.float32) | model.readout.init_params(rng, np.float32)
    x = rng.standard_normal((9, 3, 4)).astype(np.float32)
    initial = {name: np.zeros((5, 4), np.float32) for name in cell.states}
    if place == "x":
        x[4, 1, 2] = bad
    elif place == "state":
        initial[cell.states[-1]][2, 1] = bad
    else:
        params[{"weights of the readout": "W_hy"}.get(place, place)][1, 1] = bad
    found = []
    for loops in (None, LOOPS):
        workspace = Workspace(loops)
        with np.errstate(all="ignore"):
            tape = model.forward(params, Batch(x, rng.standard_normal((2, 2, 4)) * 0), initial, workspace)
            grads, deltas = model.backward(params, tape, workspace, scaled=True)
        found.append(first_non_finite(tape, grads, deltas, {} if place.startswith("W") else params))
    assert found[0] == found[1] and (found[0] is not None or place == "W_xh")  # inf saturates the units


def test_a_repeated_pass_is_bit_identical() -> None:
    cell, rng = LSTM(3, 5, "tanh", 0.0, bias=True), np.random.default_rng(0)
    params = {n: rng.standard_normal(s) for n, s in cell.param_shapes().items()}
    initial = {n: np.zeros((5, 4)) for n in cell.states}
    case = Case(cell, params, rng.standard_normal((30, 3, 4)), initial, rng.standard_normal((2, 5, 4)))
    one, two = case.run(np.float32, LOOPS), case.run(np.float32, CompiledLoops())
    assert all(one[name].tobytes() == two[name].tobytes() for name in one)


def leaky(leak: float) -> GatedCell:
    body = {
        "__annotations__": {},
        "states": ("h",),
        "carried": ("h",),
        "gates": {"a": TANH},
        "step_equations": lambda self, a, h: (1 - leak) * h + leak * a,
        "adjoint_equations": lambda self, δ, a, h: (leak * δ, (1 - leak) * δ),
    }
    return dataclass(frozen=True)(type("Edited", (GatedCell,), body))(2, 3, bias=True)


def last_state(cell: Cell, loops: CompiledLoops | None = LOOPS) -> np.ndarray:
    params = {n: np.full(s, 0.3) for n, s in cell.param_shapes().items()}
    return cell.forward(params, np.ones((4, 2, 1)), workspace=Workspace(loops)).states["h"][-1]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_an_edited_equation_is_compiled_anew(cache: Path) -> None:
    for leak in (0.5, 0.25):
        np.testing.assert_allclose(last_state(leaky(leak)), last_state(leaky(leak), None), rtol=1e-14)
    # Another test of the process may have loaded the reductions, which do not depend on the cell.
    folders = [path for path in cache.iterdir() if path.is_dir() and not path.name.startswith("reductions-")]
    assert len(folders) == 2 and cache.stat().st_mode & 0o777 == 0o700


SCRIPT = "from tests.engine.test_compiled import *; print(last_state(leaky(0.125)).tolist())"


def in_a_process(cache: Path) -> tuple[str, float]:
    environment = os.environ | {store.FOLDER_VARIABLE: str(cache), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True
    )
    (compiled,) = cache.glob("Edited-forward-*/__pycache__/*.nbc")
    return done.stdout, compiled.stat().st_mtime_ns


def test_another_process_uses_the_result_unless_it_is_damaged(cache: Path) -> None:
    first, made = in_a_process(cache)
    assert in_a_process(cache) == (first, made)
    for file in cache.glob("Edited-forward-*/__pycache__/*"):
        file.write_bytes(b"damaged")
    again, made_again = in_a_process(cache)
    assert again == first and made_again > made


@keeps("private-cache")
@pytest.mark.parametrize("kind", ["off", "a file", "open to others"])
def test_nothing_is_cached_without_a_private_folder(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cache"
    if kind == "a file":
        folder.write_text("")
    if kind == "open to others":
        folder.mkdir()
        folder.chmod(0o777)
    monkeypatch.setenv(store.FOLDER_VARIABLE, "" if kind == "off" else str(folder))
    assert store.cache_folder() is None
    assert np.isfinite(last_state(leaky(0.0625))).all()
    assert not folder.is_dir() or not list(folder.iterdir())


def test_products_of_compiled_loops_use_one_thread() -> None:
    script = (
        "from rnnlab.app.jobs.run_job import use_one_thread; use_one_thread(); "
        "from tests.engine.test_compiled import *; last_state(leaky(0.5)); "
        "from threadpoolctl import threadpool_info; print([library['num_threads'] for library in threadpool_info()])"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    threads = json.loads(done.stdout)
    assert len(threads) >= 2 and set(threads) == {1}
