"""Declarations of a gated cell, as the loops over time read them, and their check."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Protocol

from rnnlab.engine.activations import SIGMOID, SPLIT, Activation
from rnnlab.engine.plan import Name
from rnnlab.initializers import Draw, Init

INIT_KEYS = tuple(field.name for field in fields(Init))
WRITTEN = {
    "gate": "{}",
    "x": "x_{}",
    "a": "a_{}",
    "previous": "{}[t-1]",
    "vector": "{}",
    "saved": "{}",
    "adjoint": "adjoint of {}",
}
"""How error messages write the names of the arguments of the equations."""


class CellDeclarationError(ValueError):
    """Error for a cell whose declarations do not fit its equations; the message names both."""


class Declarations(Protocol):
    """Declarations of a gated cell, described in `rnnlab.cells.gated.GatedCell`."""

    # ruff: noqa: D102

    @property
    def states(self) -> tuple[str, ...]: ...
    @property
    def output(self) -> str: ...
    @property
    def carried(self) -> tuple[str, ...]: ...
    @property
    def saved(self) -> tuple[str, ...]: ...
    @property
    def totals(self) -> tuple[str, ...]: ...
    @property
    def recurrent(self) -> Mapping[str, str]: ...
    @property
    def recurrent_matrix(self) -> str | None: ...
    @property
    def vectors(self) -> tuple[str, ...]: ...
    @property
    def input_size(self) -> int: ...

    @property
    def hidden_size(self) -> int: ...
    @property
    def bias(self) -> bool: ...
    @property
    def gates(self) -> Mapping[str, Activation]: ...
    @property
    def summed(self) -> tuple[str, ...]: ...
    @property
    def split(self) -> tuple[str, ...]: ...
    @property
    def split_biases(self) -> tuple[str, ...]: ...
    @property
    def step_equations(self) -> Callable[..., Any]: ...
    @property
    def adjoint_equations(self) -> Callable[..., Any]: ...
    def rows(self, gate: str, /) -> slice: ...


def step_arguments(cell: Declarations) -> list[Name]:
    """Return the names of the arguments of the step equations, in order."""
    pairs = (f"{part} {gate}" for gate in cell.split for part in "xa")
    return [*(f"gate {name}" for name in cell.summed), *pairs, *_previous_and_vectors(cell)]


def step_results(cell: Declarations) -> list[Name]:
    """Return the names of the results of the step equations, in order."""
    return [*(f"new {name}" for name in cell.states), *(f"saved {name}" for name in cell.saved)]


def adjoint_arguments(cell: Declarations) -> list[Name]:
    """Return the names of the arguments of the adjoint equations, in order: first all adjoints."""
    outputs = () if cell.output in cell.states else (cell.output,)
    names = [f"adjoint {name}" for name in (*cell.states, *outputs)]
    names += [f"gate {name}" for name in cell.summed] + [f"a {name}" for name in cell.split]
    return [*names, *_previous_and_vectors(cell), *(f"saved {name}" for name in cell.saved)]


def adjoint_results(cell: Declarations) -> list[Name]:
    """Return the names of the results of the adjoint equations, in order."""
    names = [f"total {name}" for name in cell.totals] + [f"d {name}" for name in cell.summed]
    names += [f"d {part} {gate}" for gate in cell.split for part in "xa"]
    return names + [f"back {name}" for name in cell.carried] + [f"d {name}" for name in cell.vectors]


def _previous_and_vectors(cell: Declarations) -> list[Name]:
    return [f"previous {name}" for name in cell.carried] + [f"vector {name}" for name in cell.vectors]


def check_names(cell: Any) -> None:
    """Raise CellDeclarationError if a cell names a matrix or state that it does not have."""
    name, parameters = type(cell).__name__, list(cell.parameters())
    declared = {parameter: p.initializer for parameter, p in cell.parameters().items()}
    for parameter, initializer in {**declared, **cell.initializers}.items():
        if parameter not in parameters:
            raise CellDeclarationError(
                f"{name}.initializers: {parameter} is not one of the parameters {parameters}"
            )
        if initializer not in INIT_KEYS and not isinstance(initializer, Draw):
            raise CellDeclarationError(
                f"{name}.initializers: {parameter}: expected {', '.join(INIT_KEYS)} or an initialiser "
                f"such as rnnlab.initializers.Constant(1.0), got {initializer!r}"
            )
    matrices = {"recurrent_matrix": cell.recurrent_matrix, "input_matrix": cell.input_matrix}
    for key, matrix in matrices.items():
        if matrix is not None and matrix not in parameters:
            raise CellDeclarationError(
                f"{name}.{key}: {matrix} is not one of the parameters {parameters}; "
                "None means that the cell has no such matrix"
            )
    if cell.recurrent_matrix is not None and cell.recurrent_state not in cell.states:
        raise CellDeclarationError(
            f"{name}.recurrent_state: {cell.recurrent_state} is not one of the states {list(cell.states)}"
        )


def check_declarations(cell: Declarations) -> None:
    """Raise CellDeclarationError unless the declarations agree and the equations take their arguments."""
    name = type(cell).__name__
    if not cell.gates:
        raise CellDeclarationError(f"{name}.gates: at least one gate is required")
    if cell.output not in (*cell.states, *cell.saved):
        raise CellDeclarationError(f"{name}.output: {cell.output} is not one of the states or saved values")
    if wrong := [gate for gate, kind in cell.gates.items() if not isinstance(kind, Activation)]:
        raise CellDeclarationError(f"{name}.gates: {wrong[0]} is not an activation such as rnnlab.cells.TANH")
    for key in ("carried", "totals"):
        if unknown := [state for state in getattr(cell, key) if state not in cell.states]:
            raise CellDeclarationError(
                f"{name}.{key}: {unknown[0]} is not one of the states {list(cell.states)}"
            )
    for matrix, state in cell.recurrent.items():
        if state not in cell.states:
            raise CellDeclarationError(
                f"{name}.recurrent: {matrix} multiplies {state}, which is not one of the states"
            )
    _check_measured(cell, name)
    order = [activation is SPLIT for activation in cell.gates.values()]
    if order != sorted(order):
        raise CellDeclarationError(f"{name}.gates: split gates must come last")
    _check_arguments(f"{name}.step_equations", cell.step_equations, step_arguments(cell))
    _check_arguments(f"{name}.adjoint_equations", cell.adjoint_equations, adjoint_arguments(cell))


def _check_measured(cell: Any, name: str) -> None:
    """Check what only measurements read, so that a mistake would give wrong curves instead of an error."""
    states = list(cell.states)
    if len(set(cell.recurrent.values())) < len(cell.recurrent):
        raise CellDeclarationError(
            f"{name}.recurrent: at most one matrix per state; got {dict(cell.recurrent)}"
        )
    if set(cell.state_sizes.values()) != {cell.hidden_size}:
        raise CellDeclarationError(f"{name}.state_sizes: each state of a gated cell has H elements")
    if clash := [vector for vector in cell.vectors if vector in (*cell.gates, *states)]:
        raise CellDeclarationError(f"{name}.vectors: {clash[0]} is also the name of a gate or state")
    expected = cell.recurrent.get(cell.recurrent_matrix, cell.recurrent_state)
    if cell.recurrent_matrix is not None and cell.recurrent_state != expected:
        raise CellDeclarationError(
            f"{name}.recurrent_state: {cell.recurrent_state}, but {cell.recurrent_matrix} multiplies "
            f"{expected}"
        )
    if unknown := [value for value in cell.saved_gates if value not in cell.saved]:
        raise CellDeclarationError(f"{name}.saved_gates: {unknown[0]} is not one of the saved values")
    sigmoid = [gate for gate, activation in cell.gates.items() if activation is SIGMOID]
    sigmoid += cell.saved_gates
    if cell.forget_gate is not None and cell.forget_gate not in sigmoid:
        raise CellDeclarationError(
            f"{name}.forget_gate: {cell.forget_gate} is not a sigmoid gate; these are {sigmoid}"
        )
    if cell.output not in states and set(cell.totals) != set(states):
        raise CellDeclarationError(
            f"{name}.totals: must contain {states}, because the output {cell.output} is none of them"
        )


def _check_arguments(name: str, function: Callable[..., Any], arguments: Sequence[Name]) -> None:
    parameters = list(inspect.signature(function).parameters)
    if len(parameters) != len(arguments):
        expected = [WRITTEN[kind].format(of) for kind, of in (part.split(" ", 1) for part in arguments)]
        raise CellDeclarationError(
            f"{name}: takes {len(parameters)} arguments ({', '.join(parameters)}), but the declarations "
            f"of the cell require {len(expected)} ({', '.join(expected)})"
        )
