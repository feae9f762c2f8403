"""Independent forward equations of every cell, readout and loss, for automatic differentiation.

A zero is added at every node whose gradient is needed; the derivative with respect to this zero is the gradient.

    z       pre-activation                          dz[t]
    h, c    state, with all later uses              total ∂L/∂h[t], ∂L/∂c[t]
    read_h, read_c    path to the loss at t alone           immediate gradient
    next_h, next_c    path to time step t + 1 alone         plus the immediate gradient for h: state adjoint
"""

from collections.abc import Callable

import autograd
import autograd.numpy as np

from rnnlab.arrays import Array
from rnnlab.cells import GRU, LSTM, GRUResetBefore, Vanilla
from tests.oracles.cases import Case, gather

Push = dict[str, Array]


def differentiate(case: Case) -> tuple[float, dict[str, Array], Push]:
    """Return the loss, its gradients by name of `Case.variables`, and those of the pushes, (T, …, B)."""
    cell, time, batch = case.model.cell, len(case.batch.x), case.batch.size
    x = case.batch.x if case.batch.x.ndim == 3 else _one_hot(case.batch.x, cell.input_size)
    sizes = {"z": len(cell.gate_names) * cell.hidden_size}
    for state in cell.states:
        sizes |= dict.fromkeys((state, f"read_{state}", f"next_{state}"), cell.hidden_size)
    pushes = {name: np.zeros((time, size, batch)) for name, size in sizes.items()}

    def loss(params, x, initial, pushes):
        return _loss(case, params, x, initial, pushes)

    arguments = (case.params, x, case.initial or {}, pushes)
    d_params, dx, d_initial, d_pushes = autograd.grad(loss, argnum=(0, 1, 2, 3))(*arguments)
    return (
        loss(*arguments),
        gather(case, d_params, dx if case.batch.x.ndim == 3 else None, d_initial),
        d_pushes,
    )


def _loss(case: Case, p, x, initial, pushes):
    cell, batch = case.model.cell, case.batch
    row = np.ones((1, batch.size))
    states = initial or {name: np.dot(p[f"{name}_0"], row) for name in cell.states}
    total = 0.0 * np.sum(p["W_hy"])  # gives a derivative of 0 if there are no targets
    for t in range(len(x)):
        push = {name: values[t] for name, values in pushes.items()}
        states, read = STEPS[type(cell)](cell, p, x[t], states, push)
        if t < batch.first_output:
            continue
        s = t - batch.first_output
        o = np.dot(p["W_hy"], read) + p.get("b_y", 0.0)
        for b in range(batch.size):
            weight = _weight(case, s, b)
            if weight:
                total = total + weight * _target_loss(case, o[:, b], batch.y[s, ..., b])
    return total


def _target_loss(case: Case, o, y):
    if case.model.loss == "cross_entropy":
        return np.log(np.sum(np.exp(o))) - o[y]
    target = y if y.ndim else np.eye(len(o))[y]
    return np.sum((o - target) ** 2) / 2


def _weight(case: Case, s: int, b: int) -> float:
    mask, outputs, batch = case.batch.mask, len(case.batch.y), case.batch.size
    if mask is not None and not mask[s, b]:
        return 0.0
    targets = outputs if mask is None else int(mask[:, b].sum())
    return 1 / batch if case.model.loss_reduction == "sum" else 1 / (batch * targets)


def _vanilla(cell: Vanilla, p, x, states, push):
    z = np.dot(p["W_xh"], x) + np.dot(p["W_hh"], states["h"]) + p.get("b_h", 0.0) + push["z"]
    activation = {"tanh": np.tanh, "relu": lambda z: np.where(z > 0, z, 0.0), "identity": lambda z: z}
    h = activation[cell.nonlinearity](z) + push["h"]
    return {"h": h + push["next_h"]}, h + push["read_h"]


def _lstm(cell: LSTM, p, x, states, push):
    z = np.dot(p["W_xh"], x) + np.dot(p["W_hh"], states["h"]) + p.get("b_h", 0.0) + push["z"]
    H = cell.hidden_size
    o, i, f = (_sigmoid(z[k * H : (k + 1) * H]) for k in range(3))
    g = np.tanh(z[3 * H :]) if cell.candidate == "tanh" else _sigmoid(z[3 * H :])
    c = f * states["c"] + i * g + push["c"]
    h = o * np.tanh(c) + push["h"]
    read = o * np.tanh(c + push["read_c"]) + push["h"] + push["read_h"]
    return {"h": h + push["next_h"], "c": c + push["next_c"]}, read


def _gru(cell: GRU, p, x, states, push):
    H = cell.hidden_size
    z = np.dot(p["W_xh"], x) + p.get("b_h", 0.0) + push["z"]
    from_h = np.dot(p["W_hh"], states["h"])
    r = _sigmoid(z[:H] + from_h[:H])
    u = _sigmoid(z[H : 2 * H] + from_h[H : 2 * H])
    n = np.tanh(z[2 * H :] + r * (from_h[2 * H :] + p.get("b_hn", 0.0)))
    h = (1 - u) * n + u * states["h"] + push["h"]
    return {"h": h + push["next_h"]}, h + push["read_h"]


def _gru_reset_before(cell: GRUResetBefore, p, x, states, push):
    H, h = cell.hidden_size, states["h"]
    z = np.dot(p["W_xh"], x) + p.get("b_h", 0.0) + push["z"]
    r = _sigmoid(z[:H] + np.dot(p["W_hh"][:H], h))
    u = _sigmoid(z[H : 2 * H] + np.dot(p["W_hh"][H : 2 * H], h))
    n = np.tanh(z[2 * H :] + np.dot(p["W_hh"][2 * H :], r * h))
    new = (1 - u) * n + u * h + push["h"]
    return {"h": new + push["next_h"]}, new + push["read_h"]


def _sigmoid(z):
    return 1 / (1 + np.exp(-z))


def _one_hot(symbols: Array, size: int) -> Array:
    return np.array(np.eye(size)[symbols].transpose(0, 2, 1))


STEPS: dict[type, Callable] = {Vanilla: _vanilla, LSTM: _lstm, GRU: _gru, GRUResetBefore: _gru_reset_before}
