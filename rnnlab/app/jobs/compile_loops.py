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
from rnnlab.workspace import Loops, Workspace

COMPILING = "compiling {what} for {dtype}, once per machine and version, which takes a few seconds"
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
        trainer, loops = build(order.config).trainer, loops_of("compiled")
        assert loops is not None
        symbols, dtype = is_symbols(trainer.probe_inputs().batch.x), np.dtype(str(order.config["dtype"]))
        lookup = loops.lookup()
        with np.errstate(all="ignore"):  # NumPy computes the update of weights that are 0
            _request(trainer, symbols, dtype, lookup)
        if lookup.missing:
            note(COMPILING.format(what=lookup.missing[0], dtype=dtype))
        _request(trainer, symbols, dtype, loops)


def _request(trainer: Trainer, symbols: bool, dtype: np.dtype[Any], loops: Loops) -> None:
    """Ask for all compiled functions of a run; clipping and the update depend on no sizes of parameters."""
    model = trainer.model
    for layer in layers_of(model.cell)[:2]:  # the layers above the first are alike
        loops.forward(layer.cell, symbols and layer.number == 1, dtype)
        loops.backward(layer.cell, dtype)
    loops.reductions(dtype)
    names = [*model.cell.param_shapes(), *model.readout.param_shapes()]
    names += [f"{name}_0" for name in model.cell.states if model.initial_state.learned]
    params, workspace = {name: np.zeros((1, 1), dtype) for name in names}, Workspace(loops)
    trainer.clipping.apply(params, workspace=workspace)
    trainer.optimizer.update(params, params, trainer.optimizer.init(params), workspace)
