"""Theoretical predictions for the network at initialisation."""

from collections.abc import Sequence

import numpy as np

from rnnlab.arrays import Array, Params
from rnnlab.cells import Cell, CellTape, layers_of
from rnnlab.diagnostics.mean_field import NONLINEARITIES, mean_field
from rnnlab.diagnostics.snapshot import Readings, Snapshot, of_layer
from rnnlab.engine.weights import is_symbols
from rnnlab.records import THEORY_CELL_PATH, THEORY_LOG10_GAIN

ORTHOGONAL = 1e-3
"""Tolerance for W Wᵀ to count as a multiple of the identity; mean-field theory requires a random W."""


def measure_theory(snapshot: Snapshot) -> Readings:
    """Compute theoretical predictions at training step 0; return no readings at later training steps.

    For a vanilla cell with random W_hh, mean-field theory predicts `theory/log10_gain`, `theory/q`,
    `theory/chi`, `theory/depth` and `theory/critical_sigma_w`. The inputs of the theory, `theory/sigma_w` and
    `theory/sigma_x`, are measured from the weights and the probe batch. For a cell with forget gates,
    `theory/log10_cell_path` is the mean of log10 f over the probe batch. The mean of log10 f predicts the
    decay of the gradient with respect to c along the direct path through the cell states; the path through h
    is ignored.
    """
    if snapshot.step > 0:
        return Readings()
    inputs, layers = snapshot.inputs, layers_of(snapshot.model.cell)
    tapes: Sequence[CellTape | None] = [None]
    if len(layers) > 1 or layers[0].cell.forget_gate is not None:
        start_rng = np.random.default_rng(inputs.seed)
        tape = snapshot.model.forward(snapshot.params, inputs.batch, None, snapshot.workspace, start_rng).cell
        tapes = tape.layers or [tape]
    metrics: dict[str, float | None] = {}
    for layer, own in zip(layers, tapes, strict=True):
        x = inputs.batch.x if own is None else own.x
        found = _predictions(layer.cell, layer.take(snapshot.params), x, own)
        metrics |= {of_layer(name, layer): value for name, value in found.items()}
    return Readings(metrics=metrics)


def _predictions(cell: Cell, params: Params, x: Array, tape: CellTape | None) -> dict[str, float | None]:
    """Return the predictions for one layer; the tape is required for a cell with a forget gate."""
    if cell.forget_gate is not None:
        assert tape is not None
        with np.errstate(divide="ignore"):
            log10_f = np.log10(cell.sigmoid_gates(tape)[cell.forget_gate], dtype=np.float64).mean()
        return {THEORY_CELL_PATH: float(log10_f)}
    name = cell.activation.name if cell.activation is not None else ""
    if cell.recurrent_matrix is None or name not in NONLINEARITIES:
        return {}
    W_hh = params[cell.recurrent_matrix].astype(np.float64)
    if not _is_random(W_hh):
        return {}
    σ_w2 = cell.hidden_size * float(np.mean(W_hh * W_hh))
    σ_x2 = input_variance(cell.input_weights(params), x)
    if not (np.isfinite(σ_w2) and np.isfinite(σ_x2)):  # initial weights overflowed
        return {}
    theory = mean_field(name, σ_w2, σ_x2)
    return {
        "theory/sigma_w": float(np.sqrt(σ_w2)),
        "theory/sigma_x": float(np.sqrt(σ_x2)),
        "theory/q": theory.q,
        "theory/chi": theory.χ,
        "theory/critical_sigma_w": theory.critical_σ_w,
        "theory/depth": theory.depth,
        THEORY_LOG10_GAIN: theory.log10_gain,
    }


def input_variance(weights: tuple[Array, Array], x: Array) -> float:
    """Return σ_x², the mean square of W x + b over units, time steps and examples, for weights (W, b)."""
    W_xh, bias = (a.astype(np.float64) for a in weights)
    if is_symbols(x):
        symbol_variances = np.mean((W_xh + bias) ** 2, axis=0)
        return float(symbol_variances[x].mean())
    return float(np.mean((np.matmul(W_xh, x) + bias) ** 2))


def _is_random(W_hh: Array) -> bool:
    """Return False for the zero matrix and for multiples of the identity or of an orthogonal matrix."""
    product = W_hh @ W_hh.T
    scale = np.trace(product) / len(product)
    if scale == 0 or len(product) == 1:
        return False
    return bool(np.abs(product / scale - np.eye(len(product))).max() > ORTHOGONAL)
