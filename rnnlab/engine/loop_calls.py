"""Calls of one time step of a loop: functions with the views of their arguments."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from rnnlab.arrays import Array
from rnnlab.engine.activations import Activation
from rnnlab.engine.plan import Name, Operation
from rnnlab.workspace import Calls


def call_of(
    operation: Operation, arrays: Mapping[Name, Array], t: int
) -> tuple[Callable[..., object], tuple[Any, ...]]:
    """Return the call of an operation at time step t."""
    output = at(arrays[operation.output], t)
    inputs = (
        at(arrays[operand], t) if isinstance(operand, str) else np.array(operand, output.dtype)
        for operand in operation.inputs
    )
    return operation.function, (*inputs, output)


def at(array: Array, t: int) -> Array:
    """Return an array at time step t; arrays of length 1 or without a time axis do not change."""
    return array if array.ndim == 2 else array[0] if len(array) == 1 else array[t]


def grouped_calls(
    steps: Sequence[Operation], arrays: Mapping[Name, Array], blocks: Array, H: int, t: int
) -> Calls:
    """Return the calls of one time step; a single call multiplies adjacent blocks by the same adjoint."""
    calls: Calls = []
    group: list[Operation] = []

    def flush() -> None:
        if len(group) == 1:
            calls.append(call_of(group[0], arrays, t))
        elif group:
            first = _row(arrays[group[0].output], blocks)
            rows = blocks[t, first : first + len(group) * H].reshape(len(group), H, -1)
            calls.append((np.multiply, (rows, at(arrays[str(group[0].inputs[1])], t), rows)))
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
            calls.append(call_of(operation, arrays, t))
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
