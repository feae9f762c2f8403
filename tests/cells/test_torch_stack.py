"""Comparison of stacked layers with `num_layers` of PyTorch, and with its cells unrolled by layer and time step."""

import numpy as np
import pytest

from rnnlab.cells import LSTM, Stack
from rnnlab.norms import norm
from tests.cells import test_torch_parity as parity
from tests.oracles.cases import HIDDEN, INPUTS, OUTPUTS, build, cell_id

torch = pytest.importorskip("torch")

CELLS = [cell for cell in parity.CELLS if cell.bias]


def stack_of(cell, layers):
    above = type(cell)(HIDDEN, HIDDEN, **{k: v for k, v in vars(cell).items() if k in options(cell)})
    return Stack.of([cell, *[above] * (layers - 1)], residual=False)


def options(cell):
    return [name for name in type(cell).__dataclass_fields__ if not name.endswith("_size")]


@pytest.mark.parametrize("layers", [2, 3])
@pytest.mark.parametrize("cell", CELLS, ids=cell_id)
def test_every_layer_equals_torch(cell, layers):
    case = build(stack_of(cell, layers), "mean", inputs="vectors", time=30)
    tape = case.forward()
    grads, deltas = case.model.backward(case.params, tape)

    networks = [parity._network(layer.cell, unrolled=True).double() for layer in case.model.cell.layers[:1]]
    kind = type(networks[0])
    networks += [
        kind(
            HIDDEN, HIDDEN, **({"nonlinearity": cell.nonlinearity} if kind is torch.nn.RNNCell else {})
        ).double()
        for _ in range(layers - 1)
    ]
    for layer, network in zip(case.model.cell.layers, networks, strict=True):
        parity._load(layer.cell, network, layer.take(case.params))
    readout = torch.nn.Linear(HIDDEN, OUTPUTS, dtype=torch.float64)
    parity._assign(readout.weight, case.params["W_hy"])
    parity._assign(readout.bias, case.params["b_y"][:, 0])
    x = parity._leaf(case.batch.x.transpose(0, 2, 1))
    inputs, states = x, []
    for layer, network in zip(case.model.cell.layers, networks, strict=True):
        initial = {name: parity._leaf(value.T) for name, value in layer.take(case.initial).items()}
        states.append(parity._unroll(layer.cell, network, inputs, initial))
        inputs = torch.stack(states[-1]["h"])
    losses = torch.nn.functional.cross_entropy(
        readout(inputs).flatten(0, 1), torch.from_numpy(case.batch.y.reshape(-1)), reduction="mean"
    )
    losses.backward()
    assert abs(tape.loss - losses.item()) <= 1e-12
    pairs = {"x": (deltas.dx, x.grad.transpose(1, 2).numpy())}
    for layer, network, of_layer in zip(case.model.cell.layers, networks, states, strict=True):
        for name, expected in parity._gradients(layer.cell, network).items():
            pairs[layer.prefix + name] = grads[layer.prefix + name], expected
        for name, values in of_layer.items():
            expected = np.stack([value.grad.T.numpy() for value in values])
            pairs[f"total {layer.prefix}{name}"] = deltas.total[layer.prefix + name], expected
    assert len(pairs) >= 4 * layers + 1
    for name, (found, expected) in pairs.items():
        assert norm(found - expected) <= 1e-10 * norm(expected), name


@pytest.mark.parametrize("layers", [2, 3])
@pytest.mark.parametrize("cell", CELLS, ids=cell_id)
def test_outputs_equal_those_of_num_layers(cell, layers):
    case = build(stack_of(cell, layers), inputs="vectors", time=30)
    plain = parity._network(cell, unrolled=False)
    extra = {"nonlinearity": cell.nonlinearity} if isinstance(plain, torch.nn.RNN) else {}
    network = type(plain)(INPUTS, HIDDEN, num_layers=layers, **extra).double()
    weights = dict(network.named_parameters())
    for i, layer in enumerate(case.model.cell.layers):
        single = type(plain)(layer.cell.input_size, HIDDEN, **extra).double()
        parity._load(layer.cell, single, layer.take(case.params))
        for name, value in parity._weights(single).items():
            parity._assign(weights[f"{name}_l{i}"], value.detach().numpy())
    start = [
        torch.from_numpy(np.stack([case.initial[f"l{i + 1}.{s}"].T for i in range(layers)]))
        for s in cell.states
    ]
    output, _ = network(
        torch.from_numpy(case.batch.x.transpose(0, 2, 1)),
        tuple(start) if isinstance(cell, LSTM) else start[0],
    )
    np.testing.assert_allclose(
        case.forward().cell.outputs, output.detach().numpy().transpose(0, 2, 1), rtol=1e-10, atol=1e-13
    )
