"""How products are cut into blocks of rows and chunks of time changes no result."""

import tracemalloc

import numpy as np
import pytest

from rnnlab import arrays
from rnnlab.arrays import Workspace, step_product, unbuffered
from rnnlab.cells import weights
from tests.oracles.cases import GATED, INPUT_KINDS, RESET, TANH, build, cell_id, every_cell
from tests.test_model import everything

cells = pytest.mark.parametrize("cell", every_cell(), ids=cell_id)


@pytest.mark.parametrize(
    ("rows", "inner", "columns", "blocks"),
    [
        (512, 128, 32, 4),  # the recurrent product of an LSTM, H = 128 and B = 32
        (128, 512, 32, 4),  # and its way back
        (384, 128, 32, 2),
        (1024, 256, 64, 32),
        (128, 128, 32, 1),  # small as it is
        (200, 50, 20, 1),
        (513, 128, 32, 3),
        (509, 128, 32, 1),  # a prime number of rows
        (2048, 8192, 512, 1),  # no eight rows fit
    ],
)
def test_blocks_are_the_fewest_that_are_small_enough(rows, inner, columns, blocks):
    matrix = np.arange(rows * inner, dtype=np.float32).reshape(rows, inner)
    product, stack = step_product(matrix, columns)
    assert stack.shape == ((rows, inner) if blocks == 1 else (blocks, rows // blocks, inner))
    assert product is (np.dot if blocks == 1 else np.matmul)
    np.testing.assert_array_equal(stack.reshape(rows, inner), matrix)
    assert blocks == 1 or rows // blocks * inner * columns <= 1_000_000


@cells
@pytest.mark.parametrize("inputs", INPUT_KINDS)
def test_blocks_and_chunks_change_no_result(cell, inputs, monkeypatch):
    case = build(cell, inputs=inputs)
    whole = everything(case)
    monkeypatch.setattr(arrays, "_SMALL_PRODUCT", 40)
    monkeypatch.setattr(arrays, "_FEWEST_ROWS", 1)
    monkeypatch.setattr(weights, "CHUNK", 6)  # columns of two time steps, at a batch of three
    assert step_product(case.params["W_hh"], 3)[0] is np.matmul
    assert len(list(weights.chunks_of_time(5, 3))) == 3
    cut = everything(case)
    assert set(cut) == set(whole)
    for name, value in whole.items():
        np.testing.assert_allclose(cut[name], value, rtol=1e-12, atol=1e-15, err_msg=name)


@pytest.mark.parametrize("runs", [1, 30])
def test_sums_by_symbol_in_short_and_long_runs(runs):
    rng = np.random.default_rng(0)
    symbols, columns = rng.integers(0, 5, 5 * runs), rng.normal(size=(3, 5 * runs))
    out = rng.normal(size=(3, 7))
    expected = out + columns @ np.eye(7)[symbols]
    assert (symbols.size < weights.SHORTEST_RUN * 7) == (runs == 1)
    weights.add_by_symbol(columns, symbols, out, Workspace())
    np.testing.assert_allclose(out, expected, rtol=1e-12)


def test_numpys_buffer_is_as_before_afterwards():
    before = np.getbufsize()
    with pytest.raises(ZeroDivisionError), unbuffered():
        assert np.getbufsize() < before
        raise ZeroDivisionError
    assert np.getbufsize() == before


@pytest.mark.parametrize("cell", [TANH, GATED, RESET], ids=cell_id)
@pytest.mark.parametrize("inputs", INPUT_KINDS)
def test_nothing_is_allocated_step_by_step(cell, inputs, monkeypatch):
    """With a workspace, the second pass over twice as many steps allocates no more."""
    monkeypatch.setattr(weights, "CHUNK", 1000)
    peaks = {}
    for time in (3001, 6002):
        case, workspace = build(cell, inputs=inputs, time=time, dtype=np.float32), Workspace()
        e = np.ones((time, 4, 3), np.float32)
        for _ in range(2):
            tracemalloc.start()
            tape = cell.forward(case.params, case.batch.x, case.initial, workspace)
            cell.backward(case.params, tape, e, workspace)
            peaks[time] = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
    assert peaks[6002] - peaks[3001] < 3001, peaks  # bytes: less than one a step
