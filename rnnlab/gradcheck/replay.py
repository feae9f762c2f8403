"""Time steps that are run again with a state changed where the step computes it.

The total gradient of a state includes its paths within the time step, such as c[t] → h[t] in an LSTM. Its
numerical derivative therefore needs a step in which the state changes before other values are computed from
it. The first run of the step, with arrays that count their operations, finds the operation that computes each
state; later runs add a given array to the result of this operation. Operations on arrays made by `np.empty`
or `np.zeros` are not counted, so a state that a step writes into such an array is not found.

The operation that computes a state is the first whose result is the returned array with its final values, or
else, if a copy is returned, the first with the same values. So if a step computes other values from a state,
it returns the very array from which it computes them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnlab.arrays import Array, Params
from rnnlab.cells import Cell, States, StepTape


@dataclass
class _Record:
    """Operations of one run of a step.

    Attributes:
        changes: Array to add to the result of each operation, by number.
        inputs: Arguments of the step; no operation computes them.
        count: Number of operations so far.
        results: Result of each operation and its values at that time; empty if `changes` are given.
    """

    changes: Mapping[int, Array]
    inputs: list[Array] = field(default_factory=list)
    count: int = 0
    results: dict[int, tuple[Array, Array]] = field(default_factory=dict)

    def start(self, array: Array) -> Array:
        """Return a copy of an argument of the step, whose operations are counted."""
        own = array.copy()
        self.inputs.append(own)
        return self.counted(own)

    def counted(self, array: Array) -> "_Counted":
        """Return a view whose operations are counted."""
        view = array.view(_Counted)
        view.record = self
        return view

    def add(self, result: Any) -> Any:
        """Count an operation for each array in its result, change the array if requested, and return it."""
        if isinstance(result, list | tuple):
            return type(result)(self.add(part) for part in result)
        if not isinstance(result, np.ndarray):
            return result
        plain = result.view(np.ndarray)
        if not any(np.may_share_memory(plain, own) for own in self.inputs):
            if self.count in self.changes and plain.flags.writeable:
                plain += self.changes[self.count]
            elif self.count in self.changes:
                plain = plain + self.changes[self.count]
            elif not self.changes:
                self.results[self.count] = plain, plain.copy()
            self.count += 1
        return self.counted(plain)


class _Counted(np.ndarray):
    """Array whose operations are counted."""

    record: _Record | None = None

    def __array_finalize__(self, origin: Any) -> None:
        self.record = getattr(origin, "record", None)

    def __array_ufunc__(self, ufunc: Any, method: str, *operands: Any, out: Any = None, **keys: Any) -> Any:
        record = next(a.record for a in (*operands, *(out or ())) if isinstance(a, _Counted))
        if out is not None:
            keys["out"] = tuple(map(_plain, out))
        keys = {name: _plain(value) for name, value in keys.items()}
        result = getattr(ufunc, method)(*map(_plain, operands), **keys)
        counted = result if record is None else record.add(result)
        return counted if out is None or len(out) > 1 else out[0]

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        result = super().__array_function__(func, types, args, kwargs)
        return result if self.record is None else self.record.add(result)

    def __getitem__(self, key: Any) -> Any:
        result = super().__getitem__(key)
        return result if self.record is None else self.record.add(result)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        if self.record is not None:
            self.record.add(self)


def _plain(value: Any) -> Any:
    return value.view(np.ndarray) if isinstance(value, _Counted) else value


class Replay:
    """One time step, which can be run again with changed states.

    Attributes:
        operation_of: Number of the operation that computes each state; a state that equals an argument of
            the step is passed on, and no operation computes it.
        not_found: States that no counted operation computes, although they are not passed on.
    """

    def __init__(self, cell: Cell, params: Params, step: StepTape) -> None:
        """Find the operation that computes each state."""
        self.cell = cell
        record = _Record({})
        after = _run(record, cell, params, step.x, step.before).after
        self.operation_of: dict[str, int] = {}
        self.not_found: list[str] = []
        for name, value in after.items():
            plain = _plain(value)
            found = {i: a for i, (a, values) in record.results.items() if np.array_equal(values, plain)}
            same = (i for i, result in found.items() if _is_same(result, plain))
            operation = next(same, next(iter(found), None))
            if operation is not None:
                self.operation_of[name] = operation
            elif not any(np.array_equal(plain, own) for own in record.inputs):
                self.not_found.append(name)

    def run(
        self, params: Params, x: Array, before: States, changes: Mapping[str, Array]
    ) -> tuple[dict[str, Array], Array]:
        """Return the new states and the output of the step, after addition of `changes` to the states."""
        by_operation: dict[int, Array] = {}
        for name, value in changes.items():
            if (operation := self.operation_of.get(name)) is not None:
                by_operation[operation] = value + by_operation.get(operation, 0)
        step = _run(_Record(by_operation), self.cell, params, x, before)
        after = {name: np.array(_plain(value)) for name, value in step.after.items()}
        rest = [name for name in changes if name not in self.operation_of]
        for name in rest:
            after[name] = after[name] + changes[name]
        output = after[self.cell.output] if self.cell.output in rest else _plain(self.cell.output_of(step))
        return after, output


def _run(record: _Record, cell: Cell, params: Params, x: Array, before: States) -> StepTape:
    counted: list[Any] = [{name: record.start(a) for name, a in part.items()} for part in (params, before)]
    return cell.step(counted[0], x, counted[1])


def _is_same(one: Array, other: Array) -> bool:
    keys: Iterable[str] = ("data", "shape", "strides")
    return all(one.__array_interface__[key] == other.__array_interface__[key] for key in keys)
