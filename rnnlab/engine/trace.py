"""Traces of the equations of a gated cell, which are called with symbols and compiled."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rnnlab.engine.declarations import (
    CellDeclarationError,
    Declarations,
    adjoint_arguments,
    adjoint_results,
    step_arguments,
    step_results,
)
from rnnlab.engine.plan import Name, Operation, Program, compile_adjoints, compile_values, is_last_use
from rnnlab.engine.symbols import Adjoint, Root, Value


@dataclass(frozen=True)
class StepPlan:
    """Plan of the step equations.

    Attributes:
        arguments: Names of the arguments of the equations.
        program: Operations of one time step.
        shared: Saved values that overwrite an input of the equations, by name.
        gate_is_state: True if the only state is the activation of the only gate, so one array serves both.
        results: Expression of each new state and saved value, in the order of the equations.
    """

    arguments: Sequence[Name]
    program: Program
    shared: Mapping[str, Name]
    gate_is_state: bool
    results: Mapping[Name, Value | float]


@dataclass(frozen=True)
class AdjointPlan:
    """Plan of the adjoint equations.

    Attributes:
        arguments: Names of the arguments of the equations.
        coefficients: Program that computes the coefficients of all time steps.
        steps: Operations of one time step.
        scratch: Names of the arrays for intermediate adjoints.
        immediate: Factor from the immediate gradient of the output to that of each total: the name of an
            array, or a number.
        results: Adjoint expression of each result, in the order of the equations.
        factors: Expression of each factor in `immediate`.
    """

    arguments: Sequence[Name]
    coefficients: Program
    steps: Sequence[Operation]
    scratch: Sequence[Name]
    immediate: Mapping[str, Name | float]
    results: Mapping[Name, Adjoint]
    factors: Mapping[str, Value | float]


def trace_step(cell: Declarations) -> StepPlan:
    """Return the plan of the step equations."""
    arguments = step_arguments(cell)
    results = _results(
        f"{type(cell).__name__}.step_equations",
        cell.step_equations,
        [_symbol(name) for name in arguments],
        step_results(cell),
        (Value, int, float),
    )
    first = results[f"new {cell.states[0]}"]
    only = f"gate {cell.summed[0]}" if len(cell.gates) == 1 and cell.summed else None
    gate_is_state = len(results) == 1 and isinstance(first, Value) and first.name == only
    if gate_is_state and tuple(cell.recurrent.values()) == cell.states:
        return StepPlan(arguments, compile_values({}), {}, True, results)
    shared = {}
    for name, gate in zip(cell.saved, cell.split, strict=False):
        if is_last_use(f"x {gate}", results[f"saved {name}"], results.values()):
            shared[name] = f"x {gate}"
    return StepPlan(arguments, compile_values(results), shared, False, results)


def trace_adjoint(cell: Declarations) -> AdjointPlan:
    """Return the plan of the adjoint equations, multiplied by the slopes of the activations."""
    symbols = {name: _symbol(name) for name in adjoint_arguments(cell)}
    results = _results(
        f"{type(cell).__name__}.adjoint_equations",
        cell.adjoint_equations,
        list(symbols.values()),
        adjoint_results(cell),
        (Adjoint,),
    )
    multiply_by_slopes(cell, results, symbols)
    order = [*(f"d a {gate}" for gate in cell.split), *(f"d {name}" for name in cell.summed)]
    order += [f"d x {gate}" for gate in cell.split]
    order += [f"d {name}" for name in cell.vectors] + [f"back {name}" for name in cell.carried]
    kept = {name: results[name] for name in (f"total {state}" for state in cell.totals)}
    direct = [f"back {name}" for name in cell.carried]
    plan = compile_adjoints({name: results[name] for name in order}, kept, direct)
    factors = {name: _factor(kept[f"total {name}"], f"adjoint {cell.output}") for name in cell.totals}
    coefficients = dict(plan.coefficients)
    immediate: dict[str, Name | float] = {}
    for name, factor in factors.items():
        if not isinstance(factor, Value):
            immediate[name] = factor
            continue
        known = (array for array, value in coefficients.items() if value is factor)
        immediate[name] = factor.name or next(known, f"immediate {name}")
        if not factor.name:
            coefficients.setdefault(str(immediate[name]), factor)
    program = compile_values(coefficients)
    return AdjointPlan(list(symbols), program, plan.steps, plan.scratch, immediate, results, factors)


def as_tuple(results: Any) -> tuple[Any, ...]:
    """Return the results of equations as a tuple, even if there is only one."""
    return results if isinstance(results, tuple) else (results,)


def multiply_by_slopes(cell: Declarations, results: dict[Name, Any], values: Mapping[Name, Any]) -> None:
    """Turn the gradients with respect to gates into those with respect to their pre-activations."""
    gates = cell.gates
    for name in cell.summed:
        if (slope := gates[name].slope) is not None:
            results[f"d {name}"] = results[f"d {name}"] * slope(values[f"gate {name}"])


def _symbol(name: Name) -> Value | Adjoint:
    return Adjoint.named(name) if name.startswith("adjoint ") else Value(None, (), name)


def _results(
    name: str,
    equations: Callable[..., Any],
    symbols: Sequence[Any],
    expected: Sequence[Name],
    kinds: tuple[type, ...],
) -> dict[Name, Any]:
    """Return the results of equations by name, after a check of their number and kind."""
    try:
        results = as_tuple(equations(*symbols))
    except TypeError as error:  # a function of NumPy, or a product of adjoints
        raise CellDeclarationError(
            f"{name}: may only use arithmetic and the functions of rnnlab.cells: {error}"
        ) from error
    if len(results) != len(expected):
        raise CellDeclarationError(
            f"{name}: returns {len(results)} values, but the declarations of the cell require "
            f"{len(expected)} ({', '.join(expected)})"
        )
    for result, what in zip(results, expected, strict=True):
        if not isinstance(result, kinds):
            raise CellDeclarationError(f"{name}: {what} does not depend on the arguments as required")
    return dict(zip(expected, results, strict=True))


def _factor(adjoint: Adjoint, output: Name) -> Any:
    """Return the coefficient of the adjoint of the output in an expanded adjoint."""

    def of_root(root: Root) -> Any:
        if root.name:
            return 1.0 if root.name == output else 0.0
        parts = [_factor(term, output) for term in root.terms]
        parts = [part for part in parts if isinstance(part, Value) or part]
        return sum(parts[1:], parts[0]) if parts else 0.0

    factor = of_root(adjoint.root)
    if adjoint.coefficient is None or (not isinstance(factor, Value) and factor == 0):
        return factor
    return (
        adjoint.coefficient if not isinstance(factor, Value) and factor == 1 else adjoint.coefficient * factor
    )
