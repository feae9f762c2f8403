"""Tests that splitting products into blocks of rows and chunks of time changes no result."""

import tracemalloc
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlab import blas, workspace
from rnnlab.blas import step_product
from rnnlab.engine import weights
from rnnlab.training.engines import loops_of
from rnnlab.workspace import Workspace, unbuffered
from tests.oracles.cases import GATED, INPUT_KINDS, RESET, TANH, build, cell_id, every_cell
from tests.test_model import everything

cells = pytest.mark.parametrize("cell", every_cell(), ids=cell_id)


@pytest.mark.parametrize(
    ("rows", "inner", "columns", "blocks"),
    [
        (512, 128, 32, 4),  # the recurrent product of an LSTM, H = 128 and B = 32
        (128, 512, 32, 4),  # the corresponding backward product
        (384, 128, 32, 2),
        (1024, 256, 64, 32),
        (128, 128, 32, 1),  # already small
        (200, 50, 20, 1),
        (513, 128, 32, 3),
        (509, 128, 32, 1),  # a prime number of rows
        (2048, 8192, 512, 1),  # fewer than eight rows per block
    ],
)
def test_blocks_are_the_fewest_that_are_small_enough(rows, inner, columns, blocks, monkeypatch):
    monkeypatch.setattr(blas, "_has_small_kernels", lambda: False)
    assert step_product(np.zeros((rows, inner)), columns)[0] is np.dot
    monkeypatch.setattr(blas, "_has_small_kernels", lambda: True)
    matrix = np.arange(rows * inner, dtype=np.float32).reshape(rows, inner)
    product, stack = step_product(matrix, columns)
    assert stack.shape == ((rows, inner) if blocks == 1 else (blocks, rows // blocks, inner))
    assert product is (np.dot if blocks == 1 else np.matmul)
    np.testing.assert_array_equal(stack.reshape(rows, inner), matrix)
    assert blocks == 1 or rows // blocks * inner * columns <= 1_000_000


@cells
@pytest.mark.parametrize("inputs", INPUT_KINDS)
def test_blocks_and_chunks_change_no_result(cell, inputs, monkeypatch):
    pytest.importorskip("numba")
    case = build(cell, inputs=inputs)
    whole = everything(case)
    monkeypatch.setattr(blas, "_has_small_kernels", lambda: True)
    monkeypatch.setattr(blas, "_SMALL_PRODUCT", 40)
    monkeypatch.setattr(blas, "_MIN_ROWS", 1)
    monkeypatch.setattr(weights, "CHUNK", 6)  # two time steps of a batch of three
    assert step_product(case.params["W_hh"], 3)[0] is np.matmul
    assert len(list(weights.chunks_of_time(5, 3))) == 3
    for loops in (None, loops_of("compiled")):
        cut = everything(case, Workspace(loops))
        assert set(cut) == set(whole)
        for name, value in whole.items():
            np.testing.assert_allclose(cut[name], value, rtol=1e-12, atol=1e-15, err_msg=name)


@pytest.mark.parametrize("symbols_there_are", [7, 7 + weights.MAX_ONE_HOT])
def test_sums_by_symbol_with_few_and_many_symbols(symbols_there_are):
    rng = np.random.default_rng(0)
    symbols, columns = rng.integers(0, 5, 60) * (symbols_there_are // 5), rng.normal(size=(3, 60))
    out = rng.normal(size=(3, symbols_there_are))
    expected = out + columns @ np.eye(symbols_there_are)[symbols]
    weights.add_by_symbol(columns, symbols, out, Workspace())
    np.testing.assert_allclose(out, expected, rtol=1e-12)


@given(time=st.integers(1, 3000), batch=st.integers(1, 2000))
def test_chunks_cover_the_time_and_are_no_longer_than_allowed(time, batch):
    chunks = [range(time)[chunk] for chunk in weights.chunks_of_time(time, batch)]
    assert [t for chunk in chunks for t in chunk] == list(range(time))
    assert all(len(chunk) * batch <= max(weights.CHUNK, batch) for chunk in chunks)
    assert len({len(chunk) for chunk in chunks}) <= 2


def test_numpys_buffer_size_is_restored():
    before = np.getbufsize()
    with pytest.raises(ZeroDivisionError), unbuffered():
        assert np.getbufsize() < before
        raise ZeroDivisionError
    assert np.getbufsize() == before


@pytest.mark.parametrize("cell", [TANH, GATED, RESET], ids=cell_id)
@pytest.mark.parametrize("inputs", INPUT_KINDS)
def test_no_array_is_allocated_per_step(cell, inputs):
    """With a workspace, no time step of the second pass allocates an array of a state's size."""
    time, batch = 6, 5000
    case, workspace = build(cell, inputs=inputs, time=time, batch=batch, dtype=np.float32), Workspace()
    e = np.ones((time, 4, batch), np.float32)
    one_state = 4 * batch * 4
    for first in (True, False):
        peaks = []
        with tracing(peaks):
            tape = cell.forward(case.params, case.batch.x, case.initial, workspace)
        with tracing(peaks):
            cell.backward(case.params, tape, e, workspace)
        assert first or peaks[0] < 0.5 * one_state, peaks
    # The backward pass allocates the initial gradient of c and, for symbols, an index.
    assert peaks[1] < 1.6 * one_state, peaks


@contextmanager
def tracing(peaks):
    tracemalloc.start()
    yield
    peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()


@pytest.mark.parametrize("cell", [TANH, GATED, RESET], ids=cell_id)
def test_views_kept_in_a_workspace_follow_the_callers_arrays(cell):
    """Pass a different e, and an e with fewer time steps, after the workspace has cached earlier views."""
    case, workspace, rng = build(cell), Workspace(), np.random.default_rng(0)
    for steps in (5, 5, 2, 5, 2):
        e = rng.standard_normal((steps, 4, 3))
        tape = cell.forward(case.params, case.batch.x, case.initial, workspace)
        reused = cell.backward(case.params, tape, e, workspace)
        fresh = cell.backward(case.params, cell.forward(case.params, case.batch.x, case.initial), e)
        for name, grad in fresh.grads.items():
            np.testing.assert_array_equal(reused.grads[name], grad, err_msg=name)
        np.testing.assert_array_equal(reused.total["h"], fresh.total["h"])


@pytest.mark.parametrize("cell", [TANH, GATED, RESET], ids=cell_id)
def test_long_sequences_whose_steps_are_not_stored(cell, monkeypatch):
    case = build(cell)
    kept = everything(case)
    monkeypatch.setattr(workspace, "_MAX_CACHED_STEPS", 2)
    for name, value in everything(case).items():
        np.testing.assert_array_equal(value, kept[name], err_msg=name)
