"""Total gradients by time step with torch's autograd: a loop over the cell classes of torch, layer by layer."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
nn = torch.nn
CELLS = {"RNN_TANH": nn.RNNCell, "RNN_RELU": nn.RNNCell, "LSTM": nn.LSTMCell, "GRU": nn.GRUCell}


def unrolled(module, x, start=None, lengths=None, train=True):
    """Return the outputs, the final states, and the tensors of each layer, direction and time step.

    `x` has the axes (time, batch, features). Final states have the axes (layers · directions, batch, H).
    """
    ways = 2 if module.bidirectional else 1
    lengths = [len(x)] * x.shape[1] if lengths is None else list(lengths)
    inputs, found, last, index = list(x), [], [], 0
    for layer in range(module.num_layers):
        outputs = []
        for way in range(ways):
            cell = _cell(module, f"_l{layer}{'_reverse' if way else ''}", inputs[0].shape[-1])
            state = [
                torch.zeros(x.shape[1], module.hidden_size, dtype=x.dtype) for _ in range(_states(module))
            ]
            if start is not None:
                state = [part[index] for part in start]
            index += 1
            steps = {}
            for t in range(len(x))[:: -1 if way else 1]:
                is_there = torch.tensor([[t < length] for length in lengths])
                after = cell(inputs[t], tuple(state) if module.mode == "LSTM" else state[0])
                after = after if module.mode == "LSTM" else (after,)
                state = [torch.where(is_there, new, old) for new, old in zip(after, state, strict=True)]
                for part in after:
                    part.retain_grad()
                steps[t] = list(after)
            found.append(steps)
            last.append(state)
            alive = [torch.tensor([[t < length] for length in lengths]) for t in range(len(x))]
            outputs.append([torch.where(alive[t], steps[t][0], 0) for t in range(len(x))])
        merged = torch.stack([torch.cat(parts, dim=-1) for parts in zip(*outputs, strict=True)])
        if layer < module.num_layers - 1 and module.dropout and train:
            merged = nn.functional.dropout(merged, module.dropout)
        inputs = list(merged)
    finals = [torch.stack([state[i] for state in last]) for i in range(_states(module))]
    return merged, finals, found


def log10_gmean(tensors):
    """Return log10 of the geometric mean over sequences of the gradient norms of tensors (batch, H)."""
    norms = np.array([tensor.grad.norm(dim=1).numpy() for tensor in tensors])
    return np.log10(norms).mean(axis=1)


def _states(module):
    return 2 if module.mode == "LSTM" else 1


def _cell(module, suffix, inputs):
    options = {"nonlinearity": module.nonlinearity} if module.mode.startswith("RNN") else {}
    with torch.random.fork_rng():  # the weights are replaced
        cell = CELLS[module.mode](inputs, module.hidden_size, bias=module.bias, **options).to(
            module.weight_ih_l0.dtype
        )
    with torch.no_grad():
        for name, parameter in cell.named_parameters():
            parameter.copy_(getattr(module, name + suffix))
    return cell
