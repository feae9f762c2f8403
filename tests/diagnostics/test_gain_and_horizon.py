import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlab.diagnostics import LagSummary, recorded_regime, regime, summarize_lag_curve

approx = pytest.approx


def line(slope, longest, start=-2.0, first=5.0):
    """Return log10 g(k) = start + slope·k with a deviating g(0), which no summary may use."""
    values = start + slope * np.arange(longest + 1.0)
    values[0] = first
    return values


@given(
    slope=st.floats(-2, 2).filter(lambda s: abs(s) > 1e-3 and abs(abs(s) - 0.03) > 1e-6),
    longest=st.integers(2, 300),
    start=st.floats(-50, 50),
)
def test_an_exponential_decay_is_reported_exactly(slope, longest, start):
    summary = summarize_lag_curve(line(slope, longest, start), task_lag=longest)
    assert summary.log10_gain == approx(slope, rel=1e-9)
    assert summary.log10_gain_short == approx(slope, rel=1e-9)
    assert summary.r2 == approx(1.0)
    assert summary.log10_decay == approx(slope * (longest - 1), abs=1e-9)
    assert summary.at_task_lag == summary.log10_decay
    if longest > 2:
        assert summary.log10_gain_tail == approx(slope, rel=1e-9)
        assert summary.regime == ("vanishing" if slope < -0.03 else "exploding" if slope > 0.03 else "stable")
    if slope < 0:
        assert 10 ** (slope * summary.half_life) == approx(0.5)
    else:
        assert summary.half_life is None


def test_short_and_tail_slopes_of_a_bent_curve():
    lags = np.arange(101.0)
    curve = np.where(lags <= 20, -0.3 * lags, -6.0 - 0.01 * (lags - 20))
    summary = summarize_lag_curve(curve)
    assert summary.log10_gain_short == approx(-0.3)
    assert summary.log10_gain_tail == approx(-0.01)
    assert -0.3 < summary.log10_gain < -0.03
    assert 0.3 < summary.r2 < 0.99
    assert summary.regime == "stable"  # the tail decides; the overall gain would mean vanishing


def test_short_ends_at_lag_10_and_the_tail_starts_at_half():
    curve = line(-0.1, 40)
    curve[11:] = 30.0
    curve[20:] = np.linspace(0, 2, 21)
    summary = summarize_lag_curve(curve)
    assert summary.log10_gain_short == approx(-0.1)
    assert summary.log10_gain_tail == approx(0.1)
    odd = line(0.0, 41)
    odd[:21] = 7.0  # the tail starts above lag 20.5
    assert summarize_lag_curve(odd).log10_gain_tail == approx(0.0, abs=1e-12)


def test_r2_is_the_share_of_variance_explained():
    rng = np.random.default_rng(0)
    curve = line(-0.05, 30) + rng.normal(0, 0.3, 31)
    summary = summarize_lag_curve(curve)
    k = np.arange(1, 31)
    assert summary.log10_gain == approx(np.polyfit(k, curve[1:], 1)[0])
    assert summary.r2 == approx(np.corrcoef(k, curve[1:])[0, 1] ** 2)


@pytest.mark.parametrize(
    ("slope", "longest", "horizon", "censored"),
    [
        (-0.3, 20, 7, False),  # 1 + 2/0.3 = 7.67
        (-0.3, 7, 7, True),
        (-0.3, 8, 7, False),
        (-3.0, 20, 1, False),
        (0.2, 20, 20, True),
    ],
)
def test_horizon(slope, longest, horizon, censored):
    summary = summarize_lag_curve(line(slope, longest))
    assert (summary.horizon, summary.censored) == (horizon, censored)


def test_horizon_ends_below_one_hundredth():
    assert summarize_lag_curve(np.array([0.0, 0.0, -1.99, -2.01])).horizon == 2
    assert summarize_lag_curve(np.array([0.0, 0.0, -1.99, -2.00])).horizon == 3


def test_horizon_is_the_largest_lag_even_after_a_dip():
    curve = np.array([0.0, 0.0, -5.0, -1.0, -5.0])
    summary = summarize_lag_curve(curve)
    assert (summary.horizon, summary.horizon_first, summary.censored) == (3, 1, False)


def test_task_lag_within_and_beyond_the_curve():
    assert summarize_lag_curve(line(-0.5, 10), task_lag=3).at_task_lag == approx(-1.0)
    assert summarize_lag_curve(line(-0.5, 10), task_lag=11).at_task_lag is None
    assert summarize_lag_curve(line(-0.5, 10)).at_task_lag is None


def test_a_curve_of_one_lag_has_no_summary():
    assert set(vars(summarize_lag_curve(np.array([-1.0]), task_lag=5)).values()) == {None}


def test_a_curve_of_two_lags_has_a_level_but_no_slope():
    summary = summarize_lag_curve(np.array([-1.0, -3.0]))
    assert (summary.log10_gain, summary.log10_gain_tail, summary.regime, summary.half_life) == (None,) * 4
    assert (summary.log10_decay, summary.horizon, summary.censored) == (0.0, 1, True)


def test_a_curve_of_three_lags_has_one_slope():
    summary = summarize_lag_curve(np.array([9.0, -1.0, -2.0]))
    assert (summary.log10_gain, summary.log10_gain_short, summary.log10_gain_tail) == approx((-1.0,) * 3)
    assert (summary.log10_decay, summary.regime) == (approx(-1.0), "vanishing")


def test_missing_values_are_left_out():
    curve = line(-0.2, 30)
    curve[[3, 8, 17, 30]] = np.nan
    summary = summarize_lag_curve(curve, task_lag=8)
    assert summary.log10_gain == approx(-0.2)
    assert summary.log10_gain_tail == approx(-0.2)
    assert summary.horizon == 11
    assert (summary.log10_decay, summary.at_task_lag) == (None, None)


def test_without_g_of_1_only_slopes_remain():
    curve = line(-0.2, 30)
    curve[1] = np.nan
    summary = summarize_lag_curve(curve, task_lag=8)
    assert summary.log10_gain == approx(-0.2)
    assert (summary.log10_decay, summary.horizon, summary.censored, summary.at_task_lag) == (None,) * 4


def test_missing_values_alone_have_no_summary():
    assert set(vars(summarize_lag_curve(np.full(20, np.nan), task_lag=5)).values()) == {None}


@pytest.mark.parametrize(
    ("log10_gain_tail", "name"),
    [(-0.031, "vanishing"), (-0.029, "stable"), (0.029, "stable"), (0.031, "exploding"), (None, None)],
)
def test_regime_changes_at_three_decades_in_a_hundred_lags(log10_gain_tail, name):
    assert regime(log10_gain_tail) == name


def test_metrics_are_the_numbers_of_the_section_grad():
    metrics = summarize_lag_curve(line(-0.3, 20)).metrics()
    assert metrics["grad/horizon"] == 7.0
    assert metrics["grad/censored"] == 0.0
    assert metrics["grad/at_task_lag"] is None
    assert "grad/regime" not in metrics
    assert all(value is None or type(value) is float for value in metrics.values())


ZERO = -np.inf


def dies_at(lag, longest, slope=-0.1):
    """Return a line with g(k) exactly 0 from a lag on."""
    curve = line(slope, longest)
    curve[lag:] = ZERO
    return curve


@pytest.mark.parametrize("longest", [1, 2, 3, 40])
def test_a_curve_that_is_0_from_lag_1_on_is_the_strongest_vanishing(longest):
    summary = summarize_lag_curve(dies_at(1, longest), task_lag=1)
    assert (summary.gain, summary.gain_short, summary.gain_tail) == (0.0, 0.0, 0.0)
    assert (summary.horizon, summary.horizon_first, summary.censored) == (0, 0, False)
    assert (summary.regime, summary.half_life, summary.zero_lag) == ("vanishing", 0.0, 1)
    logarithms = (summary.log10_gain, summary.log10_gain_short, summary.log10_gain_tail)
    assert (*logarithms, summary.r2, summary.log10_decay, summary.at_task_lag) == (None,) * 6


def test_a_curve_that_is_0_from_lag_5_does_not_have_the_gain_of_its_first_4_lags():
    summary = summarize_lag_curve(dies_at(5, 40), task_lag=3)
    assert (summary.gain, summary.gain_short, summary.gain_tail) == (0.0, 0.0, 0.0)
    assert (summary.log10_gain, summary.log10_gain_tail, summary.r2) == (None,) * 3
    assert (summary.horizon, summary.horizon_first, summary.censored) == (4, 4, False)
    assert (summary.regime, summary.zero_lag, summary.log10_decay) == ("vanishing", 5, None)
    assert summary.at_task_lag == approx(-0.2)


def test_a_curve_that_is_0_in_its_tail_keeps_its_short_gain():
    summary = summarize_lag_curve(dies_at(30, 40, slope=0.0))
    assert (summary.gain, summary.gain_tail, summary.regime) == (0.0, 0.0, "vanishing")
    assert summary.gain_short == approx(1.0) and summary.log10_gain_short == approx(0.0)
    assert (summary.horizon, summary.half_life) == (29, 0.0)


def test_zero_at_only_the_last_lag_is_vanishing():
    for longest in (2, 3, 11):
        summary = summarize_lag_curve(dies_at(longest, longest))
        assert (summary.gain, summary.regime, summary.censored) == (0.0, "vanishing", False)


def test_the_gain_of_a_line_tends_to_0_as_its_end_does():
    """The summary for g = 0 is the limit of the summary for small g."""
    curve = dies_at(5, 40)
    gains = [summarize_lag_curve(np.maximum(curve, low)).gain for low in (-10.0, -100.0, -1e4)]
    assert gains == sorted(gains, reverse=True) and gains[-1] < 1e-50


def test_a_value_that_is_missing_is_not_0():
    curve = line(-0.1, 40)
    curve[5:] = np.nan
    summary = summarize_lag_curve(curve)
    assert summary.gain == approx(10**-0.1) and summary.log10_gain == approx(-0.1)
    assert (summary.gain_tail, summary.regime, summary.zero_lag) == (None,) * 3
    curve[3] = ZERO  # a gap does not end the curve
    between = summarize_lag_curve(curve)
    assert between.gain == approx(10**-0.1) and between.zero_lag == 3
    assert (between.horizon, between.horizon_first) == (4, 2)


def test_missing_values_after_0_do_not_hide_it():
    curve = dies_at(25, 40)
    curve[35:] = np.nan
    summary = summarize_lag_curve(curve)
    assert (summary.gain, summary.gain_tail, summary.regime, summary.horizon) == (0.0, 0.0, "vanishing", 21)


def test_without_a_backpropagated_gradient_there_is_no_decay():
    summary = summarize_lag_curve(np.full(9, ZERO), task_lag=3, zero_fraction=np.ones(9))
    assert summary == LagSummary(zero_lag=0, zero_fraction=1.0)


def test_a_lag_is_0_only_if_its_share_of_zeros_is_1():
    shares = np.array([0.0, 0.25, 0.5, 1.0, 1.0])
    curve = np.array([0.0, -1.0, -1.5, np.nan, np.nan])
    summary = summarize_lag_curve(curve, zero_fraction=shares)
    assert (summary.gain, summary.horizon, summary.zero_lag) == (0.0, 2, 3)
    assert (summary.zero_fraction, summary.zero_at_horizon) == (1.0, 0.5)
    alive = summarize_lag_curve(curve[:3], zero_fraction=shares[:3])
    assert (alive.zero_fraction, alive.zero_at_horizon, alive.zero_lag) == (0.5, 0.5, None)


def test_the_gain_is_10_to_its_logarithm():
    summary = summarize_lag_curve(line(-0.2, 30))
    assert summary.gain == approx(10**-0.2) and summary.gain_tail == approx(10**-0.2)
    assert summarize_lag_curve(line(400.0, 5)).gain is None, "beyond float64"


@given(
    values=st.lists(st.floats(-4, 1) | st.just(ZERO) | st.just(np.nan), min_size=2, max_size=12).filter(
        lambda values: np.isfinite(values[1])
    )
)
def test_horizons_are_those_of_a_plain_loop(values):
    known = [k for k in range(1, len(values)) if not np.isnan(values[k])]
    above = [k for k in known if values[k] >= values[1] - 2]
    first = 0
    for k in known:
        if k not in above:
            break
        first = k
    summary = summarize_lag_curve(np.array(values))
    assert (summary.horizon, summary.horizon_first) == (above[-1], first)
    assert 1 <= summary.horizon_first <= summary.horizon


def test_the_recorded_regime_is_that_of_the_summary():
    for curve in (dies_at(1, 9), dies_at(7, 9), line(-0.5, 9), line(0.0, 9), line(0.5, 9), line(-1, 1)):
        summary = summarize_lag_curve(curve)
        assert recorded_regime(summary.metrics()) == summary.regime
