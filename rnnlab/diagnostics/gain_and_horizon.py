"""Summary of a lag curve: gain, horizon and regime.

Ratios are relative to g(1). Lag 0 is excluded because the readout and, in an LSTM, the output gate act
between lags 0 and 1. K is the largest lag.

g(k) is the geometric mean over the examples with a non-zero gradient, so the summary describes only these
examples. `zero_fraction` is the fraction of examples whose gradient is 0. If the gradient of every example is
0 at lag k, then g(k) is 0, the gain is 0, and the horizon is shorter than k. Lags at which g(k) has no value
are ignored; they are not treated as lags with g(k) = 0. g(k) has no value if lag k extends beyond the start
of every sequence or if the gradient overflows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rnnlab.arrays import Array
from rnnlab.records import GAIN_TAIL, LOG10_GAIN_TAIL

Regime = Literal["vanishing", "stable", "exploding"]

SHORT_LAGS = 10
HORIZON_FRACTION = 1 / 100
REGIME_DECADES_PER_100 = 3.0


@dataclass(frozen=True)
class LagSummary:
    """Summary of a lag curve; a field is None if the curve is too short or has no values.

    Attributes:
        gain: Factor by which the gradient norm changes per time step back in time, 10**log10_gain. The gain
            is below 1 if the gradient vanishes, above 1 if the gradient explodes, and 0 if g is 0 at the last
            lag that has a value.
        log10_gain: Slope of the least-squares line through log10 g(k) for k = 1 … K, in decades per time
            step; None if the gain is 0.
        r2: Coefficient of determination R² of the fitted line.
        gain_short: Gain over lags k = 1 … 10; 0 if g is 0 at the last of these lags that has a value.
        log10_gain_short: log10 of the short gain.
        gain_tail: Gain over lags k ≥ K/2; 0 if g is 0 at the last of these lags that has a value.
        log10_gain_tail: log10 of the tail gain.
        half_life: Number of lags over which the gradient norm halves, -ln 2 / ln(gain); 0 if the gain is 0,
            None if the gain is at least 1.
        log10_decay: log10 g(K) - log10 g(1); None if g(K) is 0.
        horizon: Largest lag k with g(k) ≥ g(1)/100, even if g is below g(1)/100 at some shorter lag; 0 if
            g(1) is 0.
        horizon_first: Largest lag k such that g ≥ g(1)/100 at every lag from 1 to k; smaller than the horizon
            if g later rises above g(1)/100 again.
        censored: True if the horizon equals K and is therefore only a lower bound.
        zero_lag: Smallest lag k with g(k) = 0.
        zero_fraction: Fraction of examples whose gradient is exactly 0 at lag K.
        zero_at_horizon: Fraction of examples whose gradient is exactly 0 at the horizon.
        regime: Regime according to the tail gain: vanishing if 100 · log10_gain_tail < -3 or gain_tail = 0,
            exploding if 100 · log10_gain_tail > 3, otherwise stable.
        at_task_lag: log10(g(k)/g(1)) at the lag k required by the task; None if g(k) is 0.
    """

    gain: float | None = None
    log10_gain: float | None = None
    r2: float | None = None
    gain_short: float | None = None
    log10_gain_short: float | None = None
    gain_tail: float | None = None
    log10_gain_tail: float | None = None
    half_life: float | None = None
    log10_decay: float | None = None
    horizon: int | None = None
    horizon_first: int | None = None
    censored: bool | None = None
    zero_lag: int | None = None
    zero_fraction: float | None = None
    zero_at_horizon: float | None = None
    regime: Regime | None = None
    at_task_lag: float | None = None

    def metrics(self) -> dict[str, float | None]:
        """Return the numeric fields as metrics named `grad/…`."""
        numbers = {name: value for name, value in vars(self).items() if name != "regime"}
        return {f"grad/{name}": None if value is None else float(value) for name, value in numbers.items()}


def summarize_lag_curve(
    log10_g: Array, task_lag: int | None = None, zero_fraction: Array | None = None
) -> LagSummary:
    """Summarise a lag curve g(k), k = 0 … K.

    Args:
        log10_g: Values of log10 g(k), shape (K+1,); -inf where g is exactly 0, NaN where g has no value.
        task_lag: Lag required by the task; None if the task requires no particular lag.
        zero_fraction: Fraction of examples whose gradient is 0 at each lag, shape (K+1,); where this fraction
            is 1, g is 0.

    Returns:
        The summary. If g is 0 at every lag, including lag 0, no gradient was backpropagated, and only
        `zero_lag` and `zero_fraction` have values.

    >>> halving = summarize_lag_curve(np.log10(0.5) * np.arange(21))
    >>> round(10**halving.log10_gain, 6), halving.horizon, halving.censored, halving.regime
    (0.5, 7, False, 'vanishing')
    >>> zero = summarize_lag_curve(np.array([0.0, -np.inf, -np.inf]))
    >>> zero.gain, zero.horizon, zero.regime
    (0.0, 0, 'vanishing')
    """
    zero_fractions = np.full(len(log10_g), np.nan) if zero_fraction is None else zero_fraction
    curve = np.where(zero_fractions == 1, -np.inf, log10_g)
    longest = len(curve) - 1
    zero, has_value = np.isneginf(curve), ~np.isnan(curve)
    zero_lag = int(zero.argmax()) if zero.any() else None
    if longest < 0 or (zero_lag == 0 and zero[has_value].all()):
        return LagSummary(zero_lag=zero_lag, zero_fraction=_at(zero_fractions, longest))
    overall = _gain(curve, 1, longest)
    short = _gain(curve, 1, min(SHORT_LAGS, longest))
    tail = _gain(curve, max(1, -(-longest // 2)), longest)
    relative = curve - curve[1] if longest >= 1 and np.isfinite(curve[1]) else np.full(longest + 1, np.nan)
    horizon, horizon_first = _horizons(curve)
    return LagSummary(
        gain=overall.factor,
        log10_gain=overall.log10,
        r2=overall.r2,
        gain_short=short.factor,
        log10_gain_short=short.log10,
        gain_tail=tail.factor,
        log10_gain_tail=tail.log10,
        half_life=_half_life(overall),
        log10_decay=_at(relative, longest),
        horizon=horizon,
        horizon_first=horizon_first,
        censored=None if horizon is None else horizon == longest,
        zero_lag=zero_lag,
        zero_fraction=_at(zero_fractions, longest),
        zero_at_horizon=None if horizon is None else _at(zero_fractions, horizon),
        regime=regime(-np.inf if tail.factor == 0 else tail.log10),
        at_task_lag=None if task_lag is None else _at(relative, task_lag),
    )


def regime(log10_gain_tail: float | None) -> Regime | None:
    """Return the regime, given log10 of the tail gain.

    The regime is vanishing below -3 decades per 100 lags, exploding above 3 decades, and stable in between.

    >>> regime(-0.04), regime(0.02), regime(0.04), regime(float("-inf"))
    ('vanishing', 'stable', 'exploding', 'vanishing')
    """
    if log10_gain_tail is None:
        return None
    decades = 100 * log10_gain_tail
    if decades < -REGIME_DECADES_PER_100:
        return "vanishing"
    return "exploding" if decades > REGIME_DECADES_PER_100 else "stable"


def recorded_regime(metrics: Mapping[str, float | None]) -> Regime | None:
    """Return the regime, given the recorded metrics; a tail gain of 0 is recorded without a logarithm."""
    return regime(-np.inf if metrics.get(GAIN_TAIL) == 0 else metrics.get(LOG10_GAIN_TAIL))


@dataclass(frozen=True)
class _Gain:
    """Gain over a range of lags: factor per time step, log10 of this factor, and R² of the fitted line."""

    factor: float | None = None
    log10: float | None = None
    r2: float | None = None


def _gain(curve: Array, first: int, last: int) -> _Gain:
    """Fit the gain over lags `first` … `last`; return a gain of 0 if g is 0 at the last lag that has a value.

    As the last values of g tend to 0, the fitted gain also tends to 0.
    """
    lags, values = np.arange(first, last + 1), curve[first : last + 1]
    finite_or_zero = values[~np.isnan(values)]
    if finite_or_zero.size and np.isneginf(finite_or_zero[-1]):
        return _Gain(factor=0.0)
    log10, r2 = _slope(lags, values)
    return _Gain(None if log10 is None else _power_of_10(log10), log10, r2)


def _slope(k: Array, values: Array) -> tuple[float | None, float | None]:
    """Return the slope and R² of the least-squares line; None if fewer than two points are finite."""
    finite = np.isfinite(values)
    if finite.sum() < 2:
        return None, None
    k, values = k[finite] - k[finite].mean(), values[finite] - values[finite].mean()
    slope = float(k @ values / (k @ k))
    spread = float(values @ values)
    residual = values - slope * k
    return slope, 1.0 if spread == 0 else 1 - float(residual @ residual) / spread


def _power_of_10(exponent: float) -> float | None:
    """Return 10**exponent, or None if the power overflows float64."""
    with np.errstate(over="ignore", under="ignore"):
        power = float(np.power(10.0, exponent))
    return power if np.isfinite(power) else None


def _half_life(gain: _Gain) -> float | None:
    if gain.factor == 0:
        return 0.0
    return -float(np.log10(2)) / gain.log10 if gain.log10 is not None and gain.log10 < 0 else None


def _horizons(curve: Array) -> tuple[int | None, int | None]:
    """Return the last lag with g ≥ g(1)/100, and the last lag before the first drop below g(1)/100."""
    after = curve[1:]
    if not after.size or np.isnan(after[0]):
        return None, None
    if np.isneginf(after[0]):  # ratios to g(1) = 0 are undefined unless all later values are 0 too
        return (None, None) if np.isfinite(after).any() else (0, 0)
    lags = np.flatnonzero(~np.isnan(after)) + 1
    above = curve[lags] - curve[1] >= np.log10(HORIZON_FRACTION)
    before_drop = lags if above.all() else lags[: above.argmin()]
    return int(lags[above][-1]), int(before_drop[-1])


def _at(values: Array, index: int) -> float | None:
    inside = 0 <= index < len(values) and np.isfinite(values[index])
    return float(values[index]) if inside else None
