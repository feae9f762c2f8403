"""The lag curve of a step function, given its vector-Jacobian products in NumPy."""

import numpy as np
import pytest

from rnnlab.library.any_cell import Parts, lag_curve_of

RNG = np.random.default_rng(0)
T, A, C = 30, RNG.standard_normal((3, 3)), RNG.standard_normal((2, 2))
PARTS = Parts(("a", "c"), ((3,), (2,)), (np.float64, np.float64), None)


def test_a_linear_cell_has_the_curve_of_its_matrix_powers() -> None:
    start = PARTS.unit_vectors(4, on=None)
    curve = lag_curve_of(PARTS, lambda t, parts: [parts[0] @ A, parts[1] @ C], T, start, "loss", "linear")
    for name, M, w in (("state.a", A, start[0]), ("state.c", C, start[1])):
        rows = curve.frame[curve.frame["quantity"] == name].sort_values("lag")
        norms = [np.linalg.norm(w @ np.linalg.matrix_power(M, k), axis=1) for k in range(T)]
        assert rows["log10_gmean"].to_numpy() == pytest.approx(np.log10(norms).mean(axis=1), abs=1e-10)
    assert curve.log10_g[0] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("gain", [1e-3, 1e3])
def test_each_sequence_is_scaled_on_its_own(gain: float) -> None:
    parts = Parts(("",), ((2, 3),), (np.float32,), 0)
    gains = np.array([gain, 1.0])[:, None]
    start = parts.unit_vectors(0, on=None)
    curve = lag_curve_of(parts, lambda t, λ: [(λ[0] * gains).astype(np.float32)], 400, start, "", "")
    assert curve.log10_g == pytest.approx(np.log10(gain) / 2 * np.arange(400), abs=1e-3)


def test_unit_vectors_are_those_of_a_network_and_can_act_on_one_part() -> None:
    w = np.random.default_rng(4).standard_normal(2)
    a, c = PARTS.unit_vectors(4, on="c")
    assert not a.any() and c[0] == pytest.approx(w / np.linalg.norm(w))
