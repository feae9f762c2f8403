"""Lyapunov exponents: the mean rates, in natural log a step, at which a driven network's states part.

By QR along one long run (G. Benettin et al., 1980), on the transposed Jacobians and so from the end to the
start, which the adjoint step gives without forming a Jacobian:

    Q R = J[t]ᵀ Q      λ_i = mean over t of ln |R_ii|

The spectrum is that of the forward products. It is not the singular values' at any finite lag.

A mean over finitely many steps has an error, and successive ln |R_ii| are correlated. So the standard error
is estimated by non-overlapping batch means (B. Schmeiser, 1982): of the means over 10
blocks of successive steps, their standard deviation / √10. It is right if a block is long against the
correlation time, and itself uncertain by about a quarter, since it has 9 degrees of freedom.
"""

from typing import Annotated

import numpy as np
from annotated_types import Ge

from rnnlab.arrays import Array, Params, copy_params
from rnnlab.cells import Cell, CellTape, StepTape
from rnnlab.diagnostics.snapshot import Readings, Snapshot
from rnnlab.diagnostics.statistics import standard_error
from rnnlab.records import TOP_LYAPUNOV, TOP_LYAPUNOV_SE


def measure_lyapunov(
    snapshot: Snapshot,
    *,
    steps: Annotated[int, Ge(10)],
    warm_up: Annotated[int, Ge(0)],
    exponents: Annotated[int, Ge(1)],
) -> Readings:
    """`lyapunov/top`, `lyapunov/02` and so on, each with its standard error, of a run on the task's inputs.

    Args:
        snapshot: Of a training step.
        steps: Time steps that are averaged over.
        warm_up: Further ones at the start, for the state, and at the end, for Q, that are not.
        exponents: How many, from the largest.
    """
    cell = snapshot.model.cell
    batch = snapshot.inputs.long(steps + 2 * warm_up)
    start_rng = np.random.default_rng(snapshot.inputs.seed)
    tape = snapshot.model.forward(snapshot.params, batch, None, snapshot.workspace, start_rng).cell
    local = local_exponents(cell, snapshot.params, tape, warm_up, exponents)
    metrics: dict[str, float | None] = {}
    for i, (λ, error) in enumerate(zip(local.mean(axis=0), standard_error(local), strict=True), start=1):
        metrics[TOP_LYAPUNOV if i == 1 else f"lyapunov/{i:02d}"] = _finite(λ)
        metrics[TOP_LYAPUNOV_SE if i == 1 else f"lyapunov/{i:02d}_se"] = _finite(error)
    return Readings(metrics=metrics)


def lyapunov_exponents(cell: Cell, params: Params, tape: CellTape, warm_up: int, exponents: int) -> Array:
    """The largest exponents in descending order, along the first example of a tape, in float64.

    Args:
        cell: The cell.
        params: Its parameters.
        tape: A forward pass.
        warm_up: Time steps at either end that are not averaged over.
        exponents: How many; no more than the state has entries.

    Returns:
        (exponents,), -inf where a direction is lost altogether, NaN where the run is not finite.
    """
    return np.asarray(local_exponents(cell, params, tape, warm_up, exponents).mean(axis=0))


def local_exponents(cell: Cell, params: Params, tape: CellTape, warm_up: int, exponents: int) -> Array:
    """ln |R_ii| at every step that is averaged over, in the order of time; arguments as above.

    Returns:
        (steps, exponents), the columns by descending mean; NaN where the run is not finite.
    """
    wide = copy_params(params, np.float64)
    H, n = cell.hidden_size, len(cell.states) * cell.hidden_size
    m = min(exponents, n)
    # Not the unit vectors: an LSTM's first ones may all lie in h and be sent nowhere.
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((n, m)))[0]
    local = np.full((tape.time - 2 * warm_up, m), np.nan)
    for t in range(tape.time, warm_up, -1):
        step = _of_first_example(tape.step(t), m)
        adjoint = {name: Q[i * H : (i + 1) * H] for i, name in enumerate(cell.states)}
        before = cell.adjoint_step(wide, step, adjoint).before
        pushed = np.concatenate([before[name] for name in cell.states])
        if not np.isfinite(pushed).all():
            return np.full_like(local, np.nan)
        Q, R = np.linalg.qr(pushed)
        if t <= tape.time - warm_up:
            with np.errstate(divide="ignore"):
                local[t - warm_up - 1] = np.log(np.abs(np.diag(R)))
    return local[:, np.argsort(local.mean(axis=0))[::-1]]


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _of_first_example(step: StepTape, columns: int) -> StepTape:
    def repeated(a: Array) -> Array:
        return np.repeat(a[:, :1].astype(np.float64), columns, axis=1)

    return StepTape(
        step.x,
        {name: repeated(a) for name, a in step.before.items()},
        {name: repeated(a) for name, a in step.after.items()},
        {name: repeated(a) for name, a in step.inner.items()},
    )
