"""Fast products of small matrices with OpenBLAS."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from rnnlab.arrays import Array

# Maximum multiply-adds of a product that OpenBLAS computes without copying, and minimum rows per block.
_SMALL_PRODUCT = 1_000_000
_MIN_ROWS = 8
# OpenBLAS kernels with a separate path for small products; with blocks, others may run at half speed.
_SMALL_KERNELS = ("SkylakeX", "Cooperlake", "SapphireRapids")


def step_product(matrix: Array, columns: int) -> tuple[Callable[[Array, Array, Array], object], Array]:
    """Return the fastest function for multiplying one M × K matrix by many matrices with K rows.

    OpenBLAS multiplies small matrices directly but first copies larger matrices into panels. The copying
    dominates the cost of the recurrent product W_hh h[t-1], because the right operand has few columns.
    Splitting the matrix into n blocks of rows and multiplying all blocks in one np.matmul call saves 13 to
    19 % of the time (H = 128 to 512, B = 32 to 64). The speed-up from splitting requires the small-matrix
    kernels of OpenBLAS, which need AVX-512. For products that OpenBLAS already computes without copying,
    np.dot saves 0.5 µs per call compared with np.matmul; at H = 32, B = 16, the saving is a fifth of the time
    per call.

    Returns:
        The function to call and its left operand. The arguments of the function are the left operand, the
        right operand and the output array. The left operand is either `matrix`, for outputs of shape
        (M, columns), or a stack of n row blocks, shape (n, M/n, K), for outputs of shape (n, M/n, columns).
    """
    rows, inner = matrix.shape
    block = rows_per_block(rows, inner, columns)
    if block == rows:
        return np.dot, matrix
    return np.matmul, matrix.reshape(rows // block, block, inner)


def rows_per_block(rows: int, inner: int, columns: int) -> int:
    """Return the number of rows per block, a divisor of `rows`, with which the product is fastest."""
    max_rows = _SMALL_PRODUCT // max(inner * columns, 1)
    if rows <= max_rows or max_rows < _MIN_ROWS or not _has_small_kernels():
        return rows
    blocks = next((n for n in range(-(-rows // max_rows), rows // _MIN_ROWS + 1) if rows % n == 0), 1)
    return rows // blocks


@cache
def _has_small_kernels() -> bool:
    return any(library.get("architecture") in _SMALL_KERNELS for library in threadpool_info())


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread, as in runs; also a decorator.

    In a loop over time steps, the other threads of OpenBLAS wait for the next small product in a busy loop:
    on a machine with two busy cores, measuring an LSTM of 128 units took 36 CPU seconds instead of 4.
    """
    with threadpool_limits(1, user_api="blas"):
        yield
