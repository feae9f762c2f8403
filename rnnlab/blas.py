"""Choice of the fastest OpenBLAS call for products with small matrices."""

from collections.abc import Callable
from functools import cache

import numpy as np
from threadpoolctl import threadpool_info

from rnnlab.arrays import Array

# Most multiply-adds of a product that OpenBLAS computes without copying, and fewest rows worth a product.
_SMALL_PRODUCT = 1_000_000
_MIN_ROWS = 8
# OpenBLAS kernels with a separate path for small products; blocks cost other kernels up to half their speed.
_SMALL_KERNELS = ("SkylakeX", "Cooperlake", "SapphireRapids")


def step_product(matrix: Array, columns: int) -> tuple[Callable[[Array, Array, Array], object], Array]:
    """Return the fastest function for products of a matrix (M, K) with many matrices (K, columns) in turn.

    OpenBLAS multiplies small matrices directly but copies larger ones into panels first. For a recurrent
    product with its few columns, the copying dominates. One np.matmul call for n smaller products of row
    blocks takes 13 to 19 % less time than the full product (H = 128 to 512, B = 32 to 64). The gain requires
    the small-matrix kernels of OpenBLAS, which need AVX-512. For a product that is already small, np.dot is
    0.5 µs faster per call, a fifth of the product at H = 32, B = 16.

    Returns:
        The function, with the arguments left operand, right operand and output; and the left operand, which
        is `matrix` or a stack of its row blocks (n, M/n, K). The output is (M, columns) or (n, M/n, columns).
    """
    rows, inner = matrix.shape
    max_rows = _SMALL_PRODUCT // (inner * columns)
    if rows <= max_rows or max_rows < _MIN_ROWS or not _has_small_kernels():
        return np.dot, matrix
    blocks = next((n for n in range(-(-rows // max_rows), rows // _MIN_ROWS + 1) if rows % n == 0), 1)
    if blocks == 1:
        return np.dot, matrix
    return np.matmul, matrix.reshape(blocks, rows // blocks, inner)


@cache
def _has_small_kernels() -> bool:
    return any(library.get("architecture") in _SMALL_KERNELS for library in threadpool_info())
