"""Forward and backward passes through the layers of a module, with the gradients that torch delivered.

The layers are processed one after another, each in its one or two directions. A direction that reads the
sequence from its end numbers the time steps in its own order of reading; sequences shorter than the longest
one start at time step 1 in either direction.

In the backward pass, each column is scaled by a power of two after every time step, so that vanishing and
exploding gradients stay in the range of their data type.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rnnlab.arrays import Array
from rnnlab.cells import Cell, CellTape, States, StepTape
from rnnlab.diagnostics.norms import as_columns, log_norm_of_steps
from rnnlab.torch.layers import Direction

_RANGE = 20
"""The largest element of a column is kept between 2^-20 and 2^20."""
_PENDING_ELEMENTS = 2**22
"""Number of elements that are collected before their norms are computed."""
_COLUMNS = 256
_SMALLEST = -1000
"""Smaller powers of two count as 0 when gradients are added."""


@dataclass(frozen=True)
class Incoming:
    """Gradient with respect to the outputs of a layer in one direction.

    Attributes:
        values: Gradients by time step, shape (T, H, C); None if all are 0.
        exponents: Binary exponents of `values`, shape (T, C); None if all are 0.
        final: Gradient with respect to each final state, shape (H, C).
        is_from_above: True if `values` come from the layer above rather than from the loss.
    """

    values: Array | None
    exponents: Array | None
    final: States
    is_from_above: bool = False

    def at(self, t: int, ends: Array, output: str, from_loss: bool) -> tuple[dict[str, Array], Array | int]:
        """Return the gradient at time step t that comes from the loss, or from above, with exponents."""
        parts: dict[str, Array] = {}
        exponents: Array | int = 0
        if self.values is not None and self.is_from_above is not from_loss:
            parts[output] = self.values[t - 1]
            exponents = 0 if self.exponents is None else self.exponents[t - 1]
        is_end = ends == t
        if from_loss and is_end.any():
            for name, final in self.final.items():
                part = np.where(is_end, final, 0)
                parts[name] = parts[name] + part if name in parts else part
        return parts, exponents


def forward(
    layers: Sequence[Sequence[Direction]], x: Array, lengths: Array, masks: Sequence[Array]
) -> tuple[list[list[CellTape]], Array]:
    """Return the tape of each layer and direction, and the outputs of the top layer, (T, D·H, B).

    Args:
        layers: Directions of each layer, the bottom layer first.
        x: Inputs, shape (T, X, B).
        lengths: Number of time steps of each sequence, shape (B,).
        masks: Factors of the outputs of each layer but the top one (dropout), or an empty sequence.
    """
    tapes: list[list[CellTape]] = []
    inputs = x
    for number, layer in enumerate(layers):
        own, outputs = [], []
        for direction in layer:
            seen = turned(inputs, lengths) if direction.is_reverse else np.ascontiguousarray(inputs)
            tape = direction.cell.forward(direction.params, seen, direction.start)
            own.append(tape)
            outputs.append(turned(tape.outputs, lengths) if direction.is_reverse else tape.outputs)
        tapes.append(own)
        inputs = outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=1)
        if masks and number < len(layers) - 1:
            inputs = inputs * masks[number]
    return tapes, inputs


def turned(a: Array, lengths: Array) -> Array:
    """Reverse the first `lengths[b]` time steps of each sequence of an array of shape (T, F, B)."""
    t = np.arange(len(a))[:, None]
    return np.take_along_axis(a, np.where(t < lengths, lengths - 1 - t, t)[:, None, :], axis=0)


def backward(
    direction: Direction,
    tape: CellTape,
    incoming: Incoming,
    ends: Array,
    draws: int = 1,
    with_dx: bool = False,
) -> tuple[dict[str, Array], Array, Array]:
    """Backpropagate through one layer in one direction.

    Args:
        direction: The layer.
        tape: Tape of B sequences.
        incoming: Gradient with respect to the outputs, with C = B · draws columns; column d·B + b belongs to
            sequence b.
        ends: Last time step of each column, shape (C,).
        draws: Number of gradients that are propagated for each sequence.
        with_dx: True to return the gradients with respect to the inputs.

    Returns:
        Natural logarithms of the norms of the total gradients (`h`, `c`), of the state adjoint (`state`), of
        `z`, `x` and of the contribution to the recurrent matrix (`dW_hh`), each of shape (T, C), -inf where a
        norm is 0; and the input gradients, (T, X, C), with their exponents, (T, C).
    """
    cell, params, time, columns = direction.cell, direction.params, tape.time, len(ends)
    dtype = tape.outputs.dtype
    W_xhT = np.ascontiguousarray(params["W_xh"].T)
    norms = _Norms(time, columns)
    dx = np.zeros((time if with_dx else 0, cell.input_size, columns), dtype)
    scale, of_state = (np.zeros((time, columns), np.int64) for _ in range(2))
    adjoint = {name: np.zeros((size, columns), dtype) for name, size in cell.state_sizes.items()}
    exponents = np.zeros(columns, np.int64)
    own_parts = [name for name in cell.states if incoming.is_from_above or name != cell.output]
    for t in range(time, 0, -1):
        adjoint, exponents = _plus(adjoint, exponents, *incoming.at(t, ends, cell.output, from_loss=True))
        of_state[t - 1] = exponents
        found = {f"adjoint {name}": adjoint[name] for name in own_parts}
        adjoint, exponents = _plus(adjoint, exponents, *incoming.at(t, ends, cell.output, from_loss=False))
        deltas = cell.adjoint_step(params, _repeated(tape.step(t), draws), adjoint)
        assert deltas.dz is not None
        of_x = W_xhT @ deltas.dz
        found |= {name: deltas.total[name] for name in cell.states} | {"z": deltas.dz, "x": of_x}
        if deltas.recurrent is not None and deltas.recurrent is not deltas.dz:
            found["recurrent"] = deltas.recurrent
        norms.add(t, found)
        if with_dx:
            dx[t - 1] = of_x
        scale[t - 1] = exponents
        adjoint, exponents = _rescaled(deltas.before, exponents)
    logs = norms.finish()
    parts = [logs.pop(f"adjoint {name}") for name in own_parts]
    logs["state"] = log_of_joint([*parts, logs["h"]] if cell.output not in own_parts else parts)
    of_before = log_norm_of_steps(tape.states[cell.recurrent_state][:time])
    logs["dW_hh"] = logs.pop("recurrent", logs["z"]) + np.tile(of_before, draws)
    for name, values in logs.items():
        values += (of_state if name == "state" else scale) * np.log(2)
    return logs, dx, scale


class _Norms:
    """Norms by time step of arrays that are collected from the last time step to the first."""

    def __init__(self, time: int, columns: int) -> None:
        self._shape = time, columns
        self._logs: dict[str, Array] = {}
        self._pending: dict[str, list[Array]] = {}
        self._first, self._elements = time + 1, 0

    def add(self, t: int, arrays: Mapping[str, Array]) -> None:
        """Collect the arrays of time step t."""
        for name, a in arrays.items():
            self._pending.setdefault(name, []).append(a)
            self._elements += a.size
        self._first = t
        if self._elements > _PENDING_ELEMENTS:
            self._flush()

    def finish(self) -> dict[str, Array]:
        """Return natural logarithms of the norms, (T, C), by name."""
        self._flush()
        return self._logs

    def _flush(self) -> None:
        for name, arrays in self._pending.items():
            if name not in self._logs:
                self._logs[name] = np.full(self._shape, -np.inf)
            steps = slice(self._first - 1, self._first - 1 + len(arrays))
            self._logs[name][steps] = log_norm_of_steps(np.stack(arrays[::-1]))
        self._pending.clear()
        self._elements = 0


def immediate(
    direction: Direction, tape: CellTape, incoming: Incoming, ends: Array, above: Array | None = None
) -> tuple[dict[str, Array], Array]:
    """Return the gradients of the loss at the same time step alone.

    Args:
        direction: The layer.
        tape: Tape of B sequences.
        incoming: Gradient with respect to the outputs.
        ends: Last time step of each sequence, shape (B,).
        above: Immediate gradient that reaches the outputs through the layers above, shape (T, H, B).

    Returns:
        Natural logarithms of the norms, (T, B), and the gradients with respect to the inputs, (T, X, B).
    """
    cell, params, time, examples = direction.cell, direction.params, tape.time, len(ends)
    direct = {n: np.zeros((time, size, examples), tape.outputs.dtype) for n, size in cell.state_sizes.items()}
    for t in range(1, time + 1):
        for name, part in incoming.at(t, ends, cell.output, from_loss=True)[0].items():
            direct[name][t - 1] = part
    if above is not None:
        direct[cell.output] += above
    dx = np.zeros((time, cell.input_size, examples), tape.outputs.dtype)
    logs = {f"{name}_immediate": np.full((time, examples), -np.inf) for name in (*cell.states, "z", "x")}
    has_loss = np.flatnonzero(np.any([part.any(axis=(1, 2)) for part in direct.values()], axis=0))
    for steps in np.array_split(has_loss, max(len(has_loss) * examples // _COLUMNS, 1)):
        if not len(steps):
            continue
        before, after, inner = (
            {name: as_columns(values[steps + shift]) for name, values in named.items()}
            for named, shift in ((tape.states, 0), (tape.states, 1), (tape.inner, 0))
        )
        adjoint = {name: as_columns(part[steps]) for name, part in direct.items()}
        deltas = cell.adjoint_step(params, StepTape(tape.x, before, after, inner), adjoint)
        assert deltas.dz is not None
        found = {name: deltas.total[name] for name in cell.states}
        found |= {"z": deltas.dz, "x": params["W_xh"].T @ deltas.dz}
        dx[steps] = found["x"].reshape(cell.input_size, len(steps), examples).transpose(1, 0, 2)
        for name, values in found.items():
            norms = log_norm_of_steps(np.ascontiguousarray(values)[None])
            logs[f"{name}_immediate"][steps] = norms.reshape(-1, examples)
    return logs, dx


def log_of_joint(logs: Sequence[Array]) -> Array:
    """Return ln √(Σ exp(2 l)) of logarithms l."""
    with np.errstate(all="ignore"):
        return np.asarray(0.5 * np.logaddexp.reduce([2 * part for part in logs]))


def _repeated(step: StepTape, draws: int) -> StepTape:
    """Return the tape of one time step with the columns repeated."""
    if draws == 1:
        return step

    def repeated(named: Mapping[str, Array]) -> dict[str, Array]:
        return {name: np.tile(values, draws) for name, values in named.items()}

    return StepTape(step.x, repeated(step.before), repeated(step.after), repeated(step.inner))


def _plus(
    one: States, exponents: Array, other: Mapping[str, Array], of_other: Array | int
) -> tuple[dict[str, Array], Array]:
    """Return the sum of two scaled gradients; parts that the second lacks are 0."""
    present = np.zeros(len(exponents), bool)
    for part in other.values():
        present |= part.any(axis=0)
    if not present.any():
        return dict(one), exponents
    is_zero = ~np.any([part.any(axis=0) for part in one.values()], axis=0)
    common = np.where(is_zero, of_other, np.where(present, np.maximum(exponents, of_other), exponents))
    kind = next(iter(one.values())).dtype
    factor, of_added = (_power(shift - common, kind) for shift in (exponents, of_other))
    total = {name: part * factor for name, part in one.items()}
    for name, part in other.items():
        total[name] = total[name] + part * of_added
    return total, common


def _power(shift: Array, kind: np.dtype[np.generic]) -> Array:
    """Return 2^shift for shifts of at most 0."""
    return np.ldexp(np.ones(1, kind), np.clip(shift, _SMALLEST, 0).astype(np.int32))


def _rescaled(adjoint: States, exponents: Array) -> tuple[dict[str, Array], Array]:
    """Bring the largest magnitude of each column back into the range."""
    largest = np.max([np.abs(part).max(axis=0) for part in adjoint.values()], axis=0)
    shift = np.frexp(np.where(np.isfinite(largest), largest, 0.0))[1]
    shift = np.where(np.abs(shift) > _RANGE, shift, 0)
    if not shift.any():
        return dict(adjoint), exponents
    return {name: np.ldexp(part, -shift) for name, part in adjoint.items()}, exponents + shift


def state_norms(cell: Cell, tape: CellTape) -> dict[str, Array]:
    """Return ln of the norms of the states, `h_norm` and `c_norm`, (T, B)."""
    return {f"{name}_norm": log_norm_of_steps(tape.states[name][1:]) for name in cell.states}
