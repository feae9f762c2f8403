"""What theory says of the network as initialised, beside the measurement."""

import numpy as np

from rnnlab.arrays import Array, Params
from rnnlab.cells import Vanilla
from rnnlab.cells.weights import is_symbols
from rnnlab.diagnostics.mean_field import mean_field
from rnnlab.diagnostics.snapshot import Readings, Snapshot
from rnnlab.records import THEORY_CELL_PATH, THEORY_LOG10_GAIN

ORTHOGONAL = 1e-3
"""W Wᵀ nearer to a multiple of the identity than this is no random matrix, of which mean-field theory is."""


def measure_theory(snapshot: Snapshot) -> Readings:
    """At step 0, and for no other: the gain that theory expects, `theory/log10_gain`.

    Vanilla cell with random W_hh: mean-field theory with `theory/sigma_w` and `theory/sigma_x` measured from
    the weights and the probe batch, `theory/q`, `theory/chi`, `theory/depth` and `theory/critical_sigma_w`.
    A cell with forget gates: its cell path alone, the mean of log10 f on the probe batch, as
    `theory/log10_cell_path`; that is of the gradient at c, and not what h carries beside it.
    """
    if snapshot.step > 0:
        return Readings()
    cell, inputs = snapshot.model.cell, snapshot.inputs
    if "f" in cell.sigmoid_gates:
        start_rng = np.random.default_rng(inputs.seed)
        tape = snapshot.model.forward(snapshot.params, inputs.batch, None, snapshot.workspace, start_rng).cell
        with np.errstate(divide="ignore"):
            log10_f = np.log10(tape.inner["gates"][:, cell.rows("f")], dtype=np.float64).mean()
        return Readings(metrics={THEORY_CELL_PATH: float(log10_f)})
    W_hh = snapshot.params["W_hh"].astype(np.float64)
    if not isinstance(cell, Vanilla) or not _is_random(W_hh):
        return Readings()
    σ_w2 = cell.hidden_size * float(np.mean(W_hh * W_hh))
    σ_x2 = input_variance(snapshot.params, snapshot.inputs.batch.x)
    if not (np.isfinite(σ_w2) and np.isfinite(σ_x2)):  # weights that overflowed when they were drawn
        return Readings()
    found = mean_field(cell.nonlinearity, σ_w2, σ_x2)
    return Readings(
        metrics={
            "theory/sigma_w": float(np.sqrt(σ_w2)),
            "theory/sigma_x": float(np.sqrt(σ_x2)),
            "theory/q": found.q,
            "theory/chi": found.χ,
            "theory/critical_sigma_w": found.critical_σ_w,
            "theory/depth": found.depth,
            THEORY_LOG10_GAIN: found.log10_gain,
        }
    )


def input_variance(params: Params, x: Array) -> float:
    """σ_x², the mean square of W_xh x + b_h over units, time steps and examples."""
    W_xh = params["W_xh"].astype(np.float64)
    bias = params["b_h"].astype(np.float64) if "b_h" in params else 0.0
    if is_symbols(x):
        of_symbols = np.mean((W_xh + bias) ** 2, axis=0)
        return float(of_symbols[x].mean())
    return float(np.mean((np.matmul(W_xh, x) + bias) ** 2))


def _is_random(W_hh: Array) -> bool:
    """False of orthogonal matrices and multiples of them, of the identity, and of zero."""
    product = W_hh @ W_hh.T
    scale = np.trace(product) / len(product)
    if scale == 0 or len(product) == 1:
        return False
    return bool(np.abs(product / scale - np.eye(len(product))).max() > ORTHOGONAL)
