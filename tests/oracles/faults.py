"""Backward passes that are wrong on purpose, each in one way people get them wrong."""

from dataclasses import replace

import numpy as np

from rnnlab.arrays import Array
from rnnlab.cells import CellTape
from tests.oracles.cases import Case

Gradients = dict[str, Array]


def off_by_one_in_time(case: Case) -> Gradients:
    """dW_hh = Σ dz[t] h[t]ᵀ, with h[t] for h[t-1]."""
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
    """δ[t] = e[t] + W_hh dz[t+1], every gate's block transposed."""
    blocks = np.split(case.params["W_hh"], len(case.model.cell.gates))
    wrong = replace(case, params=case.params | {"W_hh": np.concatenate([block.T for block in blocks])})
    grads, deltas = case.model.backward(wrong.params, case.forward())
    return _gather(grads, deltas.dx, deltas.initial)


def missing_carry(case: Case) -> Gradients:
    """κ[t] without f[t+1] ∘ κ[t+1]: nothing comes back along the cell path."""
    return _step_by_step(case, carried=("h",))


def immediate_for_total(case: Case) -> Gradients:
    """δ[t] = e[t]: nothing comes back at all."""
    return _step_by_step(case, carried=())


def _step_by_step(case: Case, carried: tuple[str, ...]) -> Gradients:
    """BPTT from backward passes of one step each, handing back only what is `carried`.

    A backward pass takes no gradient of c from outside, which is what loses the carry.
    """
    cell, tape = case.model.cell, case.forward()
    readout_grads, full = case.model.backward(case.params, tape)
    grads = {name: np.zeros_like(value) for name, value in full.grads.items()}
    dx, back = [], {}
    for t in reversed(range(tape.cell.time)):
        step = CellTape(
            tape.cell.x[t : t + 1],
            {name: values[t : t + 2] for name, values in tape.cell.states.items()},
            {name: values[t : t + 1] for name, values in tape.cell.inner.items()},
        )
        e = full.immediate["h"][t : t + 1]
        if "h" in carried and back:
            e = e + back["h"]
        deltas = cell.backward(case.params, step, e)
        for name, grad in deltas.grads.items():
            grads[name] += grad
        dx.append(deltas.dx)
        back = deltas.initial
    dx = None if dx[0] is None else np.concatenate(dx[::-1])
    return _gather(readout_grads | grads, dx, back)


def _gather(grads, dx, initial) -> Gradients:
    inputs = {} if dx is None else {"x": dx}
    return grads | inputs | {f"initial {name}": grad for name, grad in initial.items()}
