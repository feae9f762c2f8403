"""Compilation of the loops of a sweep before its workers start, so that no two workers compile the same."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rnnlab.app.config.build import build
from rnnlab.app.jobs.resume import format_json
from rnnlab.app.jobs.run_job import WorkOrder
from rnnlab.cells import layers_of
from rnnlab.engine.weights import is_symbols
from rnnlab.training import Trainer, loops_of
from rnnlab.workspace import Workspace

COMPILING = "compiling {cell} for {dtype}, once per machine and version, which takes a few seconds"
DECIDING = ("cell", "dtype", "task", "layers", "optimizer", "initial_state", "readout_bias", "clip_mode")
"""Keys on which the compiled functions of a run depend, together with whether it clips."""


def compile_loops(orders: Sequence[WorkOrder], note: Callable[[str], object]) -> None:
    """Compile the loops of all orders with the compiled engine; announce those that are not in the cache."""
    seen: set[str] = set()
    for order in orders:
        key = format_json([order.config[name] for name in DECIDING] + [order.config["clip"] is None])
        if order.info.get("engine") != "compiled" or key in seen:
            continue
        seen.add(key)
        trainer, dtype = build(order.config).trainer, str(order.config["dtype"])
        cell, symbols = trainer.model.cell, is_symbols(trainer.probe_inputs().batch.x)
        loops = loops_of("compiled")
        assert loops is not None
        for layer in layers_of(cell)[:2]:  # the layers above the first are alike
            takes_symbols = symbols and layer.number == 1
            if not loops.are_ready(layer.cell, takes_symbols, dtype):
                note(COMPILING.format(cell=type(layer.cell).__name__, dtype=dtype))
            loops.forward(layer.cell, takes_symbols, np.dtype(dtype))
            loops.backward(layer.cell, np.dtype(dtype))
        loops.reductions(np.dtype(dtype))
        _compile_update(trainer, Workspace(loops), np.dtype(dtype))


def _compile_update(trainer: Trainer, workspace: Workspace, dtype: np.dtype[Any]) -> None:
    """Compile clipping and the update, which depend on the number of parameters but not on their sizes."""
    model = trainer.model
    names = [*model.cell.param_shapes(), *model.readout.param_shapes()]
    names += [f"{name}_0" for name in model.cell.states if model.initial_state.learned]
    params = {name: np.zeros((1, 1), dtype) for name in names}
    trainer.clipping.apply(params, workspace=workspace)
    trainer.optimizer.update(params, params, trainer.optimizer.init(params), workspace)
