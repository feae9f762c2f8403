"""Spectral radius and spectral norm of W_hh, and the resulting bound on the gain per time step."""

import numpy as np

from rnnlab.cells import Cell
from rnnlab.diagnostics.snapshot import Readings, Snapshot, by_layer
from rnnlab.records import THEORY_BOUND


@by_layer
def measure_spectrum(snapshot: Snapshot) -> Readings:
    """Measure `weights/spectral_radius` and `weights/spectral_norm` of W_hh.

    For a cell with gates, each gate's block has its own metrics, such as `weights/spectral_norm.f`. For the
    vanilla cell, `theory/log10_bound` is the bound ‖∂h[t]/∂h[t-1]‖₂ ≤ ‖W_hh‖₂ max|φ'| in decades per time
    step.

    References:
        Pascanu, Mikolov & Bengio, *On the difficulty of training recurrent neural networks* (2013).
    """
    cell = snapshot.model.cell
    if cell.recurrent_matrix is None:
        return Readings()
    W_hh = snapshot.params[cell.recurrent_matrix].astype(np.float64)
    metrics: dict[str, float | None] = {}
    for gate in cell.gate_names:
        block = W_hh[cell.rows(gate)]
        suffix = f".{gate}" if len(cell.gate_names) > 1 else ""
        finite = bool(np.isfinite(block).all())
        radius = float(np.abs(np.linalg.eigvals(block)).max()) if finite else None
        largest = float(np.linalg.norm(block, 2)) if finite else None
        metrics |= {f"weights/spectral_radius{suffix}": radius, f"weights/spectral_norm{suffix}": largest}
    return Readings(metrics=metrics | _bound(cell, metrics.get("weights/spectral_norm")))


def _bound(cell: Cell, spectral_norm: float | None) -> dict[str, float | None]:
    if cell.activation is None or not spectral_norm:
        return {}
    return {THEORY_BOUND: float(np.log10(spectral_norm * cell.activation.max_slope))}
