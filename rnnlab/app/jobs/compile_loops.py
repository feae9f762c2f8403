"""Compilation of the loops of a sweep before its workers start, so that no two workers compile the same."""

from collections.abc import Callable, Sequence

import numpy as np

from rnnlab.app.config.build import build
from rnnlab.app.jobs.resume import format_json
from rnnlab.app.jobs.run_job import WorkOrder
from rnnlab.cells import layers_of
from rnnlab.engine.weights import is_symbols
from rnnlab.training import loops_of

COMPILING = "compiling {cell} for {dtype}, once per machine and version, which takes a few seconds"


def compile_loops(orders: Sequence[WorkOrder], say: Callable[[str], object]) -> None:
    """Compile the loops of all orders with the compiled engine, and say so unless they are in the cache."""
    seen: set[str] = set()
    for order in orders:
        key = format_json([order.config[name] for name in ("cell", "dtype", "task", "layers")])
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
                say(COMPILING.format(cell=type(layer.cell).__name__, dtype=dtype))
            loops.forward(layer.cell, takes_symbols, np.dtype(dtype))
            loops.backward(layer.cell, np.dtype(dtype))
        loops.reductions(np.dtype(dtype))
