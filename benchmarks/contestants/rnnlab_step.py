"""Training step of rnnlab that records gradient norms at all time steps of every training step."""

from collections.abc import Callable

import numpy as np

from benchmarks.contestants.shapes import CLIP, LR, Shape
from rnnlab.cells import GRU, LSTM, Cell, Vanilla
from rnnlab.clipping import Clipping
from rnnlab.diagnostics import log_norms_by_timestep
from rnnlab.initial_states import Zero
from rnnlab.initializers import Init, Initializer
from rnnlab.model import Batch, Model
from rnnlab.optimizers import Adam
from rnnlab.readout import Readout
from rnnlab.training.engines import Engine, loops_of
from rnnlab.workspace import Workspace


def model_of(shape: Shape) -> Model:
    """Return the network of a shape."""
    cells: dict[str, Cell] = {
        "rnn": Vanilla(shape.X, shape.H, "tanh", bias=True),
        "lstm": LSTM(shape.X, shape.H, "tanh", bias=True, forget_bias=0.0),
        "gru": GRU(shape.X, shape.H, bias=True),
    }
    return Model(cells[shape.cell], Readout(shape.H, shape.Y, bias=True), Zero(), "cross_entropy", "mean")


def make(shape: Shape, engine: Engine = "compiled") -> Callable[[], None]:
    """Return a training step that records the gradient norms at all time steps."""
    model, uniform = model_of(shape), Initializer("uniform", 1.0)
    params = model.init_params(np.random.default_rng(0), Init(uniform, uniform, uniform), np.float32)
    optimizer, clipping, workspace = (
        Adam(LR, 0.9, 0.999, 1e-8),
        Clipping(CLIP, "norm"),
        Workspace(loops_of(engine)),
    )
    state, batch = optimizer.init(params), Batch(*shape.batch())

    def step() -> None:
        tape = model.forward(params, batch, workspace=workspace)
        grads, deltas = model.backward(params, tape, workspace, with_dx=False, scaled=True)
        log_norms_by_timestep(model.cell, tape.cell, deltas, workspace)
        clipping.apply(grads)
        optimizer.update(params, grads, state)

    return step
