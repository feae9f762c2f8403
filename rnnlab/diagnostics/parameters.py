"""Norms of each parameter, of its gradient and of its update, in total and per gate."""

from collections.abc import Iterator

from rnnlab.cells import Cell
from rnnlab.diagnostics.snapshot import Readings, Snapshot
from rnnlab.norms import global_norm


def measure_parameters(snapshot: Snapshot) -> Readings:
    """Measure norms for each parameter, such as `W_hh`, and for each gate's rows, such as `W_hh.f`.

    `grad_norm/W_hh` is ‖dW‖ before clipping, and `weight_norm/W_hh` is ‖W‖. `update_ratio/W_hh` is
    ‖ΔW‖/‖W‖, where ΔW is the optimiser's update; the ratio is None if W is 0.
    """
    cell = snapshot.model.cell
    metrics: dict[str, float | None] = {}
    for name in snapshot.params:
        arrays = snapshot.grads[name], snapshot.params[name], snapshot.updates[name]
        for part, rows in _parts(cell, name, len(arrays[0])):
            gradient, weight, update = (global_norm([a[rows]]) for a in arrays)
            metrics[f"grad_norm/{part}"] = gradient
            metrics[f"weight_norm/{part}"] = weight
            metrics[f"update_ratio/{part}"] = update / weight if weight > 0 else None
    return Readings(metrics=metrics)


def _parts(cell: Cell, name: str, rows: int) -> Iterator[tuple[str, slice]]:
    """Yield the name and rows of the entire parameter and, for a cell with gates, of each gate's block."""
    yield name, slice(None)
    if name in ("W_xh", "W_hh", "b_h") and len(cell.gates) > 1:
        for gate in cell.gates:
            yield f"{name}.{gate}", cell.rows(gate)
