from dataclasses import replace

import numpy as np
import pytest

from rnnlab.diagnostics import measure_gates
from tests.oracles.cases import GATED, RESET, TANH, TIME, build
from tests.oracles.snapshots import by_name, snapshot_of


@pytest.mark.parametrize(("cell", "sigmoids"), [(GATED, "oif"), (RESET, "ru")])
def test_means_and_shares_of_every_sigmoid_gate(cell, sigmoids):
    snapshot = snapshot_of(build(cell))
    gates = snapshot.tape.cell.inner["gates"]
    gates[0, cell.rows(sigmoids[0])] = 0.05
    gates[1, cell.rows(sigmoids[0])] = 0.95
    found = by_name(curve for curve in measure_gates(snapshot).curves if curve.axis == "timestep")
    flat = {GATED: "tanh_c_saturated", RESET: "gate_n_saturated"}[cell]
    assert set(found) == {f"gate_{gate}{what}" for gate in sigmoids for what in ("", "_closed", "_open")} | {
        flat
    }
    inner = snapshot.tape.cell.inner
    tanh = inner["tanh_c"] if cell is GATED else inner["n"]
    np.testing.assert_allclose(found[flat].mean, (np.abs(tanh) > 0.9).mean(axis=(1, 2)))
    first = sigmoids[0]
    np.testing.assert_array_equal(found[f"gate_{first}_closed"].mean[:2], [1, 0])
    np.testing.assert_array_equal(found[f"gate_{first}_open"].mean[:2], [0, 1])
    for gate in sigmoids:
        values = gates[:, cell.rows(gate)]
        np.testing.assert_allclose(found[f"gate_{gate}"].mean, values.mean(axis=(1, 2)))
        np.testing.assert_allclose(found[f"gate_{gate}"].max, values.mean(axis=1).max(axis=1))
        np.testing.assert_allclose(found[f"gate_{gate}_open"].mean, (values > 0.9).mean(axis=(1, 2)))
        np.testing.assert_allclose(found[f"gate_{gate}_closed"].mean, (values < 0.1).mean(axis=(1, 2)))


def test_the_saturation_of_a_vanilla_cell():
    snapshot = snapshot_of(build(TANH))
    h = snapshot.tape.cell.states["h"]
    h[1], h[2] = -0.95, 0.5
    found = by_name(measure_gates(snapshot).curves)
    assert set(found) == {"h_saturated"}
    np.testing.assert_array_equal(found["h_saturated"].mean[:2], [1, 0])
    np.testing.assert_allclose(found["h_saturated"].mean, (np.abs(h[1:]) > 0.9).mean(axis=(1, 2)))


def test_a_relu_is_saturated_where_it_is_0_and_the_identity_nowhere():
    relu, identity = (replace(TANH, nonlinearity=name) for name in ("relu", "identity"))
    snapshot = snapshot_of(build(relu))
    h = snapshot.tape.cell.states["h"]
    h[1], h[2] = 0.0, 5.0
    found = by_name(measure_gates(snapshot).curves)["h_saturated"].mean
    np.testing.assert_array_equal(found[:2], [1, 0])
    assert measure_gates(snapshot_of(build(identity))).curves == []


def test_the_retention_of_the_forget_gates():
    snapshot = snapshot_of(build(GATED))
    f = snapshot.tape.cell.inner["gates"][:, GATED.rows("f")]
    curve = by_name(measure_gates(snapshot).curves)["forget_product"]
    assert curve.axis == "lag"
    np.testing.assert_array_equal(curve.index, np.arange(TIME + 1))
    for k in range(TIME + 1):
        products = f[TIME - k :].prod(axis=0)  # products for each unit and example
        expected = np.exp(np.log(products).mean(axis=0))
        assert curve.mean[k] == pytest.approx(expected.mean())
        assert curve.log10_gmean[k] == pytest.approx(np.log10(expected).mean())
