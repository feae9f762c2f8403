"""Against torch's own cells, whose gate blocks stand in the order i, f, g, o and ours in g, i, f, o."""

from dataclasses import replace

import numpy as np
import pytest

from rnnlab.cells import LSTM, Vanilla
from tests.oracles.cases import HIDDEN, INPUTS, REDUCTIONS, build, cell_id

torch = pytest.importorskip("torch")

TORCH_GATES = ("i", "f", "g", "o")
TIME, BATCH = 23, 3


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    "cell",
    [
        Vanilla(INPUTS, HIDDEN, "tanh", bias=True),
        Vanilla(INPUTS, HIDDEN, "tanh", bias=False),
        Vanilla(INPUTS, HIDDEN, "relu", bias=True),
        LSTM(INPUTS, HIDDEN, "tanh", bias=True, forget_bias=1.0),
        LSTM(INPUTS, HIDDEN, "tanh", bias=False, forget_bias=0.0),
    ],
    ids=cell_id,
)
def test_equals_torch(cell, reduction):
    case = build(cell, reduction, inputs="vectors", time=TIME, batch=BATCH)
    mask = np.random.default_rng(3).random((TIME, BATCH)) < 0.6
    case = replace(case, batch=replace(case.batch, mask=mask))
    tape = case.forward()
    grads, deltas = case.model.backward(case.params, tape)

    network = _network(cell, case.params)
    readout = torch.nn.Linear(HIDDEN, len(case.params["W_hy"]), bias=cell.bias, dtype=torch.float64)
    _assign(readout.weight, case.params["W_hy"])
    if cell.bias:
        _assign(readout.bias, case.params["b_y"][:, 0])
    x = _leaf(case.batch.x.transpose(0, 2, 1))
    initial = {name: _leaf(state.T[None]) for name, state in case.initial.items()}
    start = (initial["h"], initial["c"]) if isinstance(cell, LSTM) else initial["h"]
    output, _ = network(x, start)
    loss = _loss(readout(output), case.batch.y, mask, reduction)
    loss.backward()

    _assert_close(tape.loss, loss)
    _assert_close(tape.cell.states["h"][1:], output.transpose(1, 2))
    _assert_close(deltas.dx, x.grad.transpose(1, 2))
    for name, state in initial.items():
        _assert_close(deltas.initial[name], state.grad[0].T)
    _assert_close(grads["W_hy"], readout.weight.grad)
    _assert_close(grads["W_xh"], _our_order(cell, network.weight_ih_l0.grad))
    _assert_close(grads["W_hh"], _our_order(cell, network.weight_hh_l0.grad))
    if cell.bias:
        _assert_close(grads["b_y"][:, 0], readout.bias.grad)
        _assert_close(grads["b_h"][:, 0], _our_order(cell, network.bias_ih_l0.grad))


def _network(cell, params):
    if isinstance(cell, LSTM):
        network = torch.nn.LSTM(INPUTS, HIDDEN, bias=cell.bias, dtype=torch.float64)
    else:
        network = torch.nn.RNN(
            INPUTS, HIDDEN, nonlinearity=cell.nonlinearity, bias=cell.bias, dtype=torch.float64
        )
    _assign(network.weight_ih_l0, _torch_order(cell, params["W_xh"]))
    _assign(network.weight_hh_l0, _torch_order(cell, params["W_hh"]))
    if cell.bias:  # torch adds two biases
        _assign(network.bias_ih_l0, _torch_order(cell, params["b_h"])[:, 0])
        torch.nn.init.zeros_(network.bias_hh_l0)
    return network


def _loss(logits, y, mask, reduction):
    losses = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), torch.from_numpy(y.reshape(-1)), reduction="none"
    ).reshape(y.shape)
    per_example = (losses * torch.from_numpy(mask)).sum(0)
    return (per_example / torch.from_numpy(mask.sum(0)) if reduction == "mean" else per_example).mean()


def _torch_order(cell, blocks):
    return _reorder(blocks, cell.gates, TORCH_GATES) if isinstance(cell, LSTM) else blocks


def _our_order(cell, blocks):
    return _reorder(blocks.numpy(), TORCH_GATES, cell.gates) if isinstance(cell, LSTM) else blocks


def _reorder(blocks, have, want):
    by_gate = dict(zip(have, np.split(blocks, len(have)), strict=True))
    return np.concatenate([by_gate[gate] for gate in want])


def _leaf(values):
    return torch.from_numpy(values.copy()).requires_grad_()


def _assign(parameter, values):
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(values))


def _assert_close(actual, expected):
    expected = expected.detach().numpy() if isinstance(expected, torch.Tensor) else expected
    np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-13)
