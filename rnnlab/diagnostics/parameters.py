"""Norms of each parameter, of its gradient and of its update, in total and per gate."""

from collections.abc import Iterator

from rnnlab.cells import Cell
from rnnlab.diagnostics.snapshot import Readings, Snapshot
from rnnlab.norms import global_norm


def measure_parameters(snapshot: Snapshot) -> Readings:
    """Measure norms for each parameter, such as `W_hh`, and for each gate's rows, such as `W_hh.f`.

    `grad_norm/W_hh` is ‖dW‖ before clipping, and `weight_norm/W_hh` is ‖W‖. `update_ratio/W_hh` is
    ‖ΔW‖/‖W‖, where ΔW is the optimiser's update; the ratio is None if W is 0. There is no ratio after the
    last update and in the training step that diverges.
    """
    cell = snapshot.model.cell
    metrics: dict[str, float | None] = {}
    for name in snapshot.params:
        for part, rows in _parts(cell, name):
            weight = global_norm([snapshot.params[name][rows]])
            metrics[f"grad_norm/{part}"] = global_norm([snapshot.grads[name][rows]])
            metrics[f"weight_norm/{part}"] = weight
            if name in snapshot.updates:
                update = global_norm([snapshot.updates[name][rows]])
                metrics[f"update_ratio/{part}"] = update / weight if weight > 0 else None
    return Readings(metrics=metrics)


def _parts(cell: Cell, name: str) -> Iterator[tuple[str, slice]]:
    """Yield the name and rows of the entire parameter and, for a cell with gates, of each gate's block."""
    yield name, slice(None)
    declared = cell.parameters().get(name)
    if declared is not None and declared.gates:
        height = declared.rows // len(declared.gates)
        for i, gate in enumerate(declared.gates):
            yield f"{name}.{gate}", slice(i * height, (i + 1) * height)
