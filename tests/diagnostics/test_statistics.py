import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rnnlab.diagnostics import curves
from rnnlab.diagnostics.statistics import standard_error

LOGS = st.floats(-600, 600)
MISSING = st.sampled_from([-np.inf, np.nan, np.inf])
SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 6))


def statistics(row):
    """Return a row's statistics in plain NumPy; -inf is a norm of 0, NaN and inf are missing values."""
    norms = np.exp(row[~np.isnan(row) & (row != np.inf)])
    if norms.size == 0:
        return [np.nan] * 5
    positive = norms[norms > 0]
    gmean = np.log10(positive).mean() if positive.size else np.nan
    return [norms.mean(), np.median(norms), norms.max(), gmean, np.mean(norms == 0)]


def table(log_norms):
    (curve,) = curves("lag", np.arange(len(log_norms)), {"h": log_norms})
    assert (curve.quantity, curve.axis, curve.target) == ("h", "lag", None)
    return np.transpose([curve.mean, curve.median, curve.max, curve.log10_gmean, curve.zero_fraction])


@given(SHAPES.flatmap(lambda shape: arrays(np.float64, shape, elements=LOGS | MISSING)))
def test_equals_plain_statistics(log_norms):
    expected = np.array([statistics(row) for row in log_norms])
    np.testing.assert_allclose(table(log_norms), expected, rtol=1e-12, atol=1e-12)


def test_by_hand():
    logs = np.log([[1.0, 100.0, 10.0], [2.0, 8.0, np.nan]])
    logs[0, 2] = -np.inf
    np.testing.assert_allclose(
        table(logs), [[101 / 3, 1.0, 100.0, 1.0, 1 / 3], [5.0, 5.0, 8.0, np.log10(4.0), 0.0]]
    )


def test_a_row_without_any_value_is_missing_everywhere():
    assert np.isnan(table(np.array([[np.nan, np.nan], [np.nan, np.inf]]))).all()


def test_a_row_of_zeros_has_no_geometric_mean():
    np.testing.assert_array_equal(table(np.full((1, 3), -np.inf)), [[0.0, 0.0, 0.0, np.nan, 1.0]])


@pytest.mark.parametrize(("log_norm", "plain"), [(-5000.0, 0.0), (5000.0, np.inf)])
def test_the_geometric_mean_reaches_beyond_float64(log_norm, plain):
    mean, median, largest, gmean, zero_fraction = table(np.full((1, 2), log_norm))[0]
    assert mean == median == largest == plain
    assert gmean == pytest.approx(log_norm / np.log(10))
    assert zero_fraction == 0.0


def test_the_standard_error_of_a_correlated_series_is_calibrated():
    """For an AR(1) with a correlation time of nine steps, the intervals cover the mean; naive ones do not."""
    φ, series, steps = 0.8, 1000, 1000
    noise = np.random.default_rng(0).standard_normal((steps + 100, series))
    x = np.zeros_like(noise)
    for t in range(1, len(x)):
        x[t] = φ * x[t - 1] + noise[t]
    x = x[100:]
    apart = np.abs(x.mean(axis=0))
    covered = np.mean(apart < scipy.stats.t.ppf(0.975, 9) * standard_error(x))
    naive = np.mean(apart < 1.96 * x.std(axis=0, ddof=1) / np.sqrt(steps))
    assert 0.92 < covered < 0.97 and naive < 0.6


def test_the_standard_error_of_single_values_is_the_usual_one():
    values = np.random.default_rng(0).standard_normal((10, 3))
    np.testing.assert_allclose(standard_error(values), values.std(axis=0, ddof=1) / np.sqrt(10))
    values[3, 1] = -np.inf
    assert np.isnan(standard_error(values)[1]) and np.isfinite(standard_error(values)[[0, 2]]).all()
