"""Lyapunov exponents: mean exponential rates at which nearby states of a driven network diverge.

The QR method (Benettin et al., 1980) is applied to the transposed Jacobians along one long trajectory, from
the last time step to the first. The adjoint step gives J[t]ᵀ Q without forming J[t]:

    Q R = J[t]ᵀ Q      λ_i = mean over t of ln |R_ii|

Products of the transposed Jacobians have the same exponents as products of the Jacobians. At a finite lag,
the logarithms of the singular values, divided by the lag, differ from the Lyapunov exponents.

Successive values of ln |R_ii| are correlated, so the standard error of their mean is estimated by the method
of non-overlapping batch means (Schmeiser, 1982). The standard error is the standard deviation of the means of
10 blocks of consecutive time steps, divided by √10. The estimate is valid if a block is much longer than the
correlation time. With 9 degrees of freedom, the estimate has a relative uncertainty of about one quarter.
"""

from typing import Annotated

import numpy as np
from annotated_types import Ge

from rnnlab.arrays import Array, Params, copy_params
from rnnlab.cells import Cell, CellTape, StepTape
from rnnlab.diagnostics.jacobians import split_states
from rnnlab.diagnostics.requirements import Sizes, requires
from rnnlab.diagnostics.snapshot import Readings, Snapshot
from rnnlab.diagnostics.statistics import standard_error
from rnnlab.records import TOP_LYAPUNOV, TOP_LYAPUNOV_SE, finite_or_none


def bytes_of_lyapunov(sizes: Sizes, steps: int, warm_up: int, exponents: int) -> int:
    """Return the bytes of the forward pass over a long sequence, and of the exponents at each time step."""
    states = sum(sizes.cell.state_sizes.values())
    return sizes.forward(1, steps + 2 * warm_up) + 2 * 8 * steps * min(exponents, states)


@requires(memory=bytes_of_lyapunov)
def measure_lyapunov(
    snapshot: Snapshot,
    *,
    steps: Annotated[int, Ge(10)],
    warm_up: Annotated[int, Ge(0)],
    exponents: Annotated[int, Ge(1)],
) -> Readings:
    """Measure the exponents `lyapunov/top`, `lyapunov/02`, … and their standard errors on the task's inputs.

    Args:
        snapshot: Snapshot of a training step.
        steps: Number of time steps included in the average.
        warm_up: Number of additional time steps both at the start, where the state converges, and at the end,
            where Q converges; these time steps are excluded from the average.
        exponents: Number of exponents to measure, starting with the largest.
    """
    cell = snapshot.model.cell
    batch = snapshot.inputs.long(steps + 2 * warm_up)
    start_rng = np.random.default_rng(snapshot.inputs.seed)
    tape = snapshot.model.forward(snapshot.params, batch, None, snapshot.workspace, start_rng).cell
    local = local_exponents(cell, snapshot.params, tape, warm_up, exponents)
    metrics: dict[str, float | None] = {}
    for i, (λ, error) in enumerate(zip(local.mean(axis=0), standard_error(local), strict=True), start=1):
        metrics[TOP_LYAPUNOV if i == 1 else f"lyapunov/{i:02d}"] = finite_or_none(λ)
        metrics[TOP_LYAPUNOV_SE if i == 1 else f"lyapunov/{i:02d}_se"] = finite_or_none(error)
    return Readings(metrics=metrics)


def lyapunov_exponents(cell: Cell, params: Params, tape: CellTape, warm_up: int, exponents: int) -> Array:
    """Return the largest Lyapunov exponents along the first example of a tape, in descending order.

    Args:
        cell: The cell.
        params: Parameters of the cell; the function converts them to float64.
        tape: Tape of a forward pass.
        warm_up: Number of time steps at each end that are excluded from the average.
        exponents: Number of exponents to return; values above the dimension of the state are reduced to that
            dimension.

    Returns:
        Exponents, shape (exponents,); -inf for a direction that is mapped to exactly 0, NaN if the trajectory
        is not finite.
    """
    return np.asarray(local_exponents(cell, params, tape, warm_up, exponents).mean(axis=0))


def local_exponents(cell: Cell, params: Params, tape: CellTape, warm_up: int, exponents: int) -> Array:
    """Return ln |R_ii| for each time step included in the average.

    The arguments are those of `lyapunov_exponents`.

    Returns:
        Local exponents, shape (steps, exponents). Rows are in order of time, and columns are in descending
        order of their means. All values are NaN if the trajectory is not finite.
    """
    wide = copy_params(params, np.float64)
    n = sum(cell.state_sizes.values())
    m = min(exponents, n)
    # Random start: the first unit vectors of an LSTM may all lie in h, where the adjoint can vanish.
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((n, m)))[0]
    local = np.full((tape.time - 2 * warm_up, m), np.nan)
    for t in range(tape.time, warm_up, -1):
        step = _of_first_example(tape.step(t), m)
        before = cell.adjoint_step(wide, step, split_states(cell, Q)).before
        pushed = np.concatenate([before[name] for name in cell.states])
        if not np.isfinite(pushed).all():
            return np.full_like(local, np.nan)
        Q, R = np.linalg.qr(pushed)
        if t <= tape.time - warm_up:
            with np.errstate(divide="ignore"):
                local[t - warm_up - 1] = np.log(np.abs(np.diag(R)))
    return local[:, np.argsort(local.mean(axis=0))[::-1]]


def _of_first_example(step: StepTape, columns: int) -> StepTape:
    def repeated(a: Array) -> Array:
        return np.repeat(a[:, :1].astype(np.float64), columns, axis=1)

    return StepTape(
        np.repeat(step.x[..., :1], columns, axis=-1),
        {name: repeated(a) for name, a in step.before.items()},
        {name: repeated(a) for name, a in step.after.items()},
        {name: repeated(a) for name, a in step.inner.items()},
    )
