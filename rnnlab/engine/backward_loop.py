"""Backward pass of a gated cell over a sequence.

The coefficients of the adjoint equations, slopes included, are computed for all time steps before the loop.
In the loop, the coefficients of the gates are multiplied in place by the adjoints; the product of the
transposed weights and the result then gives the adjoints of the previous states. Where an example has no
loss, its adjoints are scaled (see `rnnlab.engine.exponents`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from rnnlab.arrays import Array, Params
from rnnlab.blas import step_product
from rnnlab.engine.compiled_arrays import base_of, compiled_arrays, run_compiled
from rnnlab.engine.declarations import Declarations
from rnnlab.engine.exponents import LOWEST, TARGET, align, multiply_columns, rescale, unscale
from rnnlab.engine.gradients import GateRows, gate_gradients
from rnnlab.engine.loop_calls import grouped_calls
from rnnlab.engine.plan import Name
from rnnlab.engine.tapes import CellDeltas, CellTape
from rnnlab.engine.trace import trace_adjoint
from rnnlab.engine.weights import input_gradient, is_symbols
from rnnlab.workspace import Calls, Workspace, cached_calls, unbuffered

FIRST_CHECK, LAST_CHECK = 4, 16
"""Number of time steps between two checks of the scale of the adjoints, at first and at most."""
PRECISE = -100
"""Binary exponent of the largest element below which smaller elements may have lost digits in float32."""
SAFE_DECAY = 45
"""Number of binary orders of magnitude by which an adjoint may shrink between two checks."""
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
    """

    calls: Callable[[int], Calls]
    arrays: Mapping[Name, Array]
    adjoints: Mapping[str, Array]
    boundary: list[Array]


class BackwardLoop:
    """Backward pass of a gated cell."""

    def __init__(self, cell: Declarations) -> None:
        """Derive the plan from the equations of the cell."""
        self.cell, self.plan, H = cell, trace_adjoint(cell), cell.hidden_size
        self.joined_states = cell.joined_states()
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
        W = self._transposed(params, workspace)
        buffers = self._buffers(params, e, workspace)
        blocks = buffers["blocks"]
        tape_arrays = self._tape_arrays(tape)
        owners = (e, W, *buffers.values(), *map(base_of, tape_arrays.values()))
        prepared: _Prepared = workspace.prepared(
            ("backward", self.cell),
            owners,
            lambda: self._prepare(buffers, tape_arrays, e, W, workspace.loops is None),
        )
        for array in prepared.boundary:
            array[-1] = 0
        for name in self.memoryless:
            prepared.adjoints[name][:] = 0
        exponents = None
        loop = None if workspace.loops is None else workspace.loops.backward(self.cell, e.dtype)
        has_loss = _has_loss(e, workspace)
        if loop is not None and (
            arrays := compiled_arrays(self.cell, self.plan, params, tape, e, buffers, workspace)
        ):
            arrays["transposed"] = W
            exponents = run_compiled(loop, len(self.cell.split), arrays, has_loss, e, e_exponents)
            return self._deltas(
                params, tape, e, first_loss, with_dx, workspace, prepared, blocks, exponents, arrays
            )
        with unbuffered():
            self._coefficients(prepared.arrays, e, workspace)
            loop = _Loop(prepared.calls, prepared.boundary, has_loss, self.cell.output in self.cell.states)
            if e_exponents is not None:
                exponents = loop.run_with_exponents(e, e_exponents)
            elif has_loss.all():
                loop.run()
            else:
                exponents = loop.run_scaled(check_every)
                if exponents is None:  # an adjoint may have left its range between two checks
                    return self.run(params, tape, e, first_loss, with_dx, workspace, None, check_every=1)
        return self._deltas(params, tape, e, first_loss, with_dx, workspace, prepared, blocks, exponents, {})

    def _buffers(self, params: Params, e: Array, workspace: Workspace) -> dict[str, Array]:
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
            buffers[f"vector {name}"][0] = params[name]
            buffers[f"d {name}"] = buffer(f"d {name}", time, H, batch)
        buffers |= {f"total {name}": buffer(f"total {name}", time, H, batch) for name in cell.totals}
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

    def _tape_arrays(self, tape: CellTape) -> dict[Name, Array]:
        """Return the arrays of the forward pass that the plan uses."""
        cell, H = self.cell, self.cell.hidden_size
        gates = cell.gates_of(tape.inner, tape.states[cell.states[0]][1:])
        arrays = {f"gate {name}": gates[:, i * H : (i + 1) * H] for i, name in enumerate(cell.summed)}
        arrays |= {f"a {name}": tape.inner[f"a_{name}"] for name in cell.split}
        arrays |= {f"previous {name}": tape.states[name][:-1] for name in cell.carried}
        return arrays | {f"saved {name}": tape.inner[name] for name in cell.saved}

    def _prepare(
        self,
        buffers: Mapping[str, Array],
        tape_arrays: Mapping[Name, Array],
        e: Array,
        W: Array,
        is_called: bool,
    ) -> _Prepared:
        """Return the calls of all time steps and the arrays that they use."""
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
        arrays = {**tape_arrays, **buffers} | {f"adjoint {name}": λ[name][1:] for name in cell.states}
        if cell.output not in cell.states:
            arrays[f"adjoint {cell.output}"] = e
        for i, name in enumerate(self._block_names()):
            arrays[f"d {name}"] = blocks[:, i * H : (i + 1) * H]
        for name in cell.carried:
            if name not in self.joined_states:
                arrays[f"back {name}"] = λ[name][:-1]
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

        return _Prepared(cached_calls(time, calls_of) if is_called else calls_of, arrays, λ, boundary)

    def _transposed(self, params: Params, workspace: Workspace) -> Array:
        """Return the transposed recurrent weights, with the columns of the split gates first."""
        names, summed = tuple(self.cell.recurrent), self.rows.summed
        if not names:
            return np.zeros((0, 0), params["W_xh"].dtype)
        rows, H = len(params[names[0]]), self.cell.hidden_size
        W = workspace.array("transposed_weights", (len(names) * H, rows), params[names[0]].dtype)
        for i, name in enumerate(names):
            W[i * H : (i + 1) * H, : self.rows.split] = params[name][summed:].T
            W[i * H : (i + 1) * H, self.rows.split :] = params[name][:summed].T
        return W

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
        e: Array,
        first_loss: int,
        with_dx: bool,
        workspace: Workspace,
        prepared: _Prepared,
        blocks: Array,
        exponents: Array | None,
        compiled: Mapping[Name, Array],
    ) -> CellDeltas:
        cell, split, arrays, λ = self.cell, self.rows.split, prepared.arrays, prepared.adjoints
        of_steps = None if exponents is None else exponents[1:]
        grads = gate_gradients(self.rows, params, tape, blocks, of_steps, workspace)
        for name in cell.vectors:
            grads[name] = _sum_over_time(arrays[f"d {name}"], of_steps)
        dz = blocks[:, split:]
        dx = None
        if with_dx and not is_symbols(tape.x):
            dx = input_gradient(params, tape.x, dz, workspace)
            if of_steps is not None:
                multiply_columns([dx], of_steps)
        recurrent = (dz[:, : self.rows.summed], blocks[:, :split]) if split else (dz,)
        zeros = np.broadcast_to(np.zeros(1, e.dtype), e.shape)
        immediate = {name: zeros for name in cell.states} | {cell.output: e}
        for name, factor in self.plan.immediate.items():
            if f"immediate {name}" in compiled:
                immediate[name] = compiled[f"immediate {name}"]
                continue
            out = workspace.array(f"immediate {name}", e.shape, e.dtype)
            immediate[name] = np.multiply(e, arrays[factor] if isinstance(factor, str) else factor, out=out)
        initial = {name: value[0] for name, value in λ.items()}
        if exponents is not None:
            unscale(initial.values(), exponents[0], np.ones(e.shape[2], bool))
        return CellDeltas(
            grads,
            {name: arrays.get(f"total {name}", λ[name][1:]) for name in cell.states},
            {name: λ[name][1:] for name in cell.states},
            immediate,
            dz,
            recurrent if cell.recurrent else (),
            dx,
            initial,
            first_loss,
            of_steps,
        )


@dataclass(frozen=True)
class _Loop:
    """Loop over the time steps of the backward pass, from the last to the first.

    Attributes:
        of_step: Calls of each time step; the first adds the immediate gradient if `adds_loss` is True.
        boundary: Adjoints of the states, shape (T+1, …, B).
        has_loss: True where an example has a loss, shape (T, B).
        adds_loss: True if the output is a state.
    """

    of_step: Callable[[int], Calls]
    boundary: list[Array]
    has_loss: Array
    adds_loss: bool

    def run(self) -> None:
        """Run the loop without scaling."""
        for t in range(len(self.has_loss) - 1, -1, -1):
            for function, arguments in self.of_step(t):
                function(*arguments)

    def run_with_exponents(self, e: Array, e_exponents: Array) -> Array:
        """Run the loop for scaled immediate gradients and return the exponents of all adjoints, (T+1, B).

        In each time step, the adjoints and e[t] are brought to the larger of their two exponents, then added.
        """
        time, batch = self.has_loss.shape
        exponents, scale = np.zeros((time + 1, batch), np.int32), np.zeros(batch, np.int32)
        for t in range(time - 1, -1, -1):
            parts = [part[t + 1] for part in self.boundary]
            scale = align(parts, scale, e[t], e_exponents[t], self.has_loss[t])
            exponents[t + 1, :] = scale
            for function, arguments in self.of_step(t):
                function(*arguments)
            rescale([part[t] for part in self.boundary], scale)
        exponents[0] = scale
        return exponents

    def run_scaled(self, check_every: int) -> Array | None:
        """Run the loop and return the exponents of all adjoints, shape (T+1, B).

        The result is None if the adjoint of an example became 0, non-finite or too small for all its digits
        between two checks. The cause may be a change of scale that only checks at every time step can follow.
        """
        time, batch = self.has_loss.shape
        exponents = np.zeros((time + 1, batch), np.int32)
        scale, level = np.zeros(batch, np.int32), np.full(batch, TARGET)
        alive, fresh = np.zeros(batch, bool), np.zeros(batch, bool)
        interval = countdown = min(FIRST_CHECK, check_every)
        any_loss = np.asarray(self.has_loss.any(axis=1))
        for t in range(time - 1, -1, -1):
            if any_loss[t]:
                if scale.any():
                    unscale([part[t + 1] for part in self.boundary], scale, self.has_loss[t])
                fresh |= self.has_loss[t]
            exponents[t + 1] = scale
            skip = int(self.adds_loss and not any_loss[t])
            for function, arguments in self.of_step(t)[skip:]:
                function(*arguments)
            countdown -= 1
            if countdown <= 0 and t and not self.has_loss[t - 1].all():
                size, usable = rescale([part[t] for part in self.boundary], scale)
                is_lost = ~usable | (size < PRECISE)
                if check_every > 1 and ((alive | fresh) & is_lost).any():
                    return None
                decay = np.where(alive & ~fresh & usable, level - size, 0).max()
                interval = countdown = int(np.clip(SAFE_DECAY * interval // max(decay, 1), 1, check_every))
                level, alive, fresh = np.where(size < LOWEST, TARGET, size), usable, np.zeros(batch, bool)
        exponents[0] = scale
        return exponents


def _has_loss(e: Array, workspace: Workspace) -> Array:
    """Return a Boolean array (T, B) that is True where an example has a loss."""
    if compiled := workspace.reductions(e.dtype):
        marks = np.empty((len(e), e.shape[2]), bool)
        compiled.mark_losses(e, marks)
        return marks
    differs = np.not_equal(e, 0, out=workspace.array("has_loss", e.shape, bool))
    return np.asarray(differs.any(axis=1))


def _sum_over_time(parts: Array, exponents: Array | None) -> Array:
    """Return the sum of gradients by unit over time and examples, shape (H, 1)."""
    if exponents is not None:
        parts = parts.copy()
        multiply_columns([parts], exponents)
    return np.asarray(parts.sum(axis=(0, 2))[:, None])
