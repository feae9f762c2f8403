"""Source text of the compiled loops of a cell, generated from its traced equations.

The loops use the buffers of `rnnlab.engine.forward_loop` and `rnnlab.engine.backward_loop`. In each time
step, a matrix product is followed by passes over the gates and by one fused loop over all elements, which
contains the equations of the cell as scalar expressions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnlab.engine.activations import IDENTITY, RELU, SIGMOID, TANH, _positive, _relu
from rnnlab.engine.declarations import Declarations
from rnnlab.engine.plan import Name
from rnnlab.engine.symbols import Adjoint, Root, Value
from rnnlab.engine.trace import trace_adjoint, trace_step

OPERATORS: Mapping[Callable[..., object], str] = {
    np.add: "({} + {})",
    np.subtract: "({} - {})",
    np.multiply: "({} * {})",
    np.divide: "({} / {})",
    np.negative: "(-{})",
    np.tanh: "tanh({})",
    _relu: "relu({})",
    _positive: "positive({})",
}
ACTIVATIONS = {TANH: "tanh({})", SIGMOID: "(HALF * tanh({}) + HALF)", RELU: "relu({})", IDENTITY: "{}"}
"""Activation of a pre-activation; that of a sigmoid gate is halved already."""


@dataclass
class Body:
    """Statements of a fused loop, in which every expression is evaluated once.

    Attributes:
        places: Array element of each name in the equations.
        statements: Statements so far.
    """

    places: Mapping[Name, str]
    statements: list[str] = field(default_factory=list)
    known: dict[int, str] = field(default_factory=dict)

    def of_value(self, value: Value | float) -> str:
        """Return the variable that holds the value of an expression."""
        if not isinstance(value, Value):
            return f"number({float(value)!r})"
        if id(value) not in self.known:
            if value.name:
                text = self.places[value.name]
            else:
                assert value.function is not None
                text = OPERATORS[value.function].format(*map(self.of_value, value.operands))
            self.known[id(value)] = self._assign(text)
        return self.known[id(value)]

    def of_adjoint(self, adjoint: Adjoint) -> str:
        """Return the variable that holds the value of an adjoint."""
        root = self._of_root(adjoint.root)
        return root if adjoint.coefficient is None else self._assign(f"{self.of_value(adjoint.coefficient)} * {root}")

    def _of_root(self, root: Root) -> str:
        if id(root) not in self.known:
            text = self.places[root.name] if root.name else " + ".join(map(self.of_adjoint, root.terms))
            self.known[id(root)] = self._assign(text)
        return self.known[id(root)]

    def _assign(self, text: str) -> str:
        variable = f"v{len(self.statements)}"
        self.statements.append(f"{variable} = {text}")
        return variable

    def store(self, place: str, variable: str) -> None:
        """Write a variable to an array element."""
        self.statements.append(f"{place} = {variable}")


def forward_source(cell: Declarations, symbols: bool) -> tuple[str, list[Name]]:
    """Return the source of `forward(T, n, *arrays)` and the names of its arrays."""
    plan, H_blocks = trace_step(cell), list(cell.joined_states())
    split, summed = cell.split, cell.summed
    arrays: list[Name] = ["weights", "joined", "scratch"]
    views = {"j": "joined[t]", "k": "joined[t + 1]"}
    if not plan.gate_is_state:
        arrays.append("products")
        views["p"] = "products[t]"
    if split:
        arrays.append("inputs")
        views["u"] = "inputs[t]"
    # where the inputs of the split gates begin: after those of the other gates, for symbols
    first_input = len(summed) if symbols else 0
    places: dict[Name, str] = {}
    for i, gate in enumerate(split):
        places[f"a {gate}"] = _at("p", i)
        places[f"x {gate}"] = _at("u", first_input + i)
    for i, gate in enumerate(summed):
        places[f"gate {gate}"] = _at("p", len(split) + i) if not plan.gate_is_state else _at("k", i)
    new: dict[Name, str] = {}
    for state in cell.states:
        if state in H_blocks:
            places[f"previous {state}"], new[f"new {state}"] = _at("j", H_blocks.index(state)), _at("k", H_blocks.index(state))
        else:
            name = _identifier(f"state {state}")
            arrays.append(f"state {state}")
            views[f"{name}_0"], views[f"{name}_1"] = f"{name}[t]", f"{name}[t + 1]"
            places[f"previous {state}"], new[f"new {state}"] = _at(f"{name}_0", 0), _at(f"{name}_1", 0)
    for name in cell.saved:
        if name in plan.shared:
            new[f"saved {name}"] = places[plan.shared[name]]
        else:
            array = _identifier(f"saved {name}")
            arrays.append(f"saved {name}")
            views[f"{array}_t"] = f"{array}[t]"
            new[f"saved {name}"] = _at(f"{array}_t", 0)
    for name in cell.vectors:
        arrays.append(f"wide {name}")
        places[f"vector {name}"] = f"{_identifier(f'wide {name}')}[i]"
    lines = [f"def forward(T, n, {', '.join(map(_identifier, arrays))}):"]
    lines += ["    z = scratch.reshape(-1)", "    for t in range(T):"]
    has_product = bool(cell.recurrent) or not symbols
    if has_product:
        lines.append("        np.dot(weights, joined[t], scratch)")
    lines += [f"        {view} = {text}.reshape(-1)" for view, text in views.items()]
    target = "k" if plan.gate_is_state else "p"
    z = "z[i]" if has_product else "number(0.0)"
    if split:
        lines += [f"        for i in range({len(split)} * n):", f"            p[i] = {z}"]
    first = len(split)
    for i, gate in enumerate(summed):
        added = (f" + u[i - {first} * n]" if split else f" + {target}[i]") if symbols else ""
        text = ACTIVATIONS[cell.gates[gate]].format(f"({z}{added})")
        lines += [f"        for i in range({first + i} * n, {first + i + 1} * n):", f"            {target}[i] = {text}"]
    if not plan.gate_is_state:
        body = Body(places)
        found = {name: body.of_value(value) for name, value in plan.results.items()}
        for name, variable in found.items():
            body.store(new[name], variable)
        lines += ["        for i in range(n):", *(f"            {line}" for line in body.statements)]
    return "\n".join(lines) + "\n", arrays


def backward_source(cell: Declarations) -> tuple[str, list[Name]]:
    """Return the source of `backward(T, n, B, scaled, has_loss, exponents, e, *arrays)` and its arrays."""
    plan, joined = trace_adjoint(cell), list(cell.joined_states())
    gate_is_state = trace_step(cell).gate_is_state
    split, summed = cell.split, cell.summed
    arrays: list[Name] = ["transposed", "blocks"]
    views = {"b": "blocks[t]", "e_t": "e[t]"}
    places: dict[Name, str] = {}
    boundary: list[str] = []
    if joined:
        arrays.append("joint")
        views |= {"l": "joint[t + 1]"}
        boundary.append("joint")
    tape: dict[str, tuple[str, str]] = {}
    for state in cell.states:
        if state in joined:
            places[f"adjoint {state}"] = _at("l", joined.index(state))
        else:
            name = _identifier(f"adjoint {state}")
            arrays.append(f"adjoint {state}")
            boundary.append(name)
            views[f"{name}_1"], views[f"{name}_0"] = f"{name}[t + 1]", f"{name}[t]"
            places[f"adjoint {state}"] = _at(f"{name}_1", 0)
    output = places.get(f"adjoint {cell.output}")
    if output is None:
        places[f"adjoint {cell.output}"] = "e_t[i]"
    if gate_is_state or any(state in joined for state in cell.carried):
        arrays.append("joined")
        views |= {"j": "joined[t]", "k": "joined[t + 1]"}
    if not gate_is_state:
        arrays.append("products")
        views["p"] = "products[t]"
    for i, gate in enumerate(split):
        places[f"a {gate}"] = _at("p", i)
    for i, gate in enumerate(summed):
        places[f"gate {gate}"] = _at("k", i) if gate_is_state else _at("p", len(split) + i)
    for state in cell.carried:
        if state in joined:
            places[f"previous {state}"] = _at("j", joined.index(state))
        else:
            name = _identifier(f"state {state}")
            arrays.append(f"state {state}")
            views[f"{name}_0"] = f"{name}[t]"
            places[f"previous {state}"] = _at(f"{name}_0", 0)
    shared = trace_step(cell).shared
    for name in cell.saved:
        array = _identifier(f"saved {name}")
        if name in shared:
            if "inputs" not in arrays:
                arrays.append("inputs")
                views["u"] = "inputs[t]"
            gate = shared[name].removeprefix("x ")
            places[f"saved {name}"] = f"u[u_first * n + {split.index(gate)} * n + i]"
        else:
            arrays.append(f"saved {name}")
            views[f"{array}_t"] = f"{array}[t]"
            places[f"saved {name}"] = _at(f"{array}_t", 0)
    for name in cell.vectors:
        arrays.append(f"wide {name}")
        places[f"vector {name}"] = f"{_identifier(f'wide {name}')}[i]"
    new: dict[Name, str] = {}
    order = [*(f"d a {gate}" for gate in split), *(f"d {gate}" for gate in summed), *(f"d x {gate}" for gate in split)]
    new |= {name: _at("b", i) for i, name in enumerate(order)}
    for kind, names in (("total", cell.totals), ("d", cell.vectors)):
        for name in names:
            array = _identifier(f"{kind} {name}")
            arrays.append(f"{kind} {name}")
            views[f"{array}_t"] = f"{array}[t]"
            new[f"{kind} {name}"] = _at(f"{array}_t", 0)
    added = []
    for state in cell.carried:
        if state in joined:
            array = _identifier(f"back {state}")
            arrays.append(f"back {state}")
            views[f"{array}_f"] = array
            new[f"back {state}"] = _at(f"{array}_f", 0)
            added.append((joined.index(state), f"{array}_f"))
        else:
            new[f"back {state}"] = _at(f"{_identifier(f'adjoint {state}')}_0", 0)
    for name in plan.factors:
        array = _identifier(f"immediate {name}")
        arrays.append(f"immediate {name}")
        views[f"{array}_t"] = f"{array}[t]"
    body = Body(places)
    found = {name: body.of_adjoint(plan.results[name]) for name in new}
    for name, factor in plan.factors.items():
        value = body.of_value(factor)
        body.store(_at(f"{_identifier(f'immediate {name}')}_t", 0), body._assign(f"{value} * e_t[i]"))
    for name, variable in found.items():
        body.store(new[name], variable)
    arguments = ["T", "n", "B", "u_first", "scaled", "has_loss", "exponents", "e", *map(_identifier, arrays)]
    lines = [f"def backward({', '.join(arguments)}):", "    scale = np.zeros(B, np.int32)"]
    lines += ["    for t in range(T - 1, -1, -1):"]
    lines += [f"        {view} = {text}.reshape(-1)" for view, text in views.items()]
    lines += ["        some = False", "        for c in range(B):", "            some |= has_loss[t, c]"]
    lines += ["        if some:", "            if scaled:"]
    lines += [f"                unscale_marked({name}[t + 1], scale, has_loss[t])" for name in boundary]
    lines += ["                for c in range(B):", "                    if has_loss[t, c]:", "                        scale[c] = 0"]
    if output is not None:
        lines += ["            for i in range(n):", f"                {output} += e_t[i]"]
    lines += ["        exponents[t + 1] = scale"]
    lines += ["        for i in range(n):", *(f"            {line}" for line in body.statements)]
    if joined:
        rows = len(split) + len(summed)
        lines += [f"        np.dot(transposed, blocks[t][: {rows} * (n // B)], joint[t])", "        m = joint[t].reshape(-1)"]
        for block, array in added:
            lines += ["        for i in range(n):", f"            m[{block} * n + i] += {array}[i]"]
    lines += ["        if scaled and t > 0:", "            largest = np.zeros(B, e.dtype)"]
    lines += [f"            update_largest({name}[t], largest)" for name in boundary]
    lines += ["            shift, change = shifts(largest, scale)"]
    lines += ["            if change:", *(f"                shift_columns({name}[t], shift)" for name in boundary)]
    lines += ["                for c in range(B):", "                    scale[c] -= shift[c]"]
    lines += ["            if any_negative(scale):", *(f"                flush({name}[t])" for name in boundary)]
    lines += ["    exponents[0] = scale"]
    return "\n".join(lines) + "\n", arrays


def _at(view: str, block: int) -> str:
    return f"{view}[{block} * n + i]" if block else f"{view}[i]"


def _identifier(name: Name) -> str:
    """Return an identifier for an array; names of states and gates are Python identifiers."""
    return name.replace(" ", "_")


def any_source(cell: Any) -> str:
    """Return the sources of all loops of a cell."""
    return "\n".join([forward_source(cell, True)[0], forward_source(cell, False)[0], backward_source(cell)[0]])
