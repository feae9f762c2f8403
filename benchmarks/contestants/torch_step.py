"""Training steps in torch: sequence modules without recording, and a loop over single-step cells with it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.contestants.shapes import CLIP, LR, Shape

SEQUENCES: dict[str, Any] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
STEPS: dict[str, Any] = {"rnn": nn.RNNCell, "lstm": nn.LSTMCell, "gru": nn.GRUCell}


def make(shape: Shape, fused: bool = False) -> Callable[[], None]:
    """Return a step of nn.RNN, nn.LSTM or nn.GRU that reads only the loss; `fused` is an option of Adam."""
    recurrent, readout, x, y, update = _parts(shape, SEQUENCES[shape.cell], fused)

    def step() -> None:
        h, _ = recurrent(x())
        loss = functional.cross_entropy(readout(h[-shape.outputs :]).reshape(-1, shape.Y), y)
        update(loss)

    return step


def make_recording(shape: Shape) -> Callable[[], None]:
    """Return a step that loops over nn.RNNCell, nn.LSTMCell or nn.GRUCell and retains the state gradients."""
    cell, readout, x, y, update = _parts(shape, STEPS[shape.cell])
    lstm = shape.cell == "lstm"

    def step() -> None:
        states, parts, state = [], [], None
        for x_t in x():
            state = cell(x_t, state)
            for part in state if lstm else (state,):
                part.retain_grad()
                parts.append(part)
            states.append(state[0] if lstm else state)
        h = torch.stack(states[-shape.outputs :])
        update(functional.cross_entropy(readout(h).reshape(-1, shape.Y), y))
        torch.stack([part.grad for part in parts]).norm(dim=2)

    return step


def _parts(
    shape: Shape, kind: Any, fused: bool = False
) -> tuple[Any, Any, Callable[[], torch.Tensor], torch.Tensor, Any]:
    torch.manual_seed(0)
    depth = {"num_layers": shape.layers} if shape.layers > 1 else {}
    recurrent, readout = kind(shape.X, shape.H, **depth), nn.Linear(shape.H, shape.Y)
    params = [*recurrent.parameters(), *readout.parameters()]
    optimizer = torch.optim.Adam(params, lr=LR, fused=fused or None)
    batch_x, batch_y = shape.batch()
    y = torch.from_numpy(batch_y.reshape(-1))
    one_hot = torch.eye(shape.X)
    if shape.inputs == "symbols":
        symbols = torch.from_numpy(batch_x)

        def x() -> torch.Tensor:
            return functional.embedding(symbols, one_hot)  # 12 µs; functional.one_hot takes 56 µs

    else:
        vectors = torch.from_numpy(np.ascontiguousarray(batch_x.transpose(0, 2, 1)))

        def x() -> torch.Tensor:
            return vectors

    def update(loss: torch.Tensor) -> None:
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(params, CLIP)
        optimizer.step()
        loss.item()

    return recurrent, readout, x, y, update
