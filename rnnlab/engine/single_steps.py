"""Parameter gradients of single time steps, and checks of the results of `_step` and `_adjoint_step`."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import fields
from functools import lru_cache
from typing import Any

import numpy as np

from rnnlab.arrays import Array, Params
from rnnlab.engine.declarations import CellDeclarationError
from rnnlab.engine.tapes import States, StepDeltas, StepTape
from rnnlab.engine.weights import is_symbols, step_input_gradients


def step_gradients(
    cell: Any, params: Params, tape: StepTape, deltas: StepDeltas, has_other_operands: bool
) -> tuple[Params, Array | None]:
    """Return the parameter gradients of one time step, and dx (None for symbols).

    The gradients in `deltas.grads` are those of the cell. The gradients of the input matrix and of `b_h`
    follow from dz, and that of the recurrent matrix from the gradient of its product. If the cell has other
    operands, rows of this matrix may multiply something else than the state; see `Cell.other_operands`.

    Raises:
        CellDeclarationError: If the gradient of a parameter is missing.
    """
    found: Params = {}
    dx = deltas.dx
    if deltas.dz is not None and cell.input_matrix is not None:
        found, from_dz = step_input_gradients(params, tape.x, deltas.dz, cell.input_matrix)
        dx = from_dz if dx is None else dx
    if deltas.recurrent is not None and cell.recurrent_matrix is not None:
        h, product = tape.before[cell.recurrent_state], deltas.recurrent
        by_gate = has_other_operands and cell.gate_names
        found[cell.recurrent_matrix] = _by_gate(cell, tape, product) if by_gate else product @ h.T
    for name, grad in (deltas.grads or {}).items():
        per_example = params[name].shape[1] == 1
        found[name] = grad.sum(axis=1, keepdims=True) if per_example else grad
    shapes = cell.param_shapes()
    if missing := [name for name in shapes if name not in found]:
        raise CellDeclarationError(
            f"{type(cell).__name__}._adjoint_step: no gradient of {missing[0]}; StepDeltas.grads must "
            "contain it"
        )
    return {name: found[name] for name in shapes}, None if is_symbols(tape.x) else dx


def _by_gate(cell: Any, tape: StepTape, recurrent: Array) -> Array:
    """Return the gradient of a recurrent matrix whose rows multiply the state or another operand."""
    h = tape.before[cell.recurrent_state]
    both = {name: np.stack([tape.before[name], tape.after[name]]) for name in tape.before}
    others = cell.other_operands(both, {name: value[None] for name, value in tape.inner.items()})
    parts = [
        recurrent[cell.rows(gate)] @ (others[gate][0] if gate in others else h).T for gate in cell.gate_names
    ]
    return np.concatenate(parts)


def try_step(cell: Any) -> None:
    """Run one time step forward and backward on zeros and check what the cell returns.

    Raises:
        CellDeclarationError: If the step fails, or if the name, shape or data type of a result is wrong.
    """
    is_hashable = all(isinstance(getattr(cell, field.name), Hashable) for field in fields(cell))
    (_try_once if is_hashable else _try_once.__wrapped__)(cell)


@lru_cache(maxsize=64)
def _try_once(cell: Any) -> None:
    batch, dtype = 2, np.dtype(np.float32)
    params = {name: np.zeros(shape, dtype) for name, shape in cell.param_shapes().items()}
    x = np.zeros((cell.input_size, batch), dtype)
    before = {name: np.zeros((size, batch), dtype) for name, size in cell.state_sizes.items()}
    name = f"{type(cell).__name__}._step"
    try:
        with np.errstate(all="ignore"):
            after, inner = check_step(cell, cell._step(params, x, before), dtype, batch)
            tape = StepTape(x, before, after, inner)
            name = f"{type(cell).__name__}._adjoint_step"
            adjoint = {state: np.zeros_like(value) for state, value in after.items()}
            adjoint.setdefault(cell.output, np.zeros_like(cell.output_of(tape)))
            deltas = check_adjoint_step(cell, cell._adjoint_step(params, tape, adjoint), dtype, batch)
            name = f"{type(cell).__name__}._step_gradients"
            grads, _ = cell._step_gradients(params, tape, deltas)
            _check_names(name, "gradients", grads, params)
            for parameter, grad in grads.items():
                check_result(f"{name}: {parameter}", grad, params[parameter].shape, dtype)
    except CellDeclarationError:
        raise
    except Exception as error:
        raise CellDeclarationError(f"{name}: {type(error).__name__}: {error}") from error


def check_step(
    cell: Any, result: Any, dtype: np.dtype[Any], batch: int
) -> tuple[States, Mapping[str, Array]]:
    """Return the states and inner values of `_step` after a check of their names, shapes and data type."""
    name = f"{type(cell).__name__}._step"
    if not (isinstance(result, tuple) and len(result) == 2 and all(isinstance(r, Mapping) for r in result)):
        raise CellDeclarationError(f"{name}: must return two dicts, the new states and the inner values")
    after, inner = result
    sizes: Mapping[str, int] = cell.state_sizes
    _check_names(name, "states", after, sizes)
    for state, size in sizes.items():
        check_result(f"{name}: {state}", after[state], (size, batch), dtype)
    for value, array in inner.items():
        if not isinstance(array, np.ndarray) or array.ndim < 2 or array.shape[-1] != batch:
            raise CellDeclarationError(
                f"{name}: {value}: expected an array of shape (…, {batch}), got {_kind(array)}"
            )
    if cell.output not in sizes:
        if cell.output not in inner:
            raise CellDeclarationError(
                f"{name}: the output {cell.output} is not one of the states or inner values"
            )
        check_result(f"{name}: {cell.output}", inner[cell.output], (cell.output_size, batch), dtype)
    return after, inner


def check_adjoint_step(cell: Any, deltas: Any, dtype: np.dtype[Any], batch: int) -> StepDeltas:
    """Return the result of `_adjoint_step` after a check of its names, shapes and data type."""
    name = f"{type(cell).__name__}._adjoint_step"
    if not isinstance(deltas, StepDeltas):
        raise CellDeclarationError(f"{name}: must return StepDeltas, got {_kind(deltas)}")
    sizes, shapes = cell.state_sizes, cell.param_shapes()
    for part in ("total", "before"):
        found: Mapping[str, Array] = getattr(deltas, part)
        _check_names(f"{name}: {part}", "states", found, sizes)
        for state, size in sizes.items():
            check_result(f"{name}: {part}[{state!r}]", found[state], (size, batch), dtype)
    rows = {"dz": cell.input_matrix, "recurrent": cell.recurrent_matrix}
    for part, matrix in rows.items():
        if (array := getattr(deltas, part)) is not None and matrix is not None:
            check_result(f"{name}: {part}", array, (shapes[matrix][0], batch), dtype)
    if deltas.dx is not None:
        check_result(f"{name}: dx", deltas.dx, (cell.input_size, batch), dtype)
    elif deltas.dz is None or cell.input_matrix is None:
        raise CellDeclarationError(f"{name}: dx is required from a cell without dz or an input matrix")
    for parameter, grad in (deltas.grads or {}).items():
        if parameter not in shapes:
            raise CellDeclarationError(
                f"{name}: grads: {parameter} is not one of the parameters {list(shapes)}"
            )
        shape, alone = shapes[parameter], (shapes[parameter][0], batch)
        is_alone = shape[1] == 1 and getattr(grad, "shape", None) == alone
        check_result(f"{name}: grads[{parameter!r}]", grad, alone if is_alone else shape, dtype)
    return deltas


def _check_names(name: str, kind: str, found: Mapping[str, Any], expected: Iterable[str]) -> None:
    if set(found) != set(expected):
        raise CellDeclarationError(f"{name}: expected the {kind} {list(expected)}, got {list(found)}")


def check_result(name: str, array: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Raise CellDeclarationError unless a result is an array of the given shape and data type."""
    if not isinstance(array, np.ndarray) or array.shape != shape or array.dtype != dtype:
        raise CellDeclarationError(f"{name}: expected {dtype} of shape {shape}, got {_kind(array)}")


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return f"a {type(value).__name__}"
