"""Per-example gradient norms at every time step of the training batch.

The batch loss L is the mean of the losses ℓ_b of B examples, so the gradient norm of ℓ_b includes a factor B:

    ‖∂ℓ_b/∂s[t]‖ := B · ‖∂L/∂s[t][:, b]‖₂

These norms do not depend on the batch size, and gradients of different examples do not cancel.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from rnnlab.arrays import Array, Params
from rnnlab.cells import Cell, CellDeltas, CellTape, StepDeltas, StepTape, layers_of
from rnnlab.diagnostics.snapshot import Readings, Snapshot
from rnnlab.diagnostics.statistics import curves
from rnnlab.engine.weights import is_symbols
from rnnlab.norms import SAFE_SQUARES, norm
from rnnlab.workspace import Calls, Workspace

_COPY_ELEMENTS = 2**17  # maximum elements per copy
_COLUMNS = 256


def measure_norms(snapshot: Snapshot) -> Readings:
    """Measure norms of states, and of gradients with respect to states, pre-activations and inputs.

    The norms of total gradients are `h`, `c`, `state` (the state adjoint), `z` and `x`. Immediate gradients
    include only the loss at the same time step; the norms of immediate gradients are `h_immediate` and so on.
    In a layer below the top layer, immediate gradients follow the paths through the layers above within the
    time step.
    The norms of the states are `h_norm` and `c_norm`. All gradients are gradients of the training loss. If
    the training loss is a mean over time, each of the N targets of an example has weight 1/N, whereas the
    single target of a lag curve has weight 1.
    """
    layers = snapshot.layers()
    index, found = np.arange(1, snapshot.tape.cell.time + 1), []
    states = []
    for (layer, part), immediate in zip(layers, _log_norms_of_immediate(snapshot), strict=True):
        logs = _log_norms(part, immediate)
        states.append(logs["state"])
        found += curves("timestep", index, logs, layer=layer.number)
    if len(layers) > 1:
        found += curves("timestep", index, {"state": log_of_root_sum_squares(states)}, layer=0)
    return Readings(found)


def _log_norms(snapshot: Snapshot, immediate: Mapping[str, Array]) -> dict[str, Array]:
    """Return ln of all norms of one layer, as arrays (T, B), including those of `immediate`."""
    cell, tape, deltas = snapshot.model.cell, snapshot.tape.cell, snapshot.deltas
    workspace = snapshot.workspace
    logs = log_norms_by_timestep(cell, tape, deltas, workspace)
    logs |= {**_log_norms_of_inputs(snapshot), **immediate}
    for name in cell.states:
        logs[f"{name}_norm"] = log_norm_of_steps(tape.states[name][1:], workspace)
    return logs


def _log_norms_of_inputs(snapshot: Snapshot) -> dict[str, Array]:
    """Return ln of the norms of the total gradients with respect to z[t] and x[t]."""
    cell, deltas, batch = snapshot.model.cell, snapshot.deltas, snapshot.tape.cell.x.shape[-1]
    inputs = _Inputs.of(cell, snapshot.params, deltas.dz is not None, deltas.own_dx is not None)
    logs = {name: np.empty((snapshot.tape.cell.time, batch)) for name in inputs.names}
    for steps in _some_steps(snapshot.tape.cell.time, batch):
        dz, dx = (None if a is None else as_columns(a[steps]) for a in (deltas.dz, deltas.own_dx))
        for name, a in inputs.gradients(dz, dx).items():
            logs[name][steps] = _log_norms_of_columns(a, batch)
    return {name: values + deltas.log_scale for name, values in logs.items()}


@dataclass(frozen=True)
class _Inputs:
    """Gradients with respect to z[t] and x[t]; the second follows from the first, or the cell gives it."""

    names: tuple[str, ...]
    W_xhT: Array | None

    @classmethod
    def of(cls, cell: Cell, params: Params, has_dz: bool, has_own_dx: bool) -> "_Inputs":
        matrix = cell.input_matrix if has_dz else None
        W_xhT = None if matrix is None else np.ascontiguousarray(params[matrix].T)
        names = ("z", "x") if W_xhT is not None else ("x",) if has_own_dx else ()
        return cls(names, W_xhT)

    def gradients(self, dz: Array | None, dx: Array | None) -> dict[str, Array]:
        """Return the gradients, arranged as columns (F, S·B)."""
        of_x = self.W_xhT @ dz if dx is None and dz is not None and self.W_xhT is not None else dx
        found = {"z": dz, "x": of_x}
        return {name: a for name in self.names if (a := found[name]) is not None}


def _log_norms_of_immediate(snapshot: Snapshot) -> list[dict[str, Array]]:
    """Return, by layer, ln of the norms of the immediate gradients with respect to z[t] and x[t].

    Below the top layer, the immediate gradients with respect to the states are included.
    """
    tape, deltas, layers = snapshot.tape.cell, snapshot.deltas, layers_of(snapshot.model.cell)
    batch, e = tape.x.shape[-1], deltas.immediate[snapshot.model.cell.output]
    of_inputs: list[_Inputs] = []
    logs: list[dict[str, Array]] = []
    for layer, own in zip(layers, deltas.layers or (deltas,), strict=True):
        params = layer.take(snapshot.params)
        of_inputs.append(_Inputs.of(layer.cell, params, own.dz is not None, own.own_dx is not None))
        names = (*(() if layer is layers[-1] else layer.cell.states), *of_inputs[-1].names)
        logs.append({name: np.full((tape.time, batch), -np.inf) for name in names})
    for steps in _some_steps(tape.time, batch) if any(logs) else ():
        has_loss = slice(max(steps.start, deltas.first_loss), steps.stop)
        if has_loss.start >= has_loss.stop:
            continue
        found = immediate_deltas(snapshot.model.cell, snapshot.params, tape, e, has_loss)
        for part, inputs, log in zip(found.layers or (found,), of_inputs, logs, strict=True):
            arrays = dict(part.total) | inputs.gradients(part.dz, part.dx)
            for name in log:
                log[name][has_loss] = _log_norms_of_columns(arrays[name], batch)
    return [{f"{name}_immediate": values for name, values in log.items()} for log in logs]


def _log_norms_of_columns(a: Array, batch: int) -> Array:
    """Return ln of the norms of the columns of an array (F, S·B), per example, as an array (S, B)."""
    return np.asarray(log_norm_of_steps(a[None]).reshape(-1, batch) + np.log(batch))


def log_norms_by_timestep(
    cell: Cell, tape: CellTape, deltas: CellDeltas, workspace: Workspace | None = None
) -> dict[str, Array]:
    """Return ln of the norms of the total and immediate gradients, as arrays (T, B); -inf where a norm is 0.

    The entry `state` is for the state adjoint; for a cell with a single state, `state` equals `h`. The
    workspace selects the engine.
    """
    first, logs = deltas.first_loss, dict[str, Array]()
    examples = np.log(tape.x.shape[-1])
    if workspace is not None and deltas.above is None:
        key = (deltas.total, deltas.immediate, deltas.adjoint)
        squares: _CompiledSquares | None = workspace.prepared(
            ("norms", first), key, lambda: _CompiledSquares.of(cell, deltas, workspace)
        )
        if squares is not None:
            return squares.logs(deltas.log_scale, examples)
    for name in cell.states:
        logs[name] = log_norm_of_steps(deltas.total[name], workspace) + deltas.log_scale + examples
        if name not in deltas.immediate:
            continue
        immediate = np.full_like(logs[name], -np.inf)
        immediate[first:] = log_norm_of_steps(deltas.immediate[name][first:], workspace) + examples
        logs[f"{name}_immediate"] = immediate
    parts = []
    for name, adjoint in deltas.adjoint.items():
        if deltas.above is not None and name == cell.output:
            adjoint = adjoint - deltas.above  # the state alone, as an input of the next time step
        elif np.shares_memory(adjoint, deltas.total[name]):
            parts.append(logs[name])
            continue
        parts.append(log_norm_of_steps(adjoint, workspace) + deltas.log_scale + examples)
    return logs | {"state": log_of_root_sum_squares(parts)}


@dataclass(frozen=True)
class _CompiledSquares:
    """Sums of squares of several gradients, which compiled functions write to one array.

    Attributes:
        calls: Functions with their arguments.
        squares: Sums of squares, shape (number of norms, T, B); the first is for several state adjoints.
        names: Name and index of each norm.
        immediate: Index of the first immediate gradient; all gradients before it are scaled.
    """

    calls: Calls
    squares: Array
    names: Mapping[str, int]
    immediate: int

    @staticmethod
    def of(cell: Cell, deltas: CellDeltas, workspace: Workspace) -> "_CompiledSquares | None":
        """Prepare the calls; None if the engine or the arrays have no compiled form."""
        total, adjoint, calls = deltas.total, deltas.adjoint, Calls()
        others = [name for name in adjoint if not np.shares_memory(adjoint[name], total[name])]
        parts = {name: total[name] for name in cell.states} | {f"adjoint {n}": adjoint[n] for n in others}
        immediate = len(parts) + 1
        parts |= {f"{n}_immediate": deltas.immediate[n] for n in cell.states if n in deltas.immediate}
        time, _, batch = next(iter(parts.values())).shape
        squares = np.zeros((len(parts) + 1, time, batch))
        index = {name: i for i, name in enumerate(parts, 1)}
        for i, part in enumerate(parts.values(), 1):
            compiled = workspace.reductions(part.dtype) if part.dtype == np.float32 else None
            rows = _rows_of_buffer(part)
            if compiled is None or (rows is None and any(part.strides)):
                return None
            if rows is not None:  # otherwise, all elements are the same zero
                start = deltas.first_loss if i >= immediate else 0
                arguments = (rows[0][start:], rows[1], part.shape[1], squares[i, start:])
                calls.append((compiled.sum_squares_of_steps, arguments))
        state, *more = (index[f"adjoint {name}" if name in others else name] for name in adjoint)
        for other in more:
            calls.append((np.add, (squares[state], squares[other], squares[0])))
            state = 0
        kinds = (kind for name in cell.states for kind in (name, f"{name}_immediate") if kind in index)
        names = {kind: index[kind] for kind in kinds} | {"state": state}
        return _CompiledSquares(calls, squares, names, immediate)

    def logs(self, log_scale: Array | float, examples: float) -> dict[str, Array]:
        """Return ln of the norms of an example."""
        for function, arguments in self.calls:
            function(*arguments)
        with np.errstate(all="ignore"):
            logs = np.log(self.squares)
        logs *= 0.5
        if not isinstance(log_scale, float):
            logs[: self.immediate] += log_scale
        logs += examples
        return {name: logs[i] for name, i in self.names.items()}


def log_of_root_sum_squares(logs: Sequence[Array]) -> Array:
    """Return ln √(Σ exp(2 l)) of the given logarithms l."""
    if len(logs) == 1:
        return logs[0]
    with np.errstate(invalid="ignore"):  # NaN inputs
        return np.asarray(0.5 * reduce(np.logaddexp, [2 * log for log in logs]))


def log_norm_of_steps(a: Array, workspace: Workspace | None = None) -> Array:
    """Return ln of the norm over features: an array (T, B) for a sequence of shape (T, F, B).

    Norms are first computed from an unscaled sum of squares. At time steps where this sum may underflow or
    overflow, the norms are then recomputed. For float32 arrays, the norms are recomputed in float64, whose
    range covers the squares of all float32 numbers. For float64 arrays, the norms are recomputed by
    `rnnlab.norms.norm`, which takes several times as long. The compiled engine sums all squares of float32
    numbers in float64.
    """
    compiled = None if workspace is None or a.dtype != np.float32 else workspace.reductions(a.dtype)
    if compiled and (rows := _rows_of_buffer(a)):
        squares = np.empty((len(a), a.shape[2]))
        compiled.sum_squares_of_steps(*rows, a.shape[1], squares)
        with np.errstate(all="ignore"):
            return np.asarray(0.5 * np.log(squares))
    with np.errstate(all="ignore"):
        squares = np.einsum("thb,thb->tb", a, a)
        logs: Array = 0.5 * np.log(squares, dtype=np.float64)
        if squares.min() > SAFE_SQUARES[0] and squares.max() < SAFE_SQUARES[1]:
            return logs
        unsafe = ~((squares > SAFE_SQUARES[0]) & (squares < SAFE_SQUARES[1])).all(axis=1)
        chunk = max(_COPY_ELEMENTS // a[0].size, 1)  # time steps per copy
        unsafe_steps = np.flatnonzero(unsafe)
        for steps in (unsafe_steps[start : start + chunk] for start in range(0, len(unsafe_steps), chunk)):
            if a.dtype == np.float32:
                wide = a[steps].astype(np.float64)
                logs[steps] = 0.5 * np.log(np.einsum("thb,thb->tb", wide, wide))
            else:
                logs[steps] = np.log(norm(a[steps], axis=1))
    return logs


def _rows_of_buffer(a: Array) -> tuple[Array, int] | None:
    """Return contiguous time steps (T, R, B) and the first of their rows that belongs to `a`, or None."""
    if a.flags.c_contiguous:
        return a, 0
    base = a.base
    if not isinstance(base, np.ndarray) or base.ndim != 3 or not base.flags.c_contiguous:
        return None
    offset = a.__array_interface__["data"][0] - base.__array_interface__["data"][0]
    time, inside = divmod(offset, base.strides[0])
    if a.strides != base.strides or a.shape[2] != base.shape[2] or inside % base.strides[1]:
        return None
    return base[time : time + len(a)], inside // base.strides[1]


def joint_log_norm(parts: Mapping[str, Array], axis: int) -> Array:
    """Return ln of the norm of several arrays concatenated along `axis`; -inf where the norm is 0."""
    total = norm(np.stack([norm(part, axis) for part in parts.values()]), axis=0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(total))


def immediate_deltas(cell: Cell, params: Params, tape: CellTape, e: Array, steps: slice) -> StepDeltas:
    """Return the gradients of the loss at t alone for a slice of time steps, arranged as columns (…, S·B).

    A single adjoint step processes all time steps; the adjoint of the output is e[t], and all others are 0.
    """
    after_steps = slice(steps.start + 1, steps.stop + 1)
    e, x = as_columns(e[steps]), tape.x[steps]
    step = StepTape(
        x.reshape(-1) if is_symbols(x) else as_columns(x),
        {name: as_columns(values[steps]) for name, values in tape.states.items()},
        {name: as_columns(values[after_steps]) for name, values in tape.states.items()},
        {name: as_columns(values[steps]) for name, values in tape.inner.items()},
    )
    zeros = {name: np.zeros((size, e.shape[1]), e.dtype) for name, size in cell.state_sizes.items()}
    return cell.adjoint_step(params, step, cell.with_immediate(zeros, e))


def as_columns(a: Array) -> Array:
    """Reshape a sequence (S, F, B) to (F, S·B)."""
    return a.transpose(1, 0, 2).reshape(a.shape[1], len(a) * a.shape[2])


def _some_steps(time: int, batch: int) -> Iterator[slice]:
    """Return slices of the time axis, short enough for intermediate results to fit into a core's cache."""
    steps = max(_COLUMNS // batch, 1)
    return (slice(start, min(start + steps, time)) for start in range(0, time, steps))
