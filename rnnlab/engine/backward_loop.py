"""Backward pass of a gated cell over a sequence.

The coefficients of the adjoint equations, slopes included, are computed for all time steps before the loop.
In the loop, the coefficients of the gates are multiplied in place by the adjoints; the product of the
transposed weights and the result then gives the adjoints of the previous states. `adjoint_loop` runs the
loop.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from rnnlab.arrays import Array, Params
from rnnlab.blas import step_product
from rnnlab.engine.adjoint_loop import LAST_CHECK, AdjointLoop
from rnnlab.engine.compiled_arrays import CompiledBackward
from rnnlab.engine.declarations import Declarations
from rnnlab.engine.exponents import multiply_columns
from rnnlab.engine.gated_steps import tape_values
from rnnlab.engine.gradients import GateRows, gate_gradients
from rnnlab.engine.layouts import WeightLayouts, joined_states
from rnnlab.engine.loop_calls import grouped_calls
from rnnlab.engine.plan import Name
from rnnlab.engine.tapes import CellDeltas, CellTape
from rnnlab.engine.trace import trace_adjoint
from rnnlab.engine.weights import input_gradient, is_symbols
from rnnlab.workspace import Calls, Workspace, cached_calls, unbuffered

CHUNK_ELEMENTS = 2**16
"""Number of elements for which coefficients are computed at a time, so that they stay in the cache."""


@dataclass(frozen=True)
class _Prepared:
    """Calls of each time step, and the arrays that they use, for one set of buffers.

    Attributes:
        calls: Calls of each time step; the first adds the immediate gradient if the output is a state.
        arrays: Array of each name in the plan.
        adjoints: Adjoint of each state, shape (T+1, H, B).
        boundary: Buffers of the adjoints.
        buffers: Arrays by name.
        views: Parts of the result that do not depend on the gradients.
        compiled: Compiled loop with its arrays; None for the NumPy engine.
    """

    calls: Callable[[int], Calls]
    arrays: Mapping[Name, Array]
    adjoints: Mapping[str, Array]
    boundary: list[Array]
    buffers: Mapping[str, Array]
    views: "_Views"
    compiled: CompiledBackward | None


@dataclass(frozen=True)
class _Views:
    """Views of the buffers that are parts of `CellDeltas`."""

    total: Mapping[str, Array]
    adjoint: Mapping[str, Array]
    immediate: Mapping[str, Array]
    dz: Array
    recurrent: tuple[Array, ...]
    initial: Mapping[str, Array]


class BackwardLoop:
    """Backward pass of a gated cell."""

    def __init__(self, cell: Declarations) -> None:
        """Derive the plan from the equations of the cell."""
        self.cell, self.plan, H = cell, trace_adjoint(cell), cell.hidden_size
        self.joined_states, self.layouts = joined_states(cell), WeightLayouts(cell)
        # States that do not act on the next time step: no time step writes their adjoints.
        self.memoryless = [name for name in cell.states if name not in (*self.joined_states, *cell.carried)]
        self.rows = GateRows(
            len(cell.summed) * H, len(cell.split) * H, tuple(cell.recurrent), H, cell.split_biases, cell.bias
        )

    def run(
        self,
        params: Params,
        tape: CellTape,
        e: Array,
        first_loss: int,
        with_dx: bool,
        workspace: Workspace,
        e_exponents: Array | None = None,
        check_every: int = LAST_CHECK,
    ) -> CellDeltas:
        """Backpropagate through time; `e` is 0 in the first `first_loss` of the T time steps.

        Example b of e[t] is to be multiplied by 2^e_exponents[t,b]; `e` is overwritten if any is not 0.
        """
        W = self.layouts.transposed(params, workspace)
        prepared: _Prepared = workspace.prepared(
            ("backward", self),
            (e, W, tape.states, tape.inner, tape.joined),
            lambda: self._prepare(tape, e, W, workspace),
        )
        for name in self.cell.vectors:
            prepared.buffers[f"vector {name}"][0] = params[name]
        for array in prepared.boundary:
            array[-1] = 0
        for name in self.memoryless:
            prepared.adjoints[name][:] = 0
        exponents = None
        if prepared.compiled is not None:
            exponents = prepared.compiled.run(params, e, e_exponents)
            return self._deltas(params, tape, first_loss, with_dx, workspace, prepared, exponents)
        differs = np.not_equal(e, 0, out=workspace.array("has_loss", e.shape, bool))
        has_loss = np.asarray(differs.any(axis=1))
        with unbuffered():
            self._coefficients(prepared.arrays, e, workspace)
            loop = AdjointLoop(
                prepared.calls, prepared.boundary, has_loss, self.cell.output in self.cell.states
            )
            if e_exponents is not None:
                exponents = loop.run_with_exponents(e, e_exponents)
            elif has_loss.all():
                loop.run()
            else:
                exponents = loop.run_scaled(check_every)
                if exponents is None:  # an adjoint may have left its range between two checks
                    return self.run(params, tape, e, first_loss, with_dx, workspace, None, check_every=1)
        for name, factor in self.plan.immediate.items():
            of_name = prepared.arrays[factor] if isinstance(factor, str) else factor
            np.multiply(e, of_name, out=prepared.buffers[f"immediate {name}"])
        return self._deltas(params, tape, first_loss, with_dx, workspace, prepared, exponents)

    def arrays_per_step(self) -> int:
        """Return the number of arrays of shape (H, B) per time step that the backward pass adds.

        These are the adjoints, the blocks of dz, the totals and their immediate gradients, the coefficients
        that do not share the arrays of their results, the gradients of the vectors, and a mask of the losses.
        """
        cell, blocks = self.cell, [f"d {name}" for name in self._block_names()]
        coefficients = [name for name in self.plan.coefficients.outputs if name not in blocks]
        alone = len(cell.states) + 2 * len(cell.totals) + len(cell.vectors)
        return alone + len(blocks) + len(coefficients) + 1

    def _buffers(self, e: Array, workspace: Workspace) -> dict[str, Array]:
        """Return the buffers of the backward pass by name."""
        cell, H, (time, _, batch) = self.cell, self.cell.hidden_size, e.shape
        rows = self.rows.summed + 2 * self.rows.split

        def buffer(name: str, *shape: int) -> Array:
            return workspace.array(name, shape, e.dtype)

        buffers = {"joint": buffer("adjoints", time + 1, len(self.joined_states) * H, batch)}
        buffers["blocks"] = buffer("blocks", time, rows, batch)
        for name in cell.states:
            if name not in self.joined_states:
                buffers[f"adjoint {name}"] = buffer(f"adjoint {name}", time + 1, H, batch)
        for name in cell.vectors:
            buffers[f"vector {name}"] = buffer(f"vector {name}", 1, H, 1)
            buffers[f"d {name}"] = buffer(f"d {name}", time, H, batch)
        for name in cell.totals:
            for kind in ("total", "immediate"):
                buffers[f"{kind} {name}"] = buffer(f"{kind} {name}", time, H, batch)
        for name in cell.carried:
            if name in self.joined_states:
                buffers[f"back {name}"] = buffer(f"direct {name}", H, batch)
        buffers |= {name: buffer(name, H, batch) for name in self.plan.scratch}
        in_blocks = {f"d {name}" for name in self._block_names()}
        for name in self.plan.coefficients.outputs:
            if name not in buffers and name not in in_blocks:
                buffers[name] = buffer(name, time, H, batch)
        return buffers

    def _block_names(self) -> list[str]:
        """Return the names of the blocks of H rows, in order."""
        split = self.cell.split
        return [*(f"a {gate}" for gate in split), *self.cell.summed, *(f"x {gate}" for gate in split)]

    def _prepare(self, tape: CellTape, e: Array, W: Array, workspace: Workspace) -> _Prepared:
        """Return the calls of all time steps and the arrays that they use."""
        buffers = self._buffers(e, workspace)
        cell, H, (time, _, batch) = self.cell, self.cell.hidden_size, e.shape
        joint, blocks = buffers["joint"], buffers["blocks"]
        λ = {
            name: joint[:, self.joined_states[name]]
            if name in self.joined_states
            else buffers[f"adjoint {name}"]
            for name in cell.states
        }
        boundary = [joint] if self.joined_states else []
        boundary += [λ[name] for name in cell.states if name not in self.joined_states]
        before = {name: values[:-1] for name, values in tape.states.items()}
        after = {name: values[1:] for name, values in tape.states.items()}
        arrays: dict[Name, Array] = tape_values(cell, before, after, tape.inner) | buffers
        arrays |= {f"adjoint {name}": λ[name][1:] for name in cell.states}
        if cell.output not in cell.states:
            arrays[f"adjoint {cell.output}"] = e
        for i, name in enumerate(self._block_names()):
            arrays[f"d {name}"] = blocks[:, i * H : (i + 1) * H]
        for name in cell.carried:
            if name not in self.joined_states:
                arrays[f"back {name}"] = λ[name][:-1]
        transposed = W
        product, W = step_product(W, batch) if self.joined_states else (None, W)
        δ, steps = λ.get(cell.output), grouped_calls(self.plan.steps, arrays, blocks, H)

        def calls_of(t: int) -> Calls:
            calls: Calls = [] if δ is None else [(np.add, (δ[t + 1], e[t], δ[t + 1]))]
            calls += [of_time(t) for of_time in steps]
            if product is not None:
                back = blocks[t, : self.rows.split + self.rows.summed]
                calls.append((product, (W, back, joint[t].reshape(*W.shape[:-1], batch))))
            for name in cell.carried:
                if name in self.joined_states:
                    calls.append((np.add, (λ[name][t], arrays[f"back {name}"], λ[name][t])))
            return calls

        loop = None if workspace.loops is None else workspace.loops.backward(cell, e.dtype)
        compiled = (
            None
            if loop is None
            else CompiledBackward.of(
                loop, cell, self.plan, tape, e, buffers | {"transposed": transposed}, workspace
            )
        )
        calls = calls_of if compiled is not None else cached_calls(time, calls_of)
        return _Prepared(calls, arrays, λ, boundary, buffers, self._views(e, arrays, λ, buffers), compiled)

    def _views(
        self, e: Array, arrays: Mapping[Name, Array], λ: Mapping[str, Array], buffers: Mapping[str, Array]
    ) -> _Views:
        """Return the parts of the result that do not depend on the gradients."""
        cell, split, blocks = self.cell, self.rows.split, buffers["blocks"]
        dz = blocks[:, split:]
        recurrent = (dz[:, : self.rows.summed], blocks[:, :split]) if split else (dz,)
        zeros = np.broadcast_to(np.zeros(1, e.dtype), e.shape)
        adjoint = {name: value[1:] for name, value in λ.items()}
        return _Views(
            {name: arrays.get(f"total {name}", adjoint[name]) for name in cell.states},
            adjoint,
            {name: buffers.get(f"immediate {name}", zeros) for name in cell.states} | {cell.output: e},
            dz,
            recurrent if cell.recurrent else (),
            {name: value[0] for name, value in λ.items()},
        )

    def _coefficients(self, arrays: Mapping[Name, Array], e: Array, workspace: Workspace) -> None:
        """Compute the coefficients of all time steps."""
        program, (time, H, batch) = self.plan.coefficients, e.shape
        length = min(max(CHUNK_ELEMENTS // (H * batch), 1), time)
        temporaries = [
            workspace.array(f"chunk {i}", (length, H, batch), e.dtype) for i in range(program.temporaries)
        ]
        names = [name for name in arrays if arrays[name].ndim == 3]
        for start in range(0, time, length):
            stop = min(start + length, time)
            chunk = {name: a if len(a := arrays[name]) == 1 else a[start:stop] for name in names}
            chunk |= {f"temporary {i}": a[: stop - start] for i, a in enumerate(temporaries)}
            program.run(chunk)

    def _deltas(
        self,
        params: Params,
        tape: CellTape,
        first_loss: int,
        with_dx: bool,
        workspace: Workspace,
        prepared: _Prepared,
        exponents: Array | None,
    ) -> CellDeltas:
        views, blocks = prepared.views, prepared.buffers["blocks"]
        grads = gate_gradients(self.rows, params, tape, blocks, exponents, workspace)
        for name in self.cell.vectors:
            grads[name] = _sum_over_time(prepared.arrays[f"d {name}"], exponents)
        dx = None
        if with_dx and not is_symbols(tape.x):
            dx = input_gradient(params, tape.x, views.dz, workspace)
            if exponents is not None:
                multiply_columns([dx], exponents)
        return CellDeltas(
            grads,
            views.total,
            views.adjoint,
            views.immediate,
            views.dz,
            views.recurrent,
            dx,
            views.initial,
            first_loss,
            exponents,
        )


def _sum_over_time(parts: Array, exponents: Array | None) -> Array:
    """Return the sum of gradients by unit over time and examples, shape (H, 1)."""
    if exponents is not None:
        parts = parts.copy()
        multiply_columns([parts], exponents)
    return np.asarray(parts.sum(axis=(0, 2))[:, None])
