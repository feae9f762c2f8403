"""Measurements of a recorded call: gradient norms by time step, and lag curves."""

from dataclasses import dataclass

import numpy as np

from rnnlab.arrays import Array
from rnnlab.cells import CellTape
from rnnlab.diagnostics import curves, lag_curves_of
from rnnlab.diagnostics.lag_curves import UNIT_DRAWS
from rnnlab.norms import norm
from rnnlab.records import Curve
from rnnlab.torch.backpropagation import (
    Incoming,
    backward,
    forward,
    immediate,
    log_of_joint,
    state_norms,
    turned,
)
from rnnlab.torch.calls import Call
from rnnlab.torch.layers import Direction

DIRECTIONS = ("forward", "reverse")
_TOLERANCE, _HALF_TOLERANCE = 1e-3, 0.05
"""Largest difference between the outputs of the module and those computed by rnnlab, relative to the largest
output if it exceeds 1."""
_CHECKED_STEPS = 20


class NotReproduced(ValueError):
    """Exception raised if rnnlab does not compute the outputs that the module returned."""


@dataclass(frozen=True)
class Measured:
    """Curves of one direction of a module.

    Attributes:
        norms: Norms by time step, and norms of the states.
        unit: Lag curves of a random unit vector on the final output.
        own: Logarithms of the lag curves of the user's loss; empty unless its gradient reaches the outputs
            of each sequence at one time step only.
    """

    norms: list[Curve]
    unit: list[Curve]
    own: dict[str, Array]


def measure(
    call: Call, sequences: int, curve_sequences: int, factor: float, seed: int
) -> dict[str, Measured]:
    """Measure a call, and return the curves by direction.

    Args:
        call: The call.
        sequences: Maximum number of sequences whose norms are measured.
        curve_sequences: Maximum number of sequences whose lag curves are measured.
        factor: Factor of all gradients of the loss.
        seed: Seed of the random unit vectors.

    Raises:
        NotReproduced: If the outputs of the module are not reproduced.
    """
    some = slice(0, sequences)
    layers, lengths = call.layers(some), call.lengths[some]
    with np.errstate(all="ignore"):
        tapes, outputs = forward(layers, call.x[..., some], lengths, call.masks(some))
        _check(call, outputs, lengths, some)
        norms, own = _of_loss(call, layers, tapes, lengths, some, factor)
        few = slice(0, min(curve_sequences, len(lengths)))
        unit = _of_unit_vectors(call, layers, tapes, lengths, few, seed)
    names = DIRECTIONS if len(layers[0]) == 2 else ("",)
    return {
        name: Measured(
            curves("timestep", np.arange(1, len(call.x) + 1), norms[d], layer=_layer(layers)),
            lag_curves_of(unit[d]),
            own[d],
        )
        for d, name in enumerate(names)
    }


def _check(call: Call, outputs: Array, lengths: Array, some: slice) -> None:
    """Compare the first time steps of each direction; chaos amplifies differences of rounding later."""
    H = outputs.shape[1] // len(call.weights[0])
    for d in range(len(call.weights[0])):
        rows = slice(d * H, (d + 1) * H)
        own, expected = outputs[:, rows], call.output[:, rows, some]
        if d == 1:
            own, expected = turned(own, lengths), turned(expected, lengths)
        own, expected = own[:_CHECKED_STEPS], expected[:_CHECKED_STEPS]
        is_there = (np.arange(len(own))[:, None] < lengths)[:, None, :]
        both = is_there & np.isfinite(expected) & np.isfinite(own)
        scale = max(1.0, float(np.abs(np.where(both, expected, 0)).max()))
        difference = float(np.abs(np.where(both, own - expected, 0)).max())
        if difference > scale * (_HALF_TOLERANCE if call.is_half else _TOLERANCE):
            reason = "; the dropout mask could not be recovered" if call.rng_state is not None else ""
            raise NotReproduced(f"the outputs differ from those of rnnlab by {difference:.2g}{reason}")


def _of_loss(
    call: Call,
    layers: list[list[Direction]],
    tapes: list[list[CellTape]],
    lengths: Array,
    some: slice,
    factor: float,
) -> tuple[list[dict[str, Array]], list[dict[str, Array]]]:
    """Return, by direction, the logarithms of the norms by time step and of the lag curves of the loss."""
    directions, top, H = len(layers[0]), len(layers) - 1, layers[0][0].cell.hidden_size
    norms: list[dict[str, Array]] = [{} for _ in range(directions)]
    e, exponents, straight = call.d_output(some), None, None
    for number in range(top, -1, -1):
        gradients, scales, direct = [], [], []
        for d, direction in enumerate(layers[number]):
            part, of_part = _of_direction(e, exponents, d, H, lengths)
            final = call.d_final(number * directions + d, some)
            incoming = Incoming(part, of_part, final, is_from_above=number < top)
            tape = tapes[number][d]
            logs, dx, scale = backward(direction, tape, incoming, lengths, with_dx=number > 0)
            del logs["dW_hh"]
            above, _ = _of_direction(straight, None, d, H, lengths)
            of_loss, own_dx = immediate(direction, tape, incoming, lengths, above)
            logs |= of_loss
            logs = {name: values + np.log(factor) for name, values in logs.items()}
            logs |= state_norms(direction.cell, tape)
            norms[d] |= {_name(layers, number, name): values for name, values in logs.items()}
            if d == 1:
                dx, scale = turned(dx, lengths), _turned_scale(scale, lengths)
                own_dx = turned(own_dx, lengths)
            direct.append(own_dx)
            gradients.append(dx)
            scales.append(scale)
        if number > 0:
            e, exponents = _sum(gradients, scales)
            masks = call.masks(some)
            straight = np.sum(direct, axis=0)
            if masks:
                e, straight = e * masks[number - 1], straight * masks[number - 1]
    _add_joint(norms, layers)
    is_below = any(part.any() for i in range(top * directions) for part in call.d_final(i, some).values())
    own: list[dict[str, Array]] = [{} for _ in range(directions)]
    if directions == 1 or top == 0:
        own = [_by_lag_of_one_loss(logs, lengths, _name(layers, top, ""), is_below) for logs in norms]
    for d in range(directions):
        is_after = np.arange(1, len(call.x) + 1)[:, None] > lengths
        norms[d] = {name: _in_time(values, is_after, lengths, d) for name, values in norms[d].items()}
    return norms, own


def _of_direction(
    e: Array | None, exponents: Array | None, d: int, H: int, lengths: Array
) -> tuple[Array | None, Array | None]:
    """Return the rows of one direction, in its own order of time steps."""
    if e is None:
        return None, None
    part = np.ascontiguousarray(e[:, d * H : (d + 1) * H])
    if d == 0:
        return part, exponents
    return turned(part, lengths), None if exponents is None else _turned_scale(exponents, lengths)


def _turned_scale(scale: Array, lengths: Array) -> Array:
    return turned(scale[:, None, :], lengths)[:, 0]


def _sum(gradients: list[Array], scales: list[Array]) -> tuple[Array, Array]:
    """Return the sum of the input gradients of both directions, with its exponents."""
    if len(gradients) == 1:
        return gradients[0], scales[0]
    present = [part.any(axis=1) for part in gradients]
    lowest = np.iinfo(np.int64).min // 4
    common = np.max(
        [np.where(own, scale, lowest) for own, scale in zip(present, scales, strict=True)], axis=0
    )
    total = np.zeros_like(gradients[0])
    for part, scale in zip(gradients, scales, strict=True):
        shift = np.clip(scale - common, -1000, 0).astype(np.int32)
        total += part * np.ldexp(np.ones(1, part.dtype), shift)[:, None, :]
    return total, np.where(common == lowest, 0, common)


def _in_time(values: Array, is_after: Array, lengths: Array, d: int) -> Array:
    """Return values by time step of the sequence, NaN after its end."""
    values = np.where(is_after, np.nan, values)
    return _turned_scale(values, lengths) if d == 1 else values


def _by_lag_of_one_loss(logs: dict[str, Array], lengths: Array, top: str, is_below: bool) -> dict[str, Array]:
    """Return lag curves from norms by time step, if the loss of each sequence is at one time step only.

    `is_below` is True if the loss also depends on the final states of a lower layer.
    """
    h = logs[f"{top}h_immediate"] > -np.inf
    has_loss = h | (logs[f"{top}c_immediate"] > -np.inf) if f"{top}c_immediate" in logs else h
    if is_below:
        has_loss = has_loss | (np.arange(1, len(h) + 1)[:, None] == lengths)
    if not has_loss.any() or has_loss.sum(axis=0).max() > 1:
        return {}
    ends = np.where(has_loss.any(axis=0), has_loss.argmax(axis=0) + 1, 0)
    unwanted = ("_immediate", "_norm", "z")
    kept = {name: values for name, values in logs.items() if not name.endswith(unwanted)}
    kept = {name: values for name, values in kept.items() if name in ("x", "l1.x") or not name.endswith("x")}
    return {name: _by_lag(values[: ends.max()], ends) for name, values in kept.items()}


def _of_unit_vectors(
    call: Call,
    layers: list[list[Direction]],
    tapes: list[list[CellTape]],
    lengths: Array,
    few: slice,
    seed: int,
) -> list[dict[str, Array]]:
    """Return, by direction, ln of the lag curves of random unit vectors on the final output."""
    directions, ends = len(layers[0]), np.tile(lengths[few], UNIT_DRAWS)
    examples = len(lengths[few])
    start = _unit_vectors(layers[-1][0].cell.output_size, examples, seed, call.x.dtype)
    masks = [np.tile(mask, UNIT_DRAWS) for mask in call.masks(few)]
    found: list[dict[str, Array]] = [{} for _ in range(directions)]
    for d in range(directions):
        e = exponents = None
        for number in range(len(layers) - 1, -1, -1):
            direction, is_top = layers[number][d], number == len(layers) - 1
            own_loss = is_top or directions == 2
            final = {direction.cell.output: start} if own_loss else {}
            incoming = Incoming(None if own_loss else e, exponents, final, is_from_above=not own_loss)
            tape = _some_examples(tapes[number][d], few)
            logs, e, exponents = backward(direction, tape, incoming, ends, UNIT_DRAWS, with_dx=number > 0)
            if masks and number > 0 and directions == 1:
                e = e * masks[number - 1]
            del logs["z"]
            if number > 0 and directions == 1:
                del logs["x"]
            found[d] |= {_name(layers, number, name): values for name, values in logs.items()}
    if directions == 1:
        _add_joint(found, layers)
    return [
        {name: _mean_of_draws(_by_lag(values, ends), examples) for name, values in logs.items()}
        for logs in found
    ]


def _unit_vectors(size: int, examples: int, seed: int, dtype: np.dtype[np.generic]) -> Array:
    """Return random unit vectors as columns, each the same for all examples; the draws of `lag_curve`."""
    rng = np.random.default_rng(seed)
    drawn = [rng.standard_normal((size, 1)) for _ in range(UNIT_DRAWS)]
    return np.concatenate([np.repeat(w / norm(w, axis=0), examples, axis=1) for w in drawn], axis=1).astype(
        dtype
    )


def _some_examples(tape: CellTape, few: slice) -> CellTape:
    states = {name: values[..., few] for name, values in tape.states.items()}
    inner = {name: values[..., few] for name, values in tape.inner.items()}
    return CellTape(tape.x[..., few], states, inner, tape.output)


def _mean_of_draws(logs: Array, examples: int) -> Array:
    return np.asarray(logs.reshape(len(logs), UNIT_DRAWS, examples).mean(axis=1))


def _by_lag(logs: Array, ends: Array) -> Array:
    """Reindex an array (T, C) by lag; lag 0 is the time step `ends` of each column, NaN beyond step 1."""
    steps = ends - 1 - np.arange(len(logs))[:, None]
    return np.where(steps >= 0, np.take_along_axis(logs, np.maximum(steps, 0), axis=0), np.nan)


def _add_joint(found: list[dict[str, Array]], layers: list[list[Direction]]) -> None:
    """Add the state of all layers together, in a module of several layers."""
    if len(layers) > 1:
        for logs in found:
            logs["state"] = log_of_joint([logs[f"l{n}.state"] for n in range(1, len(layers) + 1)])


def _name(layers: list[list[Direction]], number: int, name: str) -> str:
    return f"l{number + 1}.{name}" if len(layers) > 1 else name


def _layer(layers: list[list[Direction]]) -> int:
    return 0 if len(layers) > 1 else 1
