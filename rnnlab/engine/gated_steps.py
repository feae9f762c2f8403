"""One time step of a gated cell, forward and backward, from its declarations and equations."""

from collections.abc import Mapping

import numpy as np

from rnnlab.arrays import Array, Params
from rnnlab.engine.activations import SPLIT
from rnnlab.engine.declarations import Declarations
from rnnlab.engine.plan import Name
from rnnlab.engine.tapes import States, StepDeltas, StepTape
from rnnlab.engine.trace import AdjointPlan, StepPlan, as_tuple, multiply_by_slopes
from rnnlab.engine.weights import input_product


def gated_step(
    cell: Declarations, plan: StepPlan, params: Params, x: Array, before: States
) -> tuple[States, dict[str, Array]]:
    """Return the new states and the values that the backward step needs, each of shape (…, B)."""
    inputs = input_product(params["W_xh"], x)
    if cell.bias:
        inputs = inputs + params["b_h"]
    products = np.zeros_like(inputs)
    for matrix, state in cell.recurrent.items():
        products = products + params[matrix] @ before[state]
    values: dict[Name, Array] = {}
    for name, activation in cell.gates.items():
        rows = cell.rows(name)
        if activation is SPLIT:
            bias = params[f"b_h{name}"] if cell.split_biases else 0
            values |= {f"x {name}": inputs[rows], f"a {name}": products[rows] + bias}
        else:
            values[f"gate {name}"] = activation.apply(inputs[rows] + products[rows])
    values |= {f"previous {name}": before[name] for name in cell.carried}
    values |= {f"vector {name}": params[name] for name in cell.vectors}
    results = as_tuple(cell.step_equations(*[values[name] for name in plan.arguments]))
    named = dict(zip(plan.results, results, strict=True))
    inner = {name: named[f"saved {name}"] for name in cell.saved}
    if cell.summed and not plan.gate_is_state:
        inner["gates"] = np.concatenate([values[f"gate {name}"] for name in cell.summed])
    inner |= {f"a_{name}": values[f"a {name}"] for name in cell.split}
    return {name: named[f"new {name}"] for name in cell.states}, inner


def gated_adjoint_step(
    cell: Declarations, plan: AdjointPlan, params: Params, tape: StepTape, adjoint: States
) -> StepDeltas:
    """Backpropagate the state adjoint λ[t] through one time step; `adjoint` also contains the output."""
    values = {f"adjoint {name}": value for name, value in adjoint.items()}
    values |= tape_values(cell, tape.before, tape.after, tape.inner)
    values |= {f"vector {name}": params[name] for name in cell.vectors}
    results = as_tuple(cell.adjoint_equations(*[values[name] for name in plan.arguments]))
    named = dict(zip(plan.results, results, strict=True))
    multiply_by_slopes(cell, named, values)
    blocks = [named[f"d {name}"] for name in cell.summed]
    dz = np.concatenate([*blocks, *(named[f"d x {name}"] for name in cell.split)])
    recurrent = dz
    if cell.split:
        recurrent = np.concatenate([*blocks, *(named[f"d a {name}"] for name in cell.split)])
    before = {name: params[matrix].T @ recurrent for matrix, name in cell.recurrent.items()}
    for name in cell.carried:
        direct = named[f"back {name}"]
        before[name] = before[name] + direct if name in before else direct
    grads = {name: named[f"d {name}"] for name in cell.vectors}
    if cell.split_biases:
        grads |= {f"b_h{name}": named[f"d a {name}"] for name in cell.split}
    for matrix, name in cell.recurrent.items():
        if matrix != cell.recurrent_matrix:  # whose gradient follows from `recurrent`
            grads[matrix] = recurrent @ tape.before[name].T
    return StepDeltas(
        {name: named.get(f"total {name}", adjoint[name]) for name in cell.states},
        {name: before[name] if name in before else np.zeros_like(adjoint[name]) for name in cell.states},
        dz,
        recurrent,
        grads=grads,
    )


def tape_values(
    cell: Declarations, before: States, after: States, inner: Mapping[str, Array]
) -> dict[Name, Array]:
    """Return the arrays of a tape that the adjoint equations take, of one time step or of a sequence."""
    H = cell.hidden_size
    gates = inner.get("gates", after[cell.states[0]])  # the only gate may be the state
    values = {f"gate {name}": gates[..., i * H : (i + 1) * H, :] for i, name in enumerate(cell.summed)}
    values |= {f"a {name}": inner[f"a_{name}"] for name in cell.split}
    values |= {f"previous {name}": before[name] for name in cell.carried}
    return values | {f"saved {name}": inner[name] for name in cell.saved}
