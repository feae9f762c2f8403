"""Snapshots of training steps of small cases."""

import numpy as np

from rnnlab.arrays import copy_params
from rnnlab.diagnostics import ProbeInputs, Snapshot
from rnnlab.model import Batch
from rnnlab.workspace import Workspace
from tests.oracles.cases import Case


def snapshot_of(case: Case, step: int = 0, probe: Batch | None = None, long: Batch | None = None) -> Snapshot:
    """Return the snapshot of an update w ← w - 0.1 dw; the default probe batch is the training batch."""
    tape = case.forward()
    grads, deltas = case.model.backward(case.params, tape, with_dx=False)
    inputs = ProbeInputs(probe or case.batch, lambda length: long or case.batch, seed=0)
    return Snapshot(
        step=step,
        model=case.model,
        params=copy_params(case.params),
        tape=tape,
        deltas=deltas,
        grads=copy_params(grads),
        updates={name: -0.1 * grad for name, grad in grads.items()},
        inputs=inputs,
        task_lag=None,
        workspace=Workspace(),
    )


def by_name(curves):
    """Return the curves by quantity."""
    curves = list(curves)
    found = {curve.quantity: curve for curve in curves}
    assert len(found) == len(curves)
    return found


def assert_same_curves(actual, expected):
    assert [curve.quantity for curve in actual] == [curve.quantity for curve in expected]
    for one, other in zip(actual, expected, strict=True):
        for name, value in vars(other).items():
            np.testing.assert_array_equal(getattr(one, name), value, err_msg=f"{one.quantity} {name}")
