"""Source text of the compiled loops of a cell, generated from its traced equations.

The loops use the buffers of `rnnlab.engine.forward_loop` and `rnnlab.engine.backward_loop`. In each time
step, a matrix product is followed by passes over the gates and by one fused loop over all elements, which
contains the equations of the cell as scalar expressions. In each array, an element has the index i, counted
over the H × B elements of a block of rows; n = H·B.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from rnnlab.engine.activations import (
    IDENTITY,
    RELU,
    SIGMOID,
    TANH,
    write_absolute,
    write_maximum,
    write_positive,
    write_relu,
)
from rnnlab.engine.declarations import Declarations
from rnnlab.engine.plan import Name
from rnnlab.engine.symbols import Adjoint, Root, Value
from rnnlab.engine.trace import StepPlan, trace_adjoint, trace_step
from rnnlab.engine.updates import write_limited

OPERATORS: Mapping[Callable[..., object], str] = {
    np.add: "{} + {}",
    np.subtract: "{} - {}",
    np.multiply: "{} * {}",
    np.divide: "{} / {}",
    np.negative: "-{}",
    np.power: "{} ** {}",
    write_limited: "min(max({}, {}), {})",
    np.tanh: "tanh({})",
    np.exp: "exp({})",
    np.log: "log({})",
    np.log1p: "log1p({})",
    np.sqrt: "sqrt({})",
    np.sin: "sin({})",
    np.cos: "cos({})",
    write_absolute: "abs({})",
    write_maximum: "larger({}, {})",
    write_relu: "relu({})",
    write_positive: "positive({})",
}
ACTIVATIONS = {TANH: "tanh({})", SIGMOID: "HALF * tanh({}) + HALF", RELU: "relu({})", IDENTITY: "{}"}
"""Activation of a pre-activation; those of sigmoid gates are halved already."""


@dataclass
class Body:
    """Statements of a fused loop, in which each expression is evaluated once.

    Attributes:
        elements: Array element of each name in the equations.
        statements: Statements so far.
        known: Variable that holds an expression, by the expression's id.
    """

    elements: Mapping[Name, str]
    statements: list[str] = field(default_factory=list)
    known: dict[int, str] = field(default_factory=dict)

    def of_value(self, value: Value | float) -> str:
        """Return the variable that holds an expression, or a constant."""
        if not isinstance(value, Value):
            return f"number({float(value)!r})"
        if id(value) not in self.known:
            if value.name:
                text = self.elements[value.name]
            else:
                assert value.function is not None
                text = OPERATORS[value.function].format(*map(self.of_value, value.operands))
            self.known[id(value)] = self.assign(text)
        return self.known[id(value)]

    def of_adjoint(self, adjoint: Adjoint) -> str:
        """Return the variable that holds an adjoint."""
        root = self._of_root(adjoint.root)
        if adjoint.coefficient is None:
            return root
        return self.assign(f"{self.of_value(adjoint.coefficient)} * {root}")

    def _of_root(self, root: Root) -> str:
        if id(root) not in self.known:
            text = self.elements[root.name] if root.name else " + ".join(map(self.of_adjoint, root.terms))
            self.known[id(root)] = self.assign(text)
        return self.known[id(root)]

    def assign(self, text: str) -> str:
        """Add a statement that assigns an expression to a new variable, and return the variable."""
        self.statements.append(f"v{len(self.statements)} = {text}")
        return f"v{len(self.statements) - 1}"

    def store(self, element: str, variable: str) -> None:
        """Add a statement that writes a variable to an array element."""
        self.statements.append(f"{element} = {variable}")


@dataclass
class Arrays:
    """Arrays of a loop, in the order of its arguments, and their views in one time step."""

    names: list[Name] = field(default_factory=list)
    views: dict[str, str] = field(default_factory=dict)

    def use(self, name: Name) -> str:
        """Return the argument of an array; names of states and gates are identifiers."""
        if name not in self.names:
            self.names.append(name)
        return name.replace(" ", "_")

    def element(self, name: Name, time: str | None = "t", block: int = 0, first: str = "") -> str:
        """Return element i of a block of rows at a time step; None for an array without a time axis."""
        argument = self.use(name)
        view = f"{argument}_{'next' if time == 't + 1' else 'now'}"
        self.views[view] = f"{argument}[{time}]" if time is not None else argument
        offset = f"{first} + " if first else ""
        return f"{view}[{offset}{block} * n + i]" if block or first else f"{view}[i]"

    def lines(self) -> list[str]:
        """Return the statements that define the views."""
        return [f"{view} = {text}.reshape(-1)" for view, text in self.views.items()]


def forward_source(cell: Declarations, symbols: bool) -> tuple[str, list[Name]]:
    """Return the source of `forward(T, n, block, *arrays)` and the names of its arrays.

    The product of each time step is computed in blocks of rows; see `rnnlab.blas.rows_per_block`.
    """
    plan, arrays = trace_step(cell), Arrays(["weights", "joined", "scratch"])
    first_input = len(cell.summed) if symbols else 0  # for symbols, `inputs` contains all gates
    elements = _tape_elements(cell, plan, arrays)
    for i, gate in enumerate(cell.split):
        elements[f"x {gate}"] = arrays.element("inputs", block=first_input + i)
    has_product = bool(cell.recurrent) or not symbols
    z = "z[i]" if has_product else "number(0.0)"
    passes: list[tuple[str, int, str]] = []
    for i, gate in enumerate(cell.split):
        passes.append((elements[f"a {gate}"], i, z))
    for i, gate in enumerate(cell.summed, len(cell.split)):
        target, added = elements[f"gate {gate}"], ""
        if symbols:  # W_xh x[t] + b_h, in the place of the result or, with split gates, in `inputs`
            added = arrays.element("inputs", block=i - len(cell.split)) if cell.split else target
        passes.append((target, i, ACTIVATIONS[cell.gates[gate]].format(f"{z} + {added}" if added else z)))
    body, joined = Body(elements), list(cell.recurrent.values())
    for name, value in {} if plan.gate_is_state else plan.results.items():
        variable = body.of_value(value)
        kind, _, own = name.partition(" ")
        if kind == "saved":
            element = elements[plan.shared[own]] if own in plan.shared else arrays.element(name)
        elif own in joined:
            element = arrays.element("joined", "t + 1", joined.index(own))
        else:
            element = arrays.element(f"state {own}", "t + 1")
        body.store(element, variable)
    step = _product("weights", "joined[t]", "scratch") if has_product else []
    step += arrays.lines()
    for target, block, text in passes:
        block_text = text.replace("z[i]", f"z[{block} * n + i]")
        step += ["for i in range(n):", f"    {target} = {block_text}"]
    step += _fused(body)
    lines = ["z = scratch.reshape(-1)", "for t in range(T):", *_indented(step)]
    return _function("forward", ["T", "n", "block"], arrays, lines), arrays.names


def backward_source(cell: Declarations) -> tuple[str, list[Name]]:
    """Return the source of the loop `backward`, and the names of its arrays.

    Its arguments are T, n, B, the number of rows per block of the product, the first row of the split gates
    in `inputs`, flags for scaling and for exponents of e, `has_loss`, the exponents of the adjoints in each
    time step and of e, and e, followed by the arrays. The adjoints of the initial states are not scaled.
    """
    step_plan, plan, arrays = trace_step(cell), trace_adjoint(cell), Arrays(["transposed", "blocks"])
    joined, split = list(cell.recurrent.values()), list(cell.split)
    elements = _tape_elements(cell, step_plan, arrays)
    for name in cell.saved:
        if name in step_plan.shared:
            block = split.index(step_plan.shared[name].removeprefix("x "))
            elements[f"saved {name}"] = arrays.element("inputs", block=block, first="first * n")
        else:
            elements[f"saved {name}"] = arrays.element(f"saved {name}")
    boundary = [arrays.use("joint")] if joined else []
    for name in cell.states:
        if name in joined:
            elements[f"adjoint {name}"] = arrays.element("joint", "t + 1", joined.index(name))
        else:
            elements[f"adjoint {name}"] = arrays.element(f"adjoint {name}", "t + 1")
            boundary.append(arrays.use(f"adjoint {name}"))
    output = elements.setdefault(f"adjoint {cell.output}", "e_now[i]")
    order = [*(f"d a {gate}" for gate in split), *(f"d {gate}" for gate in cell.summed)]
    order += [f"d x {gate}" for gate in split]
    results = {name: arrays.element("blocks", block=i) for i, name in enumerate(order)}
    results |= {name: arrays.element(name) for name in (*(f"total {n}" for n in cell.totals),)}
    results |= {name: arrays.element(name) for name in (*(f"d {n}" for n in cell.vectors),)}
    added: list[tuple[int, str]] = []
    for name in cell.carried:
        if name in joined:  # added to the result of the product
            results[f"back {name}"] = arrays.element(f"back {name}", None)
            added.append((joined.index(name), results[f"back {name}"]))
        else:
            results[f"back {name}"] = arrays.element(f"adjoint {name}", "t")
    body = Body(elements)
    variables = {name: body.of_adjoint(plan.results[name]) for name in results}
    for name, factor in plan.factors.items():
        product = body.assign(f"{body.of_value(factor)} * e_now[i]")
        body.store(arrays.element(f"immediate {name}"), product)
    for name, variable in variables.items():
        body.store(results[name], variable)
    step = ["e_now = e[t].reshape(-1)", *arrays.lines(), "if any_of(has_loss[t]):", "    if joins:"]
    step += ["        for c in range(B):", "            largest[c] = 0"]
    step += [f"        update_largest({part}[t + 1], largest)" for part in boundary]
    step += ["        join_scales(largest, scale, has_loss[t], of_e[t], shift, e_shift)"]
    step += [f"        shift_columns({part}[t + 1], shift, TINY)" for part in boundary]
    step += ["        shift_columns(e[t], e_shift, TINY)", "    elif any_of(scale):"]
    step += ["        remove_scale(scale, has_loss[t], shift)"]
    step += [f"        shift_columns({part}[t + 1], shift, TINY)" for part in boundary]
    if output != "e_now[i]":
        step += ["    for i in range(n):", f"        {output} += e_now[i]"]
    step += ["for c in range(B):", "    exponents[t, c] = scale[c]", *_fused(body)]
    if joined:
        rows = len(split) + len(cell.summed)
        step += _product("transposed", f"blocks[t][: {rows} * (n // B)]", "joint[t]")
        step += ["m = joint[t].reshape(-1)"]
        for block, element in added:
            step += ["for i in range(n):", f"    m[{block} * n + i] += {element}"]
    step += ["if scaled and t > 0:", "    for c in range(B):", "        largest[c] = 0"]
    step += [f"    update_largest({part}[t], largest)" for part in boundary]
    step += ["    choose_shifts(largest, scale, shift)", "    if any_of(shift):"]
    step += [f"        shift_columns({part}[t], shift, 0.0)" for part in boundary]
    step += ["    if any_of(scale):", *(f"        flush({part}[t])" for part in boundary)]
    lines = ["scale, shift = np.zeros(B, np.int32), np.zeros(B, np.int32)", "e_shift = np.zeros(B, np.int32)"]
    lines += ["largest = np.zeros(B, e.dtype)"]
    lines += ["for t in range(T - 1, -1, -1):", *_indented(step)]
    lines += ["if any_of(scale):", *(f"    shift_columns({part}[0], scale, TINY)" for part in boundary)]
    first = ["T", "n", "B", "block", "first", "scaled", "joins", "has_loss", "exponents", "of_e", "e"]
    return _function("backward", first, arrays, lines), arrays.names


def _product(left: str, right: str, out: str) -> list[str]:
    """Return the statements that multiply two matrices in blocks of rows of the left one."""
    return [
        f"for row in range(0, len({left}), block):",
        f"    np.dot({left}[row : row + block], {right}, {out}[row : row + block])",
    ]


def _tape_elements(cell: Declarations, plan: StepPlan, arrays: Arrays) -> dict[Name, str]:
    """Return the elements of the gates, products, previous states and vectors."""
    joined, elements = list(cell.recurrent.values()), dict[Name, str]()
    for i, gate in enumerate(cell.split):
        elements[f"a {gate}"] = arrays.element("products", block=i)
    for i, gate in enumerate(cell.summed):
        if plan.gate_is_state:
            elements[f"gate {gate}"] = arrays.element("joined", "t + 1", i)
        else:
            elements[f"gate {gate}"] = arrays.element("products", block=len(cell.split) + i)
    for name in cell.carried:
        if name in joined:
            elements[f"previous {name}"] = arrays.element("joined", "t", joined.index(name))
        else:
            elements[f"previous {name}"] = arrays.element(f"state {name}", "t")
    return elements | {f"vector {name}": arrays.element(f"wide {name}", None) for name in cell.vectors}


def _fused(body: Body) -> list[str]:
    return ["for i in range(n):", *_indented(body.statements)] if body.statements else []


def _indented(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _function(name: str, first: list[str], arrays: Arrays, lines: list[str]) -> str:
    arguments = ", ".join([*first, *map(arrays.use, arrays.names)])
    return "\n".join([f"def {name}({arguments}):", *_indented(lines)]) + "\n"
