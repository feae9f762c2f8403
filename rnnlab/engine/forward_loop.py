"""Forward pass of a gated cell over a sequence.

In each time step, one product of the joined weights and the joined array (see `rnnlab.engine.weights`) gives
the pre-activations, the gates are activated in place, and the operations of the step equations follow. The
weights of sigmoid gates are halved before the loop, because σ(z) = ½ tanh(z/2) + ½: one tanh call activates
all sigmoid and tanh gates.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnlab.arrays import Array, Params
from rnnlab.blas import rows_per_block, step_product
from rnnlab.engine.activations import SIGMOID, TANH
from rnnlab.engine.compiled_arrays import widened
from rnnlab.engine.declarations import Declarations
from rnnlab.engine.loop_calls import call_by_time, runs_of_gates
from rnnlab.engine.plan import Name
from rnnlab.engine.tapes import CellTape, States
from rnnlab.engine.trace import trace_step
from rnnlab.engine.weights import gather_inputs, is_symbols, join
from rnnlab.workspace import Calls, Workspace, cached_calls


@dataclass(frozen=True)
class _Prepared:
    """Calls of each time step, and the parts of the tape, for one set of buffers."""

    calls: Callable[[int], Calls]
    states: Mapping[str, Array]
    inner: Mapping[str, Array]


class ForwardLoop:
    """Forward pass of a gated cell."""

    def __init__(self, cell: Declarations) -> None:
        """Derive the plan from the equations of the cell."""
        self.cell, self.plan = cell, trace_step(cell)
        self.summed, self.split = len(cell.summed) * cell.hidden_size, len(cell.split) * cell.hidden_size
        self.joined_states = cell.joined_states()

    def run(self, params: Params, x: Array, initial: States, workspace: Workspace) -> CellTape:
        """Run the forward pass, starting from the initial states."""
        cell, H, symbols = self.cell, self.cell.hidden_size, is_symbols(x)
        (time, batch), dtype = (len(x), x.shape[-1]), initial[cell.states[0]].dtype
        ones = bool(cell.split_biases) or (cell.bias and not symbols)
        buffers = {"joined": join(x, len(self.joined_states) * H, ones, dtype, workspace)}
        weights = self._halved(params)
        buffers["weights"] = self._joined_weights(params, weights, symbols, workspace)
        for name in cell.states:
            if name not in self.joined_states:
                buffers[f"state {name}"] = workspace.array(f"state {name}", (time + 1, H, batch), dtype)
        if self.plan.gate_is_state:
            products = buffers["joined"][1:, :H]
        else:
            shape = (time, self.split + self.summed, batch)
            products = buffers["products"] = workspace.array("products", shape, dtype)
        if (inputs := self._inputs(params, weights, x, products, workspace)) is not None:
            buffers["inputs"] = inputs
        for name in cell.saved:
            if name not in self.plan.shared:
                buffers[f"saved {name}"] = workspace.array(f"saved {name}", (time, H, batch), dtype)
        for i in range(self.plan.program.temporaries):
            buffers[f"temporary {i}"] = workspace.array(f"temporary {i}", (H, batch), dtype)
        for name in cell.vectors:
            vector = buffers[f"vector {name}"] = workspace.array(f"vector {name}", (1, H, 1), dtype)
            vector[0] = params[name]
        buffers["scratch"] = workspace.array("recurrent", (self.split + self.summed, batch), dtype)
        prepared: _Prepared = workspace.prepared(
            ("forward", cell, symbols),
            tuple(buffers.values()),
            lambda: self._prepare(buffers, time, symbols, workspace.loops is None),
        )
        for name in cell.states:
            prepared.states[name][0] = initial[name]
        if not buffers["weights"].size:
            products[:, : self.split] = 0
        loop = None if workspace.loops is None else workspace.loops.forward(cell, symbols, dtype)
        if loop is not None:
            buffers |= {
                f"wide {name}": widened(params[name], name, batch, workspace) for name in cell.vectors
            }
            function, names = loop
            rows, inner = buffers["weights"].shape
            block = rows_per_block(rows, inner, batch)
            function(time, H * batch, block, *(buffers[name] for name in names))
            return CellTape(x, prepared.states, prepared.inner, cell.output, buffers["joined"])
        calls = prepared.calls
        for t in range(time):
            for function, arguments in calls(t):
                function(*arguments)
        return CellTape(x, prepared.states, prepared.inner, cell.output, buffers["joined"])

    def _prepare(self, buffers: Mapping[str, Array], time: int, symbols: bool, is_called: bool) -> _Prepared:
        """Return the calls of all time steps and the parts of the tape."""
        cell, H, joined = self.cell, self.cell.hidden_size, buffers["joined"]
        batch = joined.shape[2]
        states = {
            name: joined[:, self.joined_states[name]]
            if name in self.joined_states
            else buffers[f"state {name}"]
            for name in cell.states
        }
        products = states[cell.states[0]][1:] if self.plan.gate_is_state else buffers["products"]
        gates, inputs = products[:, self.split :], buffers.get("inputs")
        arrays: dict[Name, Array] = {
            name: buffer
            for name, buffer in buffers.items()
            if name.startswith(("saved", "temporary", "vector"))
        }
        for i, name in enumerate(cell.summed):
            arrays[f"gate {name}"] = gates[:, i * H : (i + 1) * H]
        for i, name in enumerate(cell.split):
            assert inputs is not None
            arrays[f"a {name}"] = products[:, i * H : (i + 1) * H]
            arrays[f"x {name}"] = inputs[:, inputs.shape[1] - self.split :][:, i * H : (i + 1) * H]
        arrays |= {f"previous {name}": states[name][:-1] for name in cell.carried}
        arrays |= {f"new {name}": states[name][1:] for name in cell.states}
        arrays |= {f"saved {name}": arrays[shared] for name, shared in self.plan.shared.items()}
        has_product, scratch = bool(buffers["weights"].size), buffers["scratch"]
        product, W = step_product(buffers["weights"], batch) if has_product else (np.dot, buffers["weights"])
        activations = self._activations(gates)
        operations = [call_by_time(operation, arrays) for operation in self.plan.program.operations]

        def calls_of(t: int) -> Calls:
            calls: Calls = []
            if has_product:
                adds = symbols and not cell.split  # `products` already contains W_xh x + b_h
                out = scratch if adds else products[t]
                calls.append((product, (W, joined[t], out.reshape(*W.shape[:-1], batch))))
                if adds:
                    calls.append((np.add, (gates[t], scratch, gates[t])))
                elif symbols and inputs is not None:
                    calls.append((np.add, (gates[t], inputs[t, : gates.shape[1]], gates[t])))
            for function, rows, numbers in activations:
                calls.append((function, (gates[t, rows], *numbers, gates[t, rows])))
            return calls + [of_time(t) for of_time in operations]

        inner = {name: arrays[f"saved {name}"] for name in cell.saved}
        inner |= {} if self.plan.gate_is_state else {"gates": gates}
        inner |= {f"a_{name}": arrays[f"a {name}"] for name in cell.split}
        return _Prepared(cached_calls(time, calls_of) if is_called else calls_of, states, inner)

    def _halved(self, params: Params) -> Params:
        """Return copies of the matrices and of b_h with the rows of the sigmoid gates multiplied by ½."""
        names = ["W_xh", *self.cell.recurrent, *(["b_h"] if self.cell.bias else [])]
        copies = {name: params[name].copy() for name in names}
        for gate in self.cell.summed:
            if self.cell.gates[gate] is SIGMOID:
                for copy in copies.values():
                    copy[self.cell.rows(gate)] *= 0.5
        return copies

    def _joined_weights(self, params: Params, weights: Params, symbols: bool, workspace: Workspace) -> Array:
        """Return the weights that map the joined array to [a of split gates; z of the other gates]."""
        cell, summed = self.cell, self.summed
        columns = [np.concatenate([params[name][summed:], weights[name][:summed]]) for name in cell.recurrent]
        if not symbols:
            zeros = np.zeros_like(params["W_xh"][summed:])
            columns.append(np.concatenate([zeros, weights["W_xh"][:summed]]))
        if cell.split_biases or (cell.bias and not symbols):
            of_gates = np.zeros_like(weights["b_h"][:summed]) if symbols else weights["b_h"][:summed]
            of_split = [params[name] for name in cell.split_biases] or [
                np.zeros((self.split, 1), of_gates.dtype)
            ]
            columns.append(np.concatenate([*of_split, of_gates]))
        if not columns:
            return np.zeros((0, 0), weights["W_xh"].dtype)
        shape = (len(columns[0]), sum(column.shape[1] for column in columns))
        return np.concatenate(columns, axis=1, out=workspace.array("joined_weights", shape, columns[0].dtype))

    def _inputs(
        self, params: Params, weights: Params, x: Array, products: Array, workspace: Workspace
    ) -> Array | None:
        """Compute W_xh x + b_h of all gates for symbols, and of the split gates for vectors.

        Without split gates, the values for symbols are written to `products`, and vectors need no values.
        """
        if is_symbols(x):
            if not self.cell.split:
                gather_inputs(weights, x, products, workspace)
                return None
            inputs = workspace.array(
                "inputs", (len(x), len(params["W_xh"]), products.shape[2]), products.dtype
            )
            gather_inputs(weights, x, inputs, workspace)
            return inputs
        if not self.cell.split:
            return None
        shape = (len(x), self.split, products.shape[2])
        inputs = workspace.array("inputs", shape, products.dtype)
        np.matmul(params["W_xh"][self.summed :], x, out=inputs)
        if self.cell.bias:
            inputs += params["b_h"][self.summed :]
        return inputs

    def _activations(self, gates: Array) -> list[tuple[Callable[..., object], slice, tuple[Any, ...]]]:
        """Return the calls that activate the gates in place: function, rows and additional operands."""
        H, kinds = self.cell.hidden_size, [self.cell.gates[name] for name in self.cell.summed]
        half = np.array(0.5, gates.dtype)
        calls: list[tuple[Callable[..., object], slice, tuple[Any, ...]]] = []
        for rows in runs_of_gates(kinds, H, lambda kind: kind in (SIGMOID, TANH)):
            calls.append((np.tanh, rows, ()))
        for rows in runs_of_gates(kinds, H, lambda kind: kind is SIGMOID):
            calls += [(np.multiply, rows, (half,)), (np.add, rows, (half,))]
        for i, kind in enumerate(kinds):
            if kind not in (SIGMOID, TANH) and kind.in_place is not None:
                calls.append((kind.in_place, slice(i * H, (i + 1) * H), ()))
        return calls
