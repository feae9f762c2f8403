"""Training step of rnnlab that records gradient norms at all time steps of every training step."""

from collections.abc import Callable

import numpy as np

from benchmarks.contestants.shapes import CLIP, LR, Shape
from rnnlab.arrays import Array, Params
from rnnlab.cells import GRU, LSTM, Cell, Stack, Vanilla, layers_of
from rnnlab.clipping import Clipping
from rnnlab.diagnostics import log_norms_by_timestep
from rnnlab.initial_states import Zero
from rnnlab.initializers import Init, Initializer
from rnnlab.model import Batch, Model
from rnnlab.optimizers import Adam
from rnnlab.readout import Readout
from rnnlab.training.engines import Engine, loops_of
from rnnlab.workspace import Workspace

MAKERS: dict[str, Callable[[int, int], Cell]] = {
    "rnn": lambda X, H: Vanilla(X, H, "tanh", bias=True),
    "lstm": lambda X, H: LSTM(X, H, "tanh", bias=True, forget_bias=0.0),
    "gru": lambda X, H: GRU(X, H, bias=True, reset_after=True),
}


def network_of(shape: Shape) -> tuple[Model, Batch, Params]:
    """Return the network of a shape, a batch and initial parameters."""
    make, uniform = MAKERS[shape.cell], Initializer("uniform", 1.0)
    cells = [make(shape.X if i == 0 else shape.H, shape.H) for i in range(shape.layers)]
    cell = Stack.of(cells, residual=False) if len(cells) > 1 else cells[0]
    model = Model(cell, Readout(shape.H, shape.Y, bias=True), Zero(), "cross_entropy", "mean")
    params = model.init_params(np.random.default_rng(0), Init(uniform, uniform, uniform), np.float32)
    return model, Batch(*shape.batch()), params


def passes(cell: Cell, params: Params, x: Array, e: Array, with_dx: bool = False) -> Callable[[], None]:
    """Return a forward and a backward pass through a cell with the compiled engine."""
    workspace = Workspace(loops_of("compiled"))

    def run() -> None:
        tape = cell.forward(params, x, None, workspace)
        cell.backward(params, tape, e, workspace, with_dx, scaled=True)

    return run


def make(shape: Shape, engine: Engine = "compiled") -> Callable[[], None]:
    """Return a training step that records the gradient norms at all time steps."""
    model, batch, params = network_of(shape)
    optimizer, clipping = Adam(LR, 0.9, 0.999, 1e-8), Clipping(CLIP, "norm")
    workspace, state = Workspace(loops_of(engine)), optimizer.init(params)
    layers = layers_of(model.cell)

    def step() -> None:
        tape = model.forward(params, batch, workspace=workspace)
        grads, deltas = model.backward(params, tape, workspace, with_dx=False, scaled=True)
        tapes, parts = tape.cell.layers or (tape.cell,), deltas.layers or (deltas,)
        for layer, of_layer, part in zip(layers, tapes, parts, strict=True):
            log_norms_by_timestep(layer.cell, of_layer, part, workspace)
        clipping.apply(grads, workspace=workspace)
        optimizer.update(params, grads, state, workspace)

    return step
