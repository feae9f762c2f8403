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
from rnnlab.engine.compiled_arrays import widen
from rnnlab.engine.declarations import Declarations
from rnnlab.engine.layouts import WeightLayouts, joined_states
from rnnlab.engine.loop_calls import call_by_time, runs_of_gates
from rnnlab.engine.plan import Name
from rnnlab.engine.tapes import CellTape, States
from rnnlab.engine.trace import trace_step
from rnnlab.engine.weights import gather_inputs, is_symbols, join
from rnnlab.workspace import Calls, Workspace, cached_calls


@dataclass(frozen=True)
class _Prepared:
    """Arrays and calls for passes over sequences of one shape.

    Attributes:
        buffers: Arrays by name.
        products: Array for the gates, which contains their inputs before the loop for symbols.
        calls: Calls of each time step; () for the compiled engine.
        states: States of the tape.
        inner: Inner arrays of the tape.
        compiled: Compiled loop with its arguments; None for the NumPy engine.
    """

    buffers: Mapping[str, Array]
    products: Array
    calls: Callable[[int], Calls]
    states: Mapping[str, Array]
    inner: Mapping[str, Array]
    compiled: tuple[Callable[..., object], tuple[Any, ...]] | None


class ForwardLoop:
    """Forward pass of a gated cell."""

    def __init__(self, cell: Declarations) -> None:
        """Derive the plan from the equations of the cell."""
        self.cell, self.plan, self.layouts = cell, trace_step(cell), WeightLayouts(cell)
        self.split, self.summed = self.layouts.split, self.layouts.summed
        self.joined_states = joined_states(cell)

    def run(self, params: Params, x: Array, initial: States, workspace: Workspace) -> CellTape:
        """Run the forward pass, starting from the initial states."""
        cell, symbols = self.cell, is_symbols(x)
        dtype = initial[cell.states[0]].dtype
        weights = self.layouts.joined(params, symbols, workspace)
        prepared: _Prepared = workspace.latest(
            ("forward", self),
            (len(x), x.shape[-1], symbols, dtype, id(weights)),
            lambda: self._prepare(len(x), x.shape[-1], symbols, weights, dtype, workspace),
        )
        buffers = prepared.buffers
        joined = buffers["joined"]
        join(x, len(self.joined_states) * cell.hidden_size, self.layouts.has_ones(symbols), joined)
        self._write_inputs(params, x, prepared, workspace)
        for name in cell.vectors:
            buffers[f"vector {name}"][0] = params[name]
        for name, state in prepared.states.items():
            state[0] = initial[name]
        if not weights.size:
            prepared.products[:, : self.split] = 0
        if prepared.compiled is None:
            for t in range(len(x)):
                for function, arguments in prepared.calls(t):
                    function(*arguments)
        else:
            for name in cell.vectors:
                widen(params[name], buffers[f"wide {name}"])
            function, arguments = prepared.compiled
            function(*arguments)
        return CellTape(x, prepared.states, prepared.inner, cell.output, joined)

    def arrays_per_step(self) -> int:
        """Return the number of arrays of shape (H, B) per time step: gates, states and saved values."""
        cell, plan = self.cell, self.plan
        gates = 0 if plan.gate_is_state else len(cell.gates) + len(cell.split)
        return gates + len(cell.states) + len(cell.saved) - len(plan.shared)

    def _buffers(
        self, time: int, batch: int, symbols: bool, dtype: np.dtype[Any], workspace: Workspace
    ) -> dict[str, Array]:
        """Return the buffers by name; for a gate that is the state, there are no products."""
        cell, H, rows = self.cell, self.cell.hidden_size, self.split + self.summed

        def buffer(name: str, *shape: int) -> Array:
            return workspace.array(name, shape, dtype)

        width = len(self.joined_states) * H + self.layouts.has_ones(symbols)
        buffers = {"joined": buffer("joined", time + 1, width + (0 if symbols else cell.input_size), batch)}
        for name in cell.states:
            if name not in self.joined_states:
                buffers[f"state {name}"] = buffer(f"state {name}", time + 1, H, batch)
        if not self.plan.gate_is_state:
            buffers["products"] = buffer("products", time, rows, batch)
        if cell.split:
            buffers["inputs"] = buffer("inputs", time, rows if symbols else self.split, batch)
        for name in cell.saved:
            if name not in self.plan.shared:
                buffers[f"saved {name}"] = buffer(f"saved {name}", time, H, batch)
        for i in range(self.plan.program.temporaries):
            buffers[f"temporary {i}"] = buffer(f"temporary {i}", H, batch)
        for name in cell.vectors:
            buffers[f"vector {name}"] = buffer(f"vector {name}", 1, H, 1)
            if workspace.loops is not None:
                buffers[f"wide {name}"] = buffer(f"wide {name}", H * batch)
        return buffers | {"scratch": buffer("recurrent", rows, batch)}

    def _prepare(
        self,
        time: int,
        batch: int,
        symbols: bool,
        weights: Array,
        dtype: np.dtype[Any],
        workspace: Workspace,
    ) -> _Prepared:
        """Return the buffers, the parts of the tape, and the calls of all time steps."""
        buffers = self._buffers(time, batch, symbols, dtype, workspace) | {"weights": weights}
        cell, H, joined = self.cell, self.cell.hidden_size, buffers["joined"]
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
        inner = {name: arrays[f"saved {name}"] for name in cell.saved}
        inner |= {} if self.plan.gate_is_state else {"gates": gates}
        inner |= {f"a_{name}": arrays[f"a {name}"] for name in cell.split}
        loop = None if workspace.loops is None else workspace.loops.forward(cell, symbols, dtype)
        if loop is None:
            calls = cached_calls(time, self._calls(buffers, arrays, gates, products, symbols))
            return _Prepared(buffers, products, calls, states, inner, None)
        rows, columns = weights.shape
        block = rows_per_block(rows, columns, batch)
        arguments = (time, H * batch, block, *(buffers[name] for name in loop[1]))
        return _Prepared(buffers, products, lambda t: [], states, inner, (loop[0], arguments))

    def _calls(
        self,
        buffers: Mapping[str, Array],
        arrays: Mapping[Name, Array],
        gates: Array,
        products: Array,
        symbols: bool,
    ) -> Callable[[int], Calls]:
        """Return a function that gives the calls of a time step."""
        cell, joined, inputs = self.cell, buffers["joined"], buffers.get("inputs")
        batch = joined.shape[2]
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

        return calls_of

    def _write_inputs(self, params: Params, x: Array, prepared: _Prepared, workspace: Workspace) -> None:
        """Write W_xh x + b_h of all gates for symbols, and of the split gates for vectors.

        Without split gates, the values for symbols are written to the products, and vectors need no values.
        """
        if is_symbols(x):
            out = prepared.buffers["inputs"] if self.cell.split else prepared.products
            gather_inputs(self.layouts.input_columns(params, workspace), x, out, workspace)
        elif self.cell.split:
            inputs = prepared.buffers["inputs"]
            W = params["W_xh"][self.summed :]
            if x.shape[2] == 1 and workspace.loops is not None:  # one product instead of one per time step
                np.matmul(x[:, :, 0], W.T, out=inputs[:, :, 0])
            else:
                np.matmul(W, x, out=inputs)
            if self.cell.bias:
                inputs += params["b_h"][self.summed :]

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
