"""Passes over a sequence that take one time step after another, for cells without a loop of their own."""

from collections.abc import Callable
from typing import Any

import numpy as np

from rnnlab.arrays import Array, Params
from rnnlab.engine.exponents import align, multiply_columns, rescale, unscale
from rnnlab.engine.single_steps import check_adjoint_step, check_step
from rnnlab.engine.tapes import CellDeltas, CellTape, States


def forward_by_steps(cell: Any, params: Params, x: Array, initial: States) -> CellTape:
    """Run the forward pass over a sequence, starting from the initial states."""
    states: dict[str, list[Array]] = {name: [np.array(value)] for name, value in initial.items()}
    inner: dict[str, list[Array]] = {}
    before = initial
    for t, x_t in enumerate(x):
        result = cell._step(params, x_t, before)
        dtype = next(iter(params.values())).dtype
        before, values = check_step(cell, result, dtype, x.shape[-1]) if t == 0 else result
        for name, value in before.items():
            states[name].append(value)
        for name, value in values.items():
            inner.setdefault(name, []).append(value)
    return CellTape(x, _stacked(states), _stacked(inner), cell.output)


def _stacked(sequences: dict[str, list[Array]]) -> dict[str, Array]:
    return {name: np.stack(values) for name, values in sequences.items()}


def backward_by_steps(
    cell: Any, params: Params, tape: CellTape, e: Array, first_loss: int, e_exponents: Array | None = None
) -> CellDeltas:
    """Backpropagate through time; see `Cell._backward`."""
    time, batch = tape.time, e.shape[2]
    adjoint = {name: np.zeros_like(values[0]) for name, values in tape.states.items()}
    exponents, scale = np.zeros((time, batch), np.int32), np.zeros(batch, np.int32)
    steps: list[dict[str, Any]] = []
    grads: Params = {}
    for t in range(time, 0, -1):
        step, e_t = tape.step(t), e[t - 1]
        if t > first_loss and e_exponents is None:
            unscale(adjoint.values(), scale, (e_t != 0).any(axis=0))
        elif e_exponents is not None:
            parts = list(adjoint.values())
            scale = align(parts, scale, e_t, e_exponents[t - 1], (e_t != 0).any(axis=0))
        adjoint = cell.with_immediate(adjoint, e_t)
        exponents[t - 1] = scale
        deltas = cell.adjoint_step(params, step, adjoint)
        if t == time:
            check_adjoint_step(cell, deltas, e.dtype, batch)
        unscaled = deltas
        if scale.any():
            small = {name: value.copy() for name, value in adjoint.items()}
            multiply_columns(small.values(), scale)
            unscaled = cell.adjoint_step(params, step, small)
        part, dx = cell._step_gradients(params, step, unscaled)
        grads = part if not grads else {name: grads[name] + part[name] for name in part}
        zeros = {name: np.zeros_like(values[0]) for name, values in tape.states.items()}
        own = (
            cell.adjoint_step(params, step, cell.with_immediate(zeros, e_t)).total
            if t > first_loss
            else zeros
        )
        steps.append({"adjoint": adjoint, "deltas": deltas, "dx": dx, "immediate": own})
        adjoint = {name: value.copy() for name, value in deltas.before.items()}
        rescale(list(adjoint.values()), scale)
    steps.reverse()

    def stack(of_step: Callable[[dict[str, Any]], Array | None]) -> Any:
        values = [of_step(step) for step in steps]
        return None if values[0] is None else np.stack(values)  # type: ignore[arg-type]

    unscale(adjoint.values(), scale, np.ones(batch, bool))
    return CellDeltas(
        grads,
        _stacked({name: [step["deltas"].total[name] for step in steps] for name in tape.states}),
        _stacked({name: [step["adjoint"][name] for step in steps] for name in tape.states}),
        _stacked({name: [step["immediate"][name] for step in steps] for name in tape.states})
        | {cell.output: e},
        stack(lambda step: step["deltas"].dz),
        () if deltas.recurrent is None else (stack(lambda step: step["deltas"].recurrent),),
        stack(lambda step: step["dx"]),
        adjoint,
        first_loss,
        exponents if exponents.any() else None,
        own_dx=stack(lambda step: step["deltas"].dx),
    )
