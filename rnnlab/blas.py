"""How OpenBLAS multiplies small matrices fastest."""

from collections.abc import Callable
from functools import cache

import numpy as np
from threadpoolctl import threadpool_info

from rnnlab.arrays import Array

# Multiply-adds of a product that OpenBLAS makes without copying, and the fewest rows worth a product.
_SMALL_PRODUCT = 1_000_000
_MIN_ROWS = 8
# Kernels of OpenBLAS that have a way of their own for small products; the others lose up to half by blocks.
_SMALL_KERNELS = ("SkylakeX", "Cooperlake", "SapphireRapids")


def step_product(matrix: Array, columns: int) -> tuple[Callable[[Array, Array, Array], object], Array]:
    """The fastest product of a matrix (M, K) with many (K, columns), one after the other.

    OpenBLAS multiplies small matrices in place and copies larger ones into panels first. A recurrent
    product has few columns and is spent on that copying, so that n small products of blocks of rows, which
    np.matmul makes in one call, take 13 to 19 % less time than the whole (H = 128 to 512, B = 32 to 64). That
    is so where OpenBLAS has kernels for small products, with AVX-512. A product that is small as it is goes
    to np.dot, whose call costs 0.5 µs less, a fifth of the product at H = 32, B = 16.

    Returns:
        The function, to be called with the operand, what it is multiplied with and the output; and the
        operand, `matrix` or its stack of blocks (n, M/n, K). The output is (M, columns) or (n, M/n, columns).
    """
    rows, inner = matrix.shape
    most = _SMALL_PRODUCT // (inner * columns)
    if rows <= most or most < _MIN_ROWS or not _has_small_kernels():
        return np.dot, matrix
    blocks = next((n for n in range(-(-rows // most), rows // _MIN_ROWS + 1) if rows % n == 0), 1)
    if blocks == 1:
        return np.dot, matrix
    return np.matmul, matrix.reshape(blocks, rows // blocks, inner)


@cache
def _has_small_kernels() -> bool:
    return any(library.get("architecture") in _SMALL_KERNELS for library in threadpool_info())
