"""Singular values of the Jacobian of a state with respect to an earlier state.

    P_k = ∂s[τ]/∂s[τ-k] = J[τ] J[τ-1] … J[τ-k+1]      s: full state, (h, c) for an LSTM

The largest singular value is computed from the product of the one-step Jacobians. The smallest singular value
is the reciprocal of the largest singular value of the inverse product. In a float64 product, the small
singular values are dominated by rounding error: in one experiment, the logarithm of the smallest singular
value decreased by 1.4 per time step, whereas the correct decrease is 7.7. Products are rescaled by powers of
two to stay within the range of float64.
"""

from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from rnnlab.arrays import Array, Params, copy_params
from rnnlab.cells import Cell, CellTape, GatedCell, StepTape
from rnnlab.diagnostics.requirements import Sizes, requires
from rnnlab.diagnostics.snapshot import Readings, Snapshot
from rnnlab.diagnostics.statistics import curves

MATRICES = 6
"""Number of n × n float64 arrays per example: the Jacobian, the product, the inverse and their copies."""


def bytes_of_jacobians(sizes: Sizes, examples: int, lags: int) -> int:
    """Return the bytes of the matrices, and of the tape of one time step, repeated for each adjoint."""
    n, (arrays, _) = sum(sizes.cell.state_sizes.values()), sizes.cell.arrays_per_step()
    adjoints = len(sizes.cell.states) if isinstance(sizes.cell, GatedCell) else n
    tape = 2 * arrays * sizes.cell.hidden_size * adjoints
    return 8 * min(examples, sizes.examples) * (MATRICES * n * n + tape)


@requires(memory=bytes_of_jacobians)
def measure_jacobians(
    snapshot: Snapshot, *, examples: Annotated[int, Ge(1)], lags: Annotated[int, Ge(1), Le(10_000)]
) -> Readings:
    """Measure the largest and smallest singular values of ∂s[T]/∂s[T-k] by lag, `sv_max` and `sv_min`.

    Args:
        snapshot: Snapshot of a training step. The Jacobians are evaluated along a forward pass over the probe
            batch.
        examples: Number of sequences to use from the probe batch.
        lags: Maximum number of lags, evenly spaced on a logarithmic scale from 1 to T.
    """
    batch, model = snapshot.inputs.batch, snapshot.model
    start_rng = np.random.default_rng(snapshot.inputs.seed)
    tape = model.forward(snapshot.params, batch, workspace=snapshot.workspace, rng=start_rng).cell
    chosen = np.unique(np.geomspace(1, tape.time, lags).round().astype(int))
    largest, smallest = log_singular_values(
        model.cell, snapshot.params, tape, chosen, min(examples, batch.size)
    )
    return Readings(curves("lag", chosen, {"sv_max": largest, "sv_min": smallest}))


def log_singular_values(
    cell: Cell, params: Params, tape: CellTape, lags: Array, examples: int
) -> tuple[Array, Array]:
    """Return the natural logarithms of the largest and smallest singular values, two arrays (N, examples).

    Args:
        cell: The cell.
        params: Parameters of the cell; the function converts them to float64.
        tape: Tape of a forward pass; τ is the last time step.
        lags: Lags k in 1 … T in ascending order, shape (N,).
        examples: Number of examples to use from the tape, starting with the first.

    Returns:
        The logarithms of the largest and of the smallest singular values. A value is NaN if the product is
        not finite; the smallest singular value is also NaN if a Jacobian is singular.
    """
    wide = copy_params(params, np.float64)
    n = sum(cell.state_sizes.values())
    product = np.broadcast_to(np.eye(n), (examples, n, n)).copy()  # (∂s[τ]/∂s[τ-k])ᵀ
    inverse, invertible = product.copy(), np.ones(examples, bool)
    log_scale = np.zeros((2, examples))
    largest, smallest = (np.full((len(lags), examples), np.nan) for _ in range(2))
    for k in range(1, int(lags.max()) + 1):
        Jᵀ = state_jacobians(cell, wide, tape.step(tape.time - k + 1), examples).transpose(0, 2, 1)
        product, log_scale[0] = _rescale(Jᵀ @ product, log_scale[0])
        inverse, invertible = _divide(Jᵀ, inverse, invertible)
        inverse, log_scale[1] = _rescale(inverse, log_scale[1])
        for row in np.flatnonzero(lags == k):
            largest[row] = _log_largest(product) + log_scale[0]
            smallest[row] = np.where(invertible, -_log_largest(inverse) - log_scale[1], np.nan)
    return largest, smallest


def state_jacobians(cell: Cell, params: Params, step: StepTape, examples: int) -> Array:
    """Return ∂s[t]/∂s[t-1] of the first examples in float64, (examples, n, n); n is the size of the state."""
    if isinstance(cell, GatedCell):
        return _by_elements(cell, params, step, examples)
    return _by_unit_vectors(cell, params, step, examples)


def _by_elements(cell: GatedCell, params: Params, step: StepTape, examples: int) -> Array:
    """Return the Jacobians of a cell whose equations act on single elements.

        ∂s_p[t]_j/∂s_q[t-1]_i = Σ_k (∂s_p[t]_j/∂z_k[t]_j) (W_kq)_ji + (∂s_p[t]_j/∂s_q[t-1]_j) δ_ij

    For each state s_p, one adjoint of ones gives the slopes of all units at once; without the recurrent
    matrices, an adjoint step returns only the direct path, the second term.
    """
    H, parts = cell.hidden_size, len(cell.states)
    without = {**params, **{name: np.zeros_like(params[name]) for name in cell.recurrent}}
    chosen = np.eye(parts)[:, None]  # the column of each copy of an example that belongs to its state
    ones = {name: np.tile(chosen[p], (H, examples)) for p, name in enumerate(cell.states)}
    deltas = cell.adjoint_step(without, _repeated(step, examples, parts), ones)
    assert deltas.recurrent is not None
    slopes = deltas.recurrent.reshape(-1, H, examples * parts).transpose(1, 2, 0)  # (unit j, …, gate k)
    J = np.zeros((examples, parts, H, parts, H))
    for matrix, state in cell.recurrent.items():
        blocks = params[matrix].reshape(-1, H, H).transpose(1, 0, 2)  # (unit j, gate k, unit i)
        products = (slopes @ blocks).reshape(H, examples, parts, H)
        J[..., cell.states.index(state), :] += products.transpose(1, 2, 0, 3)
    units = np.arange(H)
    for q, state in enumerate(cell.states):
        J[:, :, units, q, units] += deltas.before[state].reshape(H, examples, parts).transpose(1, 2, 0)
    return J.reshape(examples, parts * H, parts * H)


def _by_unit_vectors(cell: Cell, params: Params, step: StepTape, examples: int) -> Array:
    """Return the Jacobians of any cell.

    Row j is the result of an adjoint step applied to the unit vector e_j. A single adjoint step computes all
    rows because the unit vectors are stacked as columns.
    """
    n = sum(cell.state_sizes.values())
    units = np.tile(np.eye(n), examples)
    before = cell.adjoint_step(params, _repeated(step, examples, n), split_states(cell, units)).before
    rows = np.concatenate([before[name] for name in cell.states])  # (n, examples · n), each column a row of J
    return rows.reshape(n, examples, n).transpose(1, 2, 0)


def split_states(cell: Cell, stacked: Array) -> dict[str, Array]:
    """Return the rows of each state of an array that contains all states, one below the other."""
    sizes = cell.state_sizes
    return dict(zip(sizes, np.split(stacked, np.cumsum(list(sizes.values()))[:-1]), strict=True))


def _repeated(step: StepTape, examples: int, copies: int) -> StepTape:
    """Return the tape of the first examples in float64, with each example repeated."""

    def repeated(a: Array) -> Array:
        return np.repeat(a[:, :examples].astype(np.float64), copies, axis=1)

    return StepTape(
        np.repeat(step.x[..., :examples], copies, axis=-1),
        {name: repeated(a) for name, a in step.before.items()},
        {name: repeated(a) for name, a in step.after.items()},
        {name: repeated(a) for name, a in step.inner.items()},
    )


def _divide(Jᵀ: Array, inverse: Array, invertible: Array) -> tuple[Array, Array]:
    """Return (P J)⁻¹ = J⁻¹ P⁻¹ for P⁻¹ = `inverse`, and a mask of the examples for which (P J)⁻¹ exists."""
    J = Jᵀ.transpose(0, 2, 1)
    out = np.zeros_like(inverse)
    exists = invertible.copy()
    for example in np.flatnonzero(invertible):
        try:
            out[example] = np.linalg.solve(J[example], inverse[example])
        except np.linalg.LinAlgError:
            exists[example] = False
    exists &= np.isfinite(out).all(axis=(1, 2))
    return out, exists


def _rescale(matrices: Array, log_scale: Array) -> tuple[Array, Array]:
    """Scale each matrix by a power of two to bring its largest magnitude into [½, 1); update `log_scale`."""
    largest = np.abs(matrices).max(axis=(1, 2))
    exponents = np.frexp(np.where(np.isfinite(largest), largest, 0.0))[1]
    return np.ldexp(matrices, -exponents[:, None, None]), log_scale + exponents * np.log(2)


def _log_largest(matrices: Array) -> Array:
    """Return ln of each matrix's largest singular value; -inf for a zero matrix, NaN for a non-finite one."""
    out = np.full(len(matrices), np.nan)
    finite = np.isfinite(matrices).all(axis=(1, 2))
    if finite.any():
        with np.errstate(divide="ignore"):
            out[finite] = np.log(np.linalg.svd(matrices[finite], compute_uv=False)[:, 0])
    return out
