"""Array buffers that are reused between training steps."""

from collections.abc import Callable, Hashable
from operator import is_not
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike

from rnnlab.arrays import Array

# Maximum number of time steps for which views are cached; cached views take about 2 kB per time step.
_MAX_CACHED_STEPS = 1000
# Size of NumPy's ufunc buffer, in elements; rows of the arrays in a training step are rarely shorter.
_UFUNC_BUFFER = 256


Calls = list[tuple[Callable[..., object], tuple[Any, ...]]]
"""Functions with their positional arguments."""


class Loops(Protocol):
    """Compiled loops over time; see `rnnlab.engine.compiled.loops`."""

    def forward(self, cell: Any, symbols: bool, dtype: np.dtype[Any]) -> Any:
        """Return the compiled forward loop of a cell, or None."""

    def backward(self, cell: Any, dtype: np.dtype[Any]) -> Any:
        """Return the compiled backward loop of a cell, or None."""

    def reductions(self, dtype: np.dtype[Any]) -> Any:
        """Return the compiled functions that depend on no cell, or None."""

    def update(self, rule: Any, numbers: tuple[str, ...], parameters: int, dtype: np.dtype[Any]) -> Any:
        """Return the compiled update of an optimiser, and the keys that it takes, or None."""

    def clipping(self, by_value: bool, parameters: int, dtype: np.dtype[Any]) -> Any:
        """Return the compiled functions for clipping, or None."""

    def lookup(self) -> Any:
        """Return loops that compile nothing; their attribute `missing` lists what is not in the cache."""


class Workspace:
    """Named array buffers that are reused by successive calls, and the engine of the calls.

    Every training step needs arrays of the same shapes. Reusing these arrays avoids the page faults caused by
    newly allocated memory. If a function returns arrays from a workspace, the next call with the same
    workspace overwrites them.
    """

    def __init__(self, loops: Loops | None = None) -> None:
        """Create a workspace without buffers; `loops` are the compiled loops, or None for NumPy."""
        self.loops = loops
        self._buffers: dict[str, Array] = {}
        self._prepared: dict[Hashable, tuple[tuple[Any, ...], Any]] = {}
        self._parts: dict[str, Workspace] = {}
        self._kept: dict[Hashable, Any] = {}
        self._functions: tuple[np.dtype[Any] | None, Any] = None, None
        self._latest: dict[Hashable, tuple[Hashable, Any]] = {}

    def part(self, name: str) -> "Workspace":
        """Return a workspace for a part of the network, such as a layer, with buffers of its own."""
        if name not in self._parts:
            self._parts[name] = Workspace(self.loops)
        return self._parts[name]

    def reductions(self, dtype: np.dtype[Any]) -> Any:
        """Return the compiled functions that depend on no cell; None for the NumPy engine."""
        if self.loops is None:
            return None
        if dtype is not self._functions[0]:
            self._functions = dtype, self.loops.reductions(dtype)
        return self._functions[1]

    def kept(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return the result of `make`, kept as long as the workspace; it must depend on the key alone."""
        try:
            return self._kept[key]
        except KeyError:
            return self._kept.setdefault(key, make())

    def array(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return the buffer called `name`, with undefined content; reallocate it if shape or dtype differ."""
        buffer = self._buffers.get(name)
        if buffer is None or buffer.shape != shape or buffer.dtype != dtype:
            buffer = self._buffers[name] = np.empty(shape, dtype)
        return buffer

    def latest(self, key: Hashable, signature: Hashable, make: Callable[[], Any]) -> Any:
        """Return the result of `make`, which is kept until the signature differs."""
        kept = self._latest.get(key)
        if kept is None or kept[0] != signature:
            kept = self._latest[key] = (signature, make())
        return kept[1]

    def prepared(self, key: Hashable, owners: tuple[Any, ...], prepare: Callable[[], Any]) -> Any:
        """Return the result of `prepare`, which is kept until a buffer in `owners` is replaced.

        Each time step of a loop uses a dozen array views, and creating a view takes as long as the call
        overhead of a small matrix product.

        Args:
            key: Key of the result.
            owners: Buffers to which the views belong, and other objects on which the result depends.
            prepare: Function that creates views of the buffers.
        """
        kept = self._prepared.get(key)
        if kept is None or len(kept[0]) != len(owners) or any(map(is_not, kept[0], owners)):
            kept = self._prepared[key] = (owners, prepare())
        return kept[1]


def cached_calls(time: int, calls_of: Callable[[int], Calls]) -> Callable[[int], Calls]:
    """Return a function that gives the calls of a time step, computed in advance unless the sequence is long.

    For a long sequence, the views would require as much memory as the arrays of a small network.
    """
    return [calls_of(t) for t in range(time)].__getitem__ if time <= _MAX_CACHED_STEPS else calls_of


class unbuffered:
    """Context manager within which NumPy processes strided arrays without copying them to a buffer.

    By default, a ufunc with non-contiguous operands copies rows shorter than 8192 elements into a buffer. A
    smaller buffer halves the time needed to compute the local derivatives of the backward pass. With the
    smaller buffer, the duration of a training step decreases by 4 to 6 % for an LSTM and by 5 to 9 % for a
    GRU (H = 32 to 50, B = 16 to 20).
    """

    def __enter__(self) -> None:
        self._before = np.setbufsize(_UFUNC_BUFFER)

    def __exit__(self, *exception: object) -> None:
        np.setbufsize(self._before)


def all_below(symbols: Array, limit: int, dtype: np.dtype[Any], workspace: Workspace | None) -> bool:
    """Return True if all integers of an array are in [0, limit); the data type is that of the network."""
    compiled = None if workspace is None else workspace.reductions(dtype)
    if compiled and symbols.dtype == np.int64 and symbols.flags.c_contiguous:
        return bool(compiled.all_below(symbols.reshape(-1), limit))
    return bool(symbols.min() >= 0 and symbols.max() < limit)


def by_feature(a: Array, workspace: Workspace, name: str, is_read_only: bool = False) -> Array:
    """Copy a sequence of shape (T, F, B) into a contiguous matrix of shape (F, T·B) for matrix products.

    If the matrix is only an operand of products, the compiled engine avoids the copy for a batch of one.
    """
    time, features, batch = a.shape
    if is_read_only and batch == 1 and workspace.loops is not None:
        return a[:, :, 0].T
    matrix = workspace.array(name, (features, time, batch), a.dtype)
    if compiled := workspace.reductions(a.dtype):
        compiled.by_feature(a, matrix)
    else:
        np.copyto(matrix, a.transpose(1, 0, 2))
    return matrix.reshape(features, time * batch)


def by_time(matrix: Array, time: int, workspace: Workspace, name: str) -> Array:
    """Copy a matrix of shape (F, T·B) into a sequence of shape (T, F, B); inverse of `by_feature`."""
    features = matrix.shape[0]
    batch = matrix.shape[1] // time
    sequence = workspace.array(name, (time, features, batch), matrix.dtype)
    np.copyto(sequence, matrix.reshape(features, time, batch).transpose(1, 0, 2))
    return sequence
