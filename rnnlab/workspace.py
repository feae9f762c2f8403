"""Buffers that are used again from call to call."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import DTypeLike

from rnnlab.arrays import Array

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
        cached = self._steps.get(name)
        if cached is None or any(a is not b for a, b in zip(cached[0], owners, strict=True)):
            cached = self._steps[name] = (owners, list(zip(*sequences(), strict=True)))
        return cached[1]


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
