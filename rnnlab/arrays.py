"""Array pieces that every room shares: safe norms, layouts and reused buffers."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray
from threadpoolctl import threadpool_info

Array = NDArray[Any]
Params = dict[str, Array]

# Between these a plain sum of squares neither loses small entries nor overflows, in float32 too.
SAFE_SQUARES = (1e-30, 1e30)
# Multiply-adds of a product that OpenBLAS makes without copying, and the fewest rows worth a product.
_SMALL_PRODUCT = 1_000_000
_FEWEST_ROWS = 8
# Kernels of OpenBLAS that have a way of their own for small products; the others lose up to half by blocks.
_SMALL_KERNELS = ("SkylakeX", "Cooperlake", "SapphireRapids")
# The longest sequence whose time steps are kept as views, some 2 kB each.
_KEPT_STEPS = 1000

# Elements; a row of the passes, H·B or more, is rarely shorter.
_UFUNC_BUFFER = 256


class Workspace:
    """Buffers kept from call to call, found by name.

    A training step asks for the same arrays every time; giving it the last ones back saves the
    page faults of fresh memory. What a function returned from a workspace is overwritten by the
    next call with that workspace.
    """

    def __init__(self) -> None:
        self._buffers: dict[str, Array] = {}
        self._steps: dict[str, tuple[tuple[Array, ...], list[tuple[Array, ...]]]] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return the uninitialised buffer `name`, made anew when shape or dtype differ."""
        buffer = self._buffers.get(name)
        if buffer is None or buffer.shape != shape or buffer.dtype != dtype:
            buffer = self._buffers[name] = np.empty(shape, dtype)
        return buffer

    def steps(
        self,
        name: str,
        owners: tuple[Array, ...],
        sequences: Callable[[], tuple[Sequence[Array] | Array, ...]],
    ) -> "Steps":
        """Return the sequences' time steps side by side, for a loop over time in either direction.

        Making a view costs as much as a small product's overhead, and a step has a dozen of them, so
        they are made once for as long as their `owners` are the same buffers: 10 % of an LSTM's
        forward loop (H = 128, B = 32). Of long sequences they would weigh as much as the arrays of a small
        network, so there they are made anew.
        """
        if len(owners[0]) > _KEPT_STEPS:
            return _NewSteps(sequences())
        known = self._steps.get(name)
        if known is None or any(a is not b for a, b in zip(known[0], owners, strict=True)):
            known = self._steps[name] = (owners, list(zip(*sequences(), strict=True)))
        return known[1]


class Steps(Protocol):
    """Time steps, forward and backward."""

    def __iter__(self) -> Iterator[tuple[Array, ...]]:
        """From the first to the last."""

    def __reversed__(self) -> Iterator[tuple[Array, ...]]:
        """From the last to the first."""


@dataclass(frozen=True)
class _NewSteps:
    sequences: tuple[Sequence[Array] | Array, ...]

    def __iter__(self) -> Iterator[tuple[Array, ...]]:
        return zip(*self.sequences, strict=True)

    def __reversed__(self) -> Iterator[tuple[Array, ...]]:
        return zip(*(sequence[::-1] for sequence in self.sequences), strict=True)


class unbuffered:
    """Let NumPy work on strided arrays in place.

    A ufunc whose operands are not contiguous copies rows that are shorter than its buffer of 8192 elements
    into that buffer. With a shorter one the factors of the backward pass take half the time, and an LSTM's
    training step 4 to 6 % less, a GRU's 5 to 9 % (H = 32 to 50, B = 16 to 20).
    """

    def __enter__(self) -> None:
        self._before = np.setbufsize(_UFUNC_BUFFER)

    def __exit__(self, *exception: object) -> None:
        np.setbufsize(self._before)


def norm(a: Array, axis: int | None = None) -> Array:
    """Euclidean norm that neither underflows nor overflows.

    ‖a‖ = m · sqrt(Σ (a/m)²) with m = max|a|, in float64. A plain float32 sum of squares is 0 once
    entries fall under about 1e-23, which is just where vanishing gradients are of interest.

    Args:
        a: Any shape.
        axis: The axis summed over; None sums over all.

    Returns:
        float64, the shape of `a` without `axis`.
    """
    if a.dtype == np.float32:  # whose squares, 1e-90 to 1e77, float64 holds without a scale
        return np.asarray(np.sqrt(np.sum(np.square(a, dtype=np.float64), axis=axis)))
    magnitude = np.abs(a)
    largest = magnitude.max(axis=axis, keepdims=True, initial=0.0)
    scale = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
    magnitude /= scale
    total = np.sqrt(np.sum(magnitude * magnitude, axis=axis, keepdims=True)) * scale
    return np.asarray(np.squeeze(total, axis=axis))


def global_norm(arrays: Iterable[Array]) -> float:
    """Euclidean norm of all entries of all arrays together, safe at any magnitude.

    The plain dot product is taken first, because it is fast; the scaled form where it is in doubt.
    """
    arrays = list(arrays)
    squares = sum(float(np.vdot(a, a)) for a in arrays)
    if SAFE_SQUARES[0] < squares < SAFE_SQUARES[1]:
        return float(np.sqrt(squares))
    return float(norm(np.array([norm(a) for a in arrays])))


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
    if rows <= most or most < _FEWEST_ROWS or not _has_small_kernels():
        return np.dot, matrix
    blocks = next((n for n in range(-(-rows // most), rows // _FEWEST_ROWS + 1) if rows % n == 0), 1)
    if blocks == 1:
        return np.dot, matrix
    return np.matmul, matrix.reshape(blocks, rows // blocks, inner)


@cache
def _has_small_kernels() -> bool:
    return any(library.get("architecture") in _SMALL_KERNELS for library in threadpool_info())


def by_feature(a: Array, workspace: Workspace, name: str) -> Array:
    """Copy a sequence (T, F, B) into one contiguous matrix (F, T·B), for products over time and batch."""
    time, features, batch = a.shape
    matrix = workspace.array(name, (features, time, batch), a.dtype)
    np.copyto(matrix, a.transpose(1, 0, 2))
    return matrix.reshape(features, time * batch)


def by_time(matrix: Array, time: int, workspace: Workspace, name: str) -> Array:
    """Copy a matrix (F, T·B) back into a sequence (T, F, B)."""
    features = matrix.shape[0]
    batch = matrix.shape[1] // time
    sequence = workspace.array(name, (time, features, batch), matrix.dtype)
    np.copyto(sequence, matrix.reshape(features, time, batch).transpose(1, 0, 2))
    return sequence


def copy_params(params: Mapping[str, Array], dtype: DTypeLike | None = None) -> Params:
    """Return an independent copy of every array, cast to `dtype` when given."""
    return {name: np.array(a, dtype=dtype) for name, a in params.items()}
