"""Comparison with the cells of PyTorch, over whole sequences and unrolled step by step.

The gate blocks of PyTorch have the order i, f, g, o (LSTM) and r, u, n (GRU); ours have the order o, i, f, g
and r, u, n. PyTorch has two biases per gate and uses their sum, except for b_hn of the GRU.
"""

import numpy as np
import pytest

from rnnlab.cells import GRU, LSTM, Vanilla
from rnnlab.norms import norm
from tests.oracles.cases import HIDDEN, INPUTS, OUTPUTS, REDUCTIONS, build, cell_id, with_mask

torch = pytest.importorskip("torch")

TORCH_GATES = {Vanilla: ("h",), LSTM: ("i", "f", "g", "o"), GRU: ("r", "u", "n")}
CELLS = [
    Vanilla(INPUTS, HIDDEN, "tanh", bias=True),
    Vanilla(INPUTS, HIDDEN, "tanh", bias=False),
    Vanilla(INPUTS, HIDDEN, "relu", bias=True),
    LSTM(INPUTS, HIDDEN, "tanh", bias=True, forget_bias=1.0),
    LSTM(INPUTS, HIDDEN, "tanh", bias=False, forget_bias=0.0),
    GRU(INPUTS, HIDDEN, bias=True, reset_after=True),
    GRU(INPUTS, HIDDEN, bias=False, reset_after=True),
]
TOLERANCES = {np.float64: 1e-10, np.float32: 1e-4}


def case_of(cell, reduction, time, dtype):
    case = build(cell, reduction, inputs="vectors", time=time, dtype=dtype)
    mask = np.random.default_rng(3).random(case.batch.y.shape) < 0.6
    mask[-1] = True
    return with_mask(case, mask)


def ours(case):
    """Return all compared quantities as computed by rnnlab."""
    tape = case.forward()
    grads, deltas = case.model.backward(case.params, tape)
    found = {"loss": np.array(tape.loss), "x": deltas.dx} | dict(grads)
    found |= {f"h[{t}]": h for t, h in enumerate(tape.cell.states["h"])}
    for name in deltas.total:
        found[f"initial {name}"] = deltas.initial[name]
        found |= {f"total {name}[{t}]": total for t, total in enumerate(deltas.total[name], start=1)}
    return found


def torchs(case, unrolled):
    """Return the same quantities from nn.RNN, LSTM or GRU, or from a loop over their cell classes."""
    cell = case.model.cell
    dtype = torch.float64 if case.params["W_hh"].dtype == np.float64 else torch.float32
    network = _network(cell, unrolled).to(dtype)
    _load(cell, network, case.params)
    readout = torch.nn.Linear(HIDDEN, OUTPUTS, bias=cell.bias, dtype=dtype)
    _assign(readout.weight, case.params["W_hy"])
    if cell.bias:
        _assign(readout.bias, case.params["b_y"][:, 0])
    x = _leaf(case.batch.x.transpose(0, 2, 1))
    initial = {name: _leaf(state.T) for name, state in case.initial.items()}
    if unrolled:
        states = _unroll(cell, network, x, initial)
        output = torch.stack(states["h"])
    else:
        start = {name: state[None] for name, state in initial.items()}
        output, _ = network(x, (start["h"], start["c"]) if isinstance(cell, LSTM) else start["h"])
        states = {}
    loss = _loss(readout(output), case)
    loss.backward()
    found = {"loss": loss, "x": x.grad.transpose(1, 2), "W_hy": readout.weight.grad}
    found |= {f"h[{t}]": h.T for t, h in enumerate([initial["h"], *output])}
    found |= {f"initial {name}": state.grad.T for name, state in initial.items()}
    for name, values in states.items():
        found |= {f"total {name}[{t}]": value.grad.T for t, value in enumerate(values, start=1)}
    if cell.bias:
        found["b_y"] = readout.bias.grad[:, None]
    return {name: value.detach().numpy() for name, value in found.items()} | _gradients(cell, network)


def relative_errors(case, unrolled):
    actual, expected = ours(case), torchs(case, unrolled)
    if not unrolled:
        actual = {name: value for name, value in actual.items() if not name.startswith("total")}
    assert set(actual) == set(expected)
    return {name: float(norm(actual[name] - expected[name]) / norm(expected[name])) for name in expected}


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("time", [1, 2, 50, 300])
@pytest.mark.parametrize("unrolled", [False, True])
@pytest.mark.parametrize("cell", CELLS, ids=cell_id)
def test_equals_torch(cell, unrolled, time, dtype):
    for reduction in REDUCTIONS:
        errors = relative_errors(case_of(cell, reduction, time, dtype), unrolled)
        assert max(errors.values()) <= TOLERANCES[dtype], max(errors, key=errors.get)


def test_the_output_of_a_whole_sequence_has_only_the_immediate_gradient():
    """PyTorch returns e[t] instead of the total gradient, which looks like complete vanishing."""
    case = with_mask(build(CELLS[0], time=20, inputs="vectors"), np.arange(20)[:, None] == [19] * 3)
    network = _network(case.model.cell, unrolled=False).double()
    _load(case.model.cell, network, case.params)
    output, _ = network(torch.from_numpy(case.batch.x.transpose(0, 2, 1)))
    output.retain_grad()
    readout = torch.nn.Linear(HIDDEN, OUTPUTS, dtype=torch.float64)
    _loss(readout(output), case).backward()
    _, deltas = case.model.backward(case.params, case.forward())
    assert output.grad.any(dim=(1, 2)).sum() == 1
    assert np.any(deltas.total["h"], axis=(1, 2)).sum() == 20


def _network(cell, unrolled):
    suffix = "Cell" if unrolled else ""
    match cell:
        case Vanilla():
            kind, options = f"RNN{suffix}", {"nonlinearity": cell.nonlinearity}
        case LSTM():
            kind, options = f"LSTM{suffix}", {}
        case GRU():
            kind, options = f"GRU{suffix}", {}
    return getattr(torch.nn, kind)(INPUTS, HIDDEN, bias=cell.bias, **options)


def _unroll(cell, network, x, initial):
    """Return the states after every time step, with retained gradients."""
    states = {name: [] for name in initial}
    last = tuple(initial.values())
    for x_t in x:
        after = network(x_t, last if isinstance(cell, LSTM) else last[0])
        last = after if isinstance(cell, LSTM) else (after,)
        for values, value in zip(states.values(), last, strict=True):
            value.retain_grad()
            values.append(value)
    return states


def _weights(network):
    """Return weight_ih, weight_hh, bias_ih and bias_hh; for a whole-sequence network, those of layer 0."""
    return {name.removesuffix("_l0"): value for name, value in network.named_parameters()}


def _load(cell, network, params):
    weights = _weights(network)
    _assign(weights["weight_ih"], _reorder(cell, params["W_xh"], to_torch=True))
    _assign(weights["weight_hh"], _reorder(cell, params["W_hh"], to_torch=True))
    if cell.bias:
        _assign(weights["bias_ih"], _reorder(cell, params["b_h"], to_torch=True)[:, 0])
        torch.nn.init.zeros_(weights["bias_hh"])
    if "b_hn" in params:
        _assign(weights["bias_hh"][2 * HIDDEN :], params["b_hn"][:, 0])


def _gradients(cell, network):
    weights = {name: value.grad.numpy() for name, value in _weights(network).items()}
    found = {"W_xh": weights["weight_ih"], "W_hh": weights["weight_hh"]}
    if cell.bias:
        found["b_h"] = weights["bias_ih"][:, None]
    found = {name: _reorder(cell, value, to_torch=False) for name, value in found.items()}
    if cell.bias and isinstance(cell, GRU):
        found["b_hn"] = weights["bias_hh"][2 * HIDDEN :, None]
    return found


def _reorder(cell, blocks, to_torch):
    orders = (cell.gate_names, TORCH_GATES[type(cell)])
    have, want = orders if to_torch else orders[::-1]
    by_gate = dict(zip(have, np.split(blocks, len(have)), strict=True))
    return np.concatenate([by_gate[gate] for gate in want])


def _loss(logits, case):
    y, mask = (torch.from_numpy(values) for values in (case.batch.y, case.batch.mask))
    losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.reshape(-1), reduction="none")
    per_example = (losses.reshape(y.shape) * mask).sum(0)
    return (per_example / mask.sum(0) if case.model.loss_reduction == "mean" else per_example).mean()


def _leaf(values):
    return torch.from_numpy(values.copy()).requires_grad_()


def _assign(parameter, values):
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(values))
