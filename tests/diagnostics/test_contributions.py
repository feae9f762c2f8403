"""Contributions of time steps to dW_hh: their sum is dW_hh, and the Gram form gives their Frobenius norms."""

import numpy as np
import pytest

from rnnlab.diagnostics import measure_contributions
from tests.oracles.cases import TIME, build, cell_id, every_cell, recurrent_shares
from tests.oracles.snapshots import by_name, snapshot_of


@pytest.mark.parametrize("cell", every_cell(), ids=cell_id)
@pytest.mark.parametrize("mask", ["every step", "last two outputs"])
def test_shares_add_up_and_their_norms_are_by_gram(cell, mask):
    snapshot = snapshot_of(build(cell, mask=mask))
    tape, deltas = snapshot.tape.cell, snapshot.deltas
    recurrent = deltas.recurrent
    shares = recurrent_shares(cell, tape, recurrent).sum(axis=-1)
    np.testing.assert_allclose(shares.sum(axis=0), snapshot.grads["W_hh"], rtol=1e-12, atol=1e-15)

    found = by_name(measure_contributions(snapshot).curves)
    expected = {"dW_hh": shares}
    if len(cell.gate_names) > 1:
        expected |= {f"dW_hh.{gate}": shares[:, cell.rows(gate)] for gate in cell.gate_names}
    assert set(found) == set(expected)
    for name, share in expected.items():
        norms = np.linalg.norm(share, axis=(1, 2))
        np.testing.assert_array_equal(found[name].index, np.arange(1, TIME + 1))
        np.testing.assert_allclose(found[name].mean, norms, rtol=1e-10, atol=1e-14, err_msg=name)
        np.testing.assert_allclose(10 ** found[name].log10_gmean, norms, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("by", [1e-200, 1e200])
def test_float64_shares_that_its_squares_cannot_hold(by):
    snapshot = snapshot_of(build(every_cell()[-1]))
    plain = by_name(measure_contributions(snapshot).curves)["dW_hh"].log10_gmean
    snapshot.deltas.dz[...] *= by
    found = by_name(measure_contributions(snapshot).curves)["dW_hh"]
    np.testing.assert_allclose(found.log10_gmean, plain + np.log10(by), atol=1e-9)
    assert (found.zero_fraction == 0).all()


def test_float32_shares_that_its_squares_cannot_hold():
    snapshot = snapshot_of(build(every_cell()[-1], dtype=np.float32))
    plain = by_name(measure_contributions(snapshot).curves)["dW_hh"].log10_gmean
    snapshot.deltas.dz[...] *= np.float32(1e-28)
    tiny = by_name(measure_contributions(snapshot).curves)["dW_hh"].log10_gmean
    np.testing.assert_allclose(tiny, plain - 28, atol=1e-5)
