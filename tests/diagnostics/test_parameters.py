import numpy as np
import pytest

from rnnlab.diagnostics import measure_parameters, measure_spectrum
from tests.oracles.cases import GATED, RESET, TANH, build
from tests.oracles.snapshots import snapshot_of


@pytest.mark.parametrize("cell", [TANH, GATED, RESET])
def test_norms_and_ratios_of_every_parameter_and_gate(cell):
    snapshot = snapshot_of(build(cell))
    metrics = measure_parameters(snapshot).metrics
    parts = {name: (name, slice(None)) for name in snapshot.params}
    if len(cell.gate_names) > 1:
        of_gates = [(name, gate) for name in ("W_xh", "W_hh", "b_h") for gate in cell.gate_names]
        parts |= {f"{name}.{gate}": (name, cell.rows(gate)) for name, gate in of_gates}
    kinds = ("grad_norm", "weight_norm", "update_ratio")
    assert set(metrics) == {f"{kind}/{part}" for kind in kinds for part in parts}
    for part, (name, rows) in parts.items():
        gradient = np.linalg.norm(snapshot.grads[name][rows])
        weight = np.linalg.norm(snapshot.params[name][rows])
        assert metrics[f"grad_norm/{part}"] == pytest.approx(gradient)
        assert metrics[f"weight_norm/{part}"] == pytest.approx(weight)
        assert metrics[f"update_ratio/{part}"] == pytest.approx(0.1 * gradient / weight)


def test_a_parameter_of_zeros_has_no_ratio():
    snapshot = snapshot_of(build(TANH))
    snapshot.params["b_h"][...] = 0
    metrics = measure_parameters(snapshot).metrics
    assert metrics["weight_norm/b_h"] == 0 and metrics["update_ratio/b_h"] is None


def test_spectral_radius_norm_and_bound():
    snapshot = snapshot_of(build(TANH))
    W_hh = snapshot.params["W_hh"]
    W_hh[...] = 0
    W_hh[:2, :2] = [[0, 3], [-0.75, 0]]  # eigenvalues ±1.5i, singular values 3 and 0.75
    metrics = measure_spectrum(snapshot).metrics
    assert metrics == pytest.approx(
        {"weights/spectral_radius": 1.5, "weights/spectral_norm": 3.0, "theory/log10_bound": np.log10(3)}
    )


def test_the_spectrum_of_every_gate():
    snapshot = snapshot_of(build(GATED))
    metrics = measure_spectrum(snapshot).metrics
    whats = ("spectral_radius", "spectral_norm")
    assert set(metrics) == {f"weights/{what}.{gate}" for what in whats for gate in "oifg"}
    f = snapshot.params["W_hh"][GATED.rows("f")]
    assert metrics["weights/spectral_radius.f"] == pytest.approx(np.abs(np.linalg.eigvals(f)).max())
    assert metrics["weights/spectral_norm.f"] == pytest.approx(np.linalg.svd(f)[1][0])
    snapshot.params["W_hh"][0] = np.nan
    assert measure_spectrum(snapshot).metrics["weights/spectral_radius.o"] is None
