"""Equations that act on all weights or gradients alike: the update of an optimiser, and clipping.

The equations are functions of single elements. They are traced with symbols, like those of a cell. The NumPy
engine executes the resulting operations on whole arrays; the compiled engine runs one loop over all elements.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np

from rnnlab.arrays import Array, Params
from rnnlab.engine.plan import Name, Program, compile_values, is_last_use
from rnnlab.engine.symbols import Value
from rnnlab.engine.trace import as_tuple
from rnnlab.norms import SAFE_SQUARES, global_norm
from rnnlab.workspace import Workspace

GRADIENT, STEP = "g", "step"
HARMLESS = 1e19
"""Size below which a step makes no finite weight infinite: next to weights of 1e38 it is rounded away."""
CHUNK = 2**15
"""Number of elements that NumPy processes at a time, so that intermediate results stay in the cache."""


def limited(g: Value, lowest: Value, highest: Value) -> Value:
    """Return g limited to the interval [lowest, highest]: clipping by value."""
    return Value(write_limited, (g, lowest, highest))


def write_limited(g: Array, lowest: float, highest: float, out: Array) -> None:
    """Write g, limited to the interval [lowest, highest], to `out`."""
    np.clip(g, lowest, highest, out=out)


def scaled(g: Any, factor: Any) -> Any:
    """Return g multiplied by a factor: clipping by norm."""
    return g * factor


class Rule(Hashable, Protocol):
    """An optimiser that states its update by equations."""

    @property
    def moments(self) -> tuple[str, ...]:
        """Names of the state variables with one element per weight."""

    def equations(self, *values: Any, **factors: Any) -> Any:
        """Return the new moments and the step that is subtracted from the weight.

        The arguments are the gradient and the moments before the update, and, by name, numbers that differ
        between updates.
        """


@dataclass(frozen=True)
class ElementPlan:
    """Traced equations.

    Attributes:
        results: Expression of each result; a result overwrites the input with the same name.
        program: Operations that compute the results.
    """

    results: Mapping[Name, Value | float]
    program: Program

    def run(self, arrays: Mapping[Name, Array], numbers: Mapping[Name, float]) -> None:
        """Compute the results on contiguous vectors of equal length."""
        size, dtype = next((a.size, a.dtype) for a in arrays.values())
        temporaries = np.empty((self.program.temporaries, min(size, CHUNK)), dtype)
        for start in range(0, size, CHUNK):
            chunk: dict[Name, Any] = {name: a[start : start + CHUNK] for name, a in arrays.items()}
            chunk |= {f"temporary {i}": a[: size - start] for i, a in enumerate(temporaries)}
            self.program.run(chunk | dict(numbers))


def trace_elements(
    equations: Callable[..., Any], inputs: Sequence[Name], numbers: Sequence[Name], outputs: Sequence[Name]
) -> ElementPlan:
    """Trace equations, called with the inputs and, by name, with numbers.

    Raises:
        ValueError: If an input that is overwritten is also used by another result.
    """
    symbols = {name: Value(None, (), name) for name in (*inputs, *numbers)}
    results = as_tuple(equations(*(symbols[i] for i in inputs), **{name: symbols[name] for name in numbers}))
    named = dict(zip(outputs, results, strict=True))
    for name in set(inputs) & set(outputs):
        if not is_last_use(name, named[name], named.values()):
            raise ValueError(f"{name}: may only be used once, for its own new value")
    return ElementPlan(named, compile_values(named))


@cache
def trace_update(rule: Rule, moments: Sequence[Name], numbers: Sequence[Name]) -> ElementPlan:
    """Trace the update of an optimiser, whose last result is the step."""
    return trace_elements(rule.equations, (GRADIENT, *moments), numbers, (*moments, STEP))


@cache
def clipping_plan(by_value: bool) -> ElementPlan:
    """Return the plan of clipping by value, or of clipping by norm, without temporaries."""
    if by_value:
        return trace_elements(limited, (GRADIENT,), ("lowest", "highest"), (GRADIENT,))
    return trace_elements(scaled, (GRADIENT,), ("factor",), (GRADIENT,))


def update(
    rule: Rule,
    params: Params,
    grads: Params,
    state: Mapping[str, Array],
    numbers: Mapping[Name, float],
    workspace: Workspace | None,
) -> str | None:
    """Subtract the step from the parameters, and update the moments, all in place.

    The moments are vectors with the elements of all parameters, in sorted order of their names. NumPy
    concatenates the gradients as well: in a small network, function calls dominate the cost of an update, and
    updating the parameters one by one would require five times as many.

    Returns:
        None, or the name of a parameter that would become infinite or NaN; then no parameter is changed.
    """
    names = sorted(params)
    if workspace is not None and workspace.loops is not None:
        weights = tuple([params[name] for name in names])
        compiled = workspace.prepared(
            "update", (rule, *weights), lambda: _compiled_update(rule, weights, tuple(numbers), workspace)
        )
        if compiled is not None:
            function, keys, steps = compiled
            parts = tuple([np.ascontiguousarray(grads[name]) for name in names])
            moments = [state[name] for name in rule.moments]
            if function(*keys, *numbers.values(), *moments, steps, weights, parts):
                return None
            return _subtract(params, names, steps)
    g = np.concatenate([grads[name].reshape(-1) for name in names])
    arrays = {GRADIENT: g, STEP: g} | {name: state[name] for name in rule.moments}
    trace_update(rule, rule.moments, tuple(numbers)).run(
        arrays, numbers
    )  # the last operation writes the step
    return _subtract(params, names, g)


def _subtract(params: Params, names: Sequence[str], steps: Array) -> str | None:
    """Subtract steps, or return the name of the first parameter that would become infinite or NaN."""
    ends = np.cumsum([params[name].size for name in names])
    parts = [
        part.reshape(params[name].shape) for name, part in zip(names, np.split(steps, ends[:-1]), strict=True)
    ]
    if not (steps.min() > -HARMLESS and steps.max() < HARMLESS):  # or NaN
        for name, part in zip(names, parts, strict=True):
            if not np.isfinite(params[name] - part).all():
                return name
    for name, part in zip(names, parts, strict=True):
        params[name] -= part
    return None


def _compiled_update(
    rule: Rule, weights: tuple[Array, ...], numbers: tuple[Name, ...], workspace: Workspace
) -> tuple[Callable[..., object], tuple[float, ...], Array] | None:
    """Return the compiled update, the values of the optimiser's keys and a buffer for the steps, or None."""
    if workspace.loops is None or not all(w.flags.c_contiguous for w in weights):
        return None
    found = workspace.loops.update(rule, numbers, len(weights), weights[0].dtype)
    if found is None:
        return None
    keys = tuple(float(getattr(rule, key)) for key in found[1])
    return found[0], keys, np.empty(sum(w.size for w in weights), weights[0].dtype)


def norm_of_gradients(grads: Params, workspace: Workspace | None) -> float:
    """Return the global norm; the compiled engine sums the squares in float64."""
    if (compiled := _compiled_clipping(grads, workspace)) is not None:
        return _norm(compiled.sum_squares_of_all(tuple(grads.values())), grads)
    return global_norm(grads.values())


def scale_gradients(grads: Params, factor: float, workspace: Workspace | None) -> float:
    """Multiply the gradients by a factor in place, and return their global norm."""
    if (compiled := _compiled_clipping(grads, workspace)) is not None:
        return _norm(compiled.clip_by_norm(factor, tuple(grads.values())), grads)
    for grad in grads.values():
        clipping_plan(by_value=False).program.run({GRADIENT: grad, "factor": factor})
    return global_norm(grads.values())


def limit_gradients(
    grads: Params, threshold: float, norm: float, workspace: Workspace | None
) -> tuple[int, float, float]:
    """Limit every element to [-threshold, threshold] in place.

    Args:
        grads: Gradients.
        threshold: Largest magnitude after clipping.
        norm: Global norm before clipping.
        workspace: Selects the engine.

    Returns:
        Number of elements outside the interval, global norm after clipping, and cosine of the angle between
        the gradients before and after clipping.
    """
    if (compiled := _compiled_clipping(grads, workspace, by_value=True)) is not None:
        parts = tuple(grads.values())
        outside, squares, product = compiled.clip_by_value(-threshold, threshold, norm, parts)
        after = _norm(squares, grads) if outside else norm
        return int(outside), after, product / after if outside else 1.0
    outside = sum(int(np.count_nonzero(np.abs(grad) > threshold)) for grad in grads.values())
    if outside == 0:
        return 0, norm, 1.0
    raw = {name: grad.copy() for name, grad in grads.items()}
    for grad in grads.values():
        clipping_plan(by_value=True).program.run({GRADIENT: grad, "lowest": -threshold, "highest": threshold})
    after = global_norm(grads.values())
    # Dot product of unit vectors, so that large gradients do not overflow.
    return outside, after, sum(float(np.vdot(raw[name] / norm, grad / after)) for name, grad in grads.items())


def _compiled_clipping(grads: Params, workspace: Workspace | None, by_value: bool = False) -> Any:
    """Return the compiled functions for gradients of this number; None for the NumPy engine."""
    if workspace is None or workspace.loops is None or not grads:
        return None
    if not all([g.flags.c_contiguous for g in grads.values()]):
        return None
    loops, dtype = workspace.loops, next(iter(grads.values())).dtype
    key = ("clipping", by_value, len(grads), dtype)
    return workspace.kept(key, lambda: loops.clipping(by_value, len(grads), dtype))


def _norm(squares: float, grads: Params) -> float:
    dtype = next(iter(grads.values())).dtype
    if dtype == np.float32 or SAFE_SQUARES[0] < squares < SAFE_SQUARES[1]:
        return float(np.sqrt(squares))
    return global_norm(grads.values())
