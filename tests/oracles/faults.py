"""Backward passes with one deliberate, typical error each."""

from dataclasses import replace

import numpy as np

from rnnlab.arrays import Array
from tests.oracles.cases import Case, gather

Gradients = dict[str, Array]


def off_by_one_in_time(case: Case) -> Gradients:
    """Use h[t] instead of h[t-1] in dW_hh = Σ dz[t] h[t-1]ᵀ."""
    tape = case.forward()
    _, deltas = case.model.backward(case.params, tape)
    wrong = np.einsum("tzb,thb->zh", deltas.dz, tape.cell.states["h"][1:])
    return case.gradients() | {"W_hh": wrong}


def missing_recurrent_bias(case: Case) -> Gradients:
    return case.gradients() | {"b_h": np.zeros_like(case.params["b_h"])}


def missing_readout_bias(case: Case) -> Gradients:
    return case.gradients() | {"b_y": np.zeros_like(case.params["b_y"])}


def a_little_too_large(case: Case) -> Gradients:
    gradients = case.gradients()
    return gradients | {"W_xh": 1.0005 * gradients["W_xh"]}


def transposed_recurrent_weights(case: Case) -> Gradients:
    """Transpose every gate's block: δ[t] = e[t] + W_hh dz[t+1]."""
    blocks = np.split(case.params["W_hh"], len(case.model.cell.gate_names))
    wrong = replace(case, params=case.params | {"W_hh": np.concatenate([block.T for block in blocks])})
    grads, deltas = case.model.backward(wrong.params, case.forward())
    return gather(case, grads, deltas.dx, deltas.initial)


def missing_carry(case: Case) -> Gradients:
    """Omit f[t+1] ∘ κ[t+1] from κ[t], so that no gradient flows along the cell path."""
    return step_by_step(case, carried=("h",))


def missing_update_carry(case: Case) -> Gradients:
    """Omit u[t] ∘ δ[t], the direct path of a GRU's state, from δ[t-1]."""

    def drop(step, adjoint):
        u = step.inner["gates"][case.model.cell.rows("u")]
        return {"h": -u * adjoint["h"]}

    return step_by_step(case, carried=("h",), correction=drop)


def truncated_after_two_steps(case: Case) -> Gradients:
    """Stop the gradient after two time steps from the end."""
    return step_by_step(case, carried=case.model.cell.states, longest=2)


def immediate_for_total(case: Case) -> Gradients:
    """Use δ[t] = e[t], so that no gradient flows back in time."""
    return step_by_step(case, carried=())


def step_by_step(case: Case, carried: tuple[str, ...], correction=None, longest: int = 10**9) -> Gradients:
    """Run BPTT step by step with the `carried` state adjoints only, over at most `longest` time steps."""
    cell, tape = case.model.cell, case.forward()
    grads, full = case.model.backward(case.params, tape)
    grads = dict(grads) | {name: np.zeros_like(value) for name, value in full.grads.items()}
    back = {name: np.zeros_like(initial) for name, initial in full.initial.items()}
    dx = []
    for t in range(tape.cell.time, 0, -1):
        adjoint = {name: grad if name in carried else np.zeros_like(grad) for name, grad in back.items()}
        adjoint["h"] = adjoint["h"] + full.immediate["h"][t - 1]
        if tape.cell.time - t >= longest:
            adjoint = {name: np.zeros_like(value) for name, value in adjoint.items()}
        step = cell.step_backward(case.params, tape.cell.step(t), adjoint)
        for name, grad in step.grads.items():
            grads[name] += grad
        dx.append(step.dx)
        back = dict(step.deltas.before)
        for name, wrong in (correction(tape.cell.step(t), adjoint) if correction else {}).items():
            back[name] = back[name] + wrong
    if case.initial is None:
        grads |= {f"{name}_0": grad.sum(axis=1, keepdims=True) for name, grad in back.items()}
    return gather(case, grads, None if dx[0] is None else np.stack(dx[::-1]), back)
