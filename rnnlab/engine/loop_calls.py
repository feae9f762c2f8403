"""Calls of one time step of a loop: functions with the views of their arguments."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from rnnlab.arrays import Array
from rnnlab.engine.activations import Activation
from rnnlab.engine.plan import Name, Operation

Call = tuple[Callable[..., object], tuple[Any, ...]]


def call_by_time(operation: Operation, arrays: Mapping[Name, Array]) -> Callable[[int], Call]:
    """Return a function that gives the call of an operation at time step t."""
    output = arrays[operation.output]
    operands = [arrays[i] if isinstance(i, str) else np.array(i, output.dtype) for i in operation.inputs]
    return _by_time(operation.function, [*operands, output])


def _by_time(function: Callable[..., object], parts: Sequence[Array]) -> Callable[[int], Call]:
    """Return a function that gives the call at time step t.

    Arrays with fewer than three axes have no time axis; like arrays of length 1, they do not vary.
    """
    pairs = [(part, True) if part.ndim > 2 and len(part) > 1 else (_first(part), False) for part in parts]
    return lambda t: (function, tuple([part[t] if varies else part for part, varies in pairs]))


def _first(part: Array) -> Array:
    return part[0] if part.ndim > 2 else part


def grouped_calls(
    steps: Sequence[Operation], arrays: Mapping[Name, Array], blocks: Array, H: int
) -> list[Callable[[int], Call]]:
    """Return functions that give the calls of time step t.

    A single call multiplies adjacent blocks by the same adjoint.
    """
    calls: list[Callable[[int], Call]] = []
    group: list[Operation] = []

    def flush() -> None:
        if len(group) == 1:
            calls.append(call_by_time(group[0], arrays))
        elif group:
            first, (time, _, batch) = _row(arrays[group[0].output], blocks), blocks.shape
            rows = blocks[:, first : first + len(group) * H]
            stacked = rows.reshape((time, len(group), H, batch), copy=False)
            calls.append(_by_time(np.multiply, [stacked, arrays[str(group[0].inputs[1])], stacked]))
        group.clear()

    for operation in steps:
        is_block = operation.output in operation.inputs and np.shares_memory(arrays[operation.output], blocks)
        follows = group and is_block and operation.inputs[1] == group[0].inputs[1]
        if (
            not follows
            or _row(arrays[operation.output], blocks) != _row(arrays[group[-1].output], blocks) + H
        ):
            flush()
        if is_block:
            group.append(operation)
        else:
            calls.append(call_by_time(operation, arrays))
    flush()
    return calls


def _row(part: Array, blocks: Array) -> int:
    """Return the first row of a part of `blocks`, an array of shape (T, R, B)."""
    offset = part.__array_interface__["data"][0] - blocks.__array_interface__["data"][0]
    return int(offset // blocks.strides[1])


def runs_of_gates(
    kinds: Sequence[Activation], size: int, selected: Callable[[Activation], bool]
) -> list[slice]:
    """Return slices of rows that cover adjacent gates of the selected kinds, with `size` rows each."""
    found: list[slice] = []
    for i, kind in enumerate(kinds):
        if selected(kind):
            if found and found[-1].stop == i * size:
                found[-1] = slice(found[-1].start, (i + 1) * size)
            else:
                found.append(slice(i * size, (i + 1) * size))
    return found
