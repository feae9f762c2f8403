"""One lag curve in a few numbers.

Lag 0 is left out, because the readout and, in an LSTM, the output gate stand between lag 0 and 1;
everything is relative to g(1). K is the longest lag.

g(k) is the geometric mean over the examples whose gradient is not 0, so every number here is of those
examples alone; `zero_fraction` is the share of the others. Where the gradient of every example is 0, g(k) is
0: the gain is 0 and the horizon ends before that lag. A lag without a value, such as one past the beginning
of every sequence or an overflow, is not 0 and is left out.
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
    """What a lag curve says; None where the curve is too short or has no value.

    Attributes:
        gain: The factor in one step back, 10**log10_gain: under 1 where the gradient vanishes, over 1 where
            it explodes. 0 where g is 0 at the last lag with a value.
        log10_gain: Slope of the least-squares line through log10 g(k), k = 1 … K: decades a step. None where
            the gain is 0.
        r2: The line's share of explained variance.
        gain_short: The gain over k = 1 … 10; 0 where g is 0 at the last of them.
        log10_gain_short: Its logarithm.
        gain_tail: The gain over k ≥ K/2; 0 where g is 0 at the last of them with a value.
        log10_gain_tail: Its logarithm.
        half_life: Lags in which the gradient halves, -ln 2 / ln gain, 0 for a gain of 0; None when gain ≥ 1.
        log10_decay: log10 g(K) - log10 g(1); None where g(K) is 0.
        horizon: The last lag with g(k) ≥ g(1)/100, even if the curve was below that in between; 0 where
            g(1) is 0.
        horizon_first: Lags before the first drop below 1 %: the largest k such that g stays at g(1)/100 or
            above at all lags 1 … k. Less than the horizon where the curve comes back.
        censored: Whether the horizon equals K, so that the true one may be longer.
        zero_lag: First lag at which g is 0.
        zero_fraction: Share of the examples whose gradient is exactly 0 at lag K.
        zero_at_horizon: The same at the horizon.
        regime: From 100 · log10_gain_tail: vanishing under -3 decades or where gain_tail is 0, exploding
            over 3.
        at_task_lag: log10 g(lag)/g(1) at the lag that the task needs; None where g(lag) is 0.
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
        """The numbers among them, as metrics of the section `grad`."""
        numbers = {name: value for name, value in vars(self).items() if name != "regime"}
        return {f"grad/{name}": None if value is None else float(value) for name, value in numbers.items()}


def summarize_lag_curve(
    log10_g: Array, task_lag: int | None = None, zero_fraction: Array | None = None
) -> LagSummary:
    """Summarise a lag curve g(k), k = 0 … K.

    Args:
        log10_g: log10 g(k), (K+1,); -inf where g is exactly 0, NaN where it has no value.
        task_lag: The lag that the task needs.
        zero_fraction: Share of the examples whose gradient is 0 at each lag, (K+1,). Where it is 1, g is 0.

    Returns:
        The summary. Where g is 0 at every lag, 0 included, no gradient was sent back and there is none to
        fade: only `zero_lag` and `zero_fraction` have values.

    >>> halving = summarize_lag_curve(np.log10(0.5) * np.arange(21))
    >>> round(10**halving.log10_gain, 6), halving.horizon, halving.censored, halving.regime
    (0.5, 7, False, 'vanishing')
    >>> lost = summarize_lag_curve(np.array([0.0, -np.inf, -np.inf]))
    >>> lost.gain, lost.horizon, lost.regime
    (0.0, 0, 'vanishing')
    """
    shares = np.full(len(log10_g), np.nan) if zero_fraction is None else zero_fraction
    curve = np.where(shares == 1, -np.inf, log10_g)
    longest = len(curve) - 1
    zero, has_value = np.isneginf(curve), ~np.isnan(curve)
    zero_lag = int(zero.argmax()) if zero.any() else None
    if longest < 0 or (zero_lag == 0 and zero[has_value].all()):
        return LagSummary(zero_lag=zero_lag, zero_fraction=_at(shares, longest))
    whole = _gain(curve, 1, longest)
    short = _gain(curve, 1, min(SHORT_LAGS, longest))
    tail = _gain(curve, max(1, -(-longest // 2)), longest)
    relative = curve - curve[1] if longest >= 1 and np.isfinite(curve[1]) else np.full(longest + 1, np.nan)
    horizon, horizon_first = _horizons(curve)
    return LagSummary(
        gain=whole.factor,
        log10_gain=whole.log10,
        r2=whole.r2,
        gain_short=short.factor,
        log10_gain_short=short.log10,
        gain_tail=tail.factor,
        log10_gain_tail=tail.log10,
        half_life=_half_life(whole),
        log10_decay=_at(relative, longest),
        horizon=horizon,
        horizon_first=horizon_first,
        censored=None if horizon is None else horizon == longest,
        zero_lag=zero_lag,
        zero_fraction=_at(shares, longest),
        zero_at_horizon=None if horizon is None else _at(shares, horizon),
        regime=regime(-np.inf if tail.factor == 0 else tail.log10),
        at_task_lag=None if task_lag is None else _at(relative, task_lag),
    )


def regime(log10_gain_tail: float | None) -> Regime | None:
    """Vanishing under -3 decades per 100 lags of a curve's tail, exploding over 3, else stable.

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
    """The regime of a summary that was recorded as metrics, where a gain of 0 has no logarithm."""
    return regime(-np.inf if metrics.get(GAIN_TAIL) == 0 else metrics.get(LOG10_GAIN_TAIL))


@dataclass(frozen=True)
class _Gain:
    """The gain over some lags: the factor in one step, its log10, and R² of the line."""

    factor: float | None = None
    log10: float | None = None
    r2: float | None = None


def _gain(curve: Array, first: int, last: int) -> _Gain:
    """Over lags `first` … `last`: 0 where g is 0 at the last one with a value, else by a line.

    That is the limit of the line's gain where g falls to a small number within the range and stays there.
    """
    lags, values = np.arange(first, last + 1), curve[first : last + 1]
    finite_or_zero = values[~np.isnan(values)]
    if finite_or_zero.size and np.isneginf(finite_or_zero[-1]):
        return _Gain(factor=0.0)
    log10, r2 = _slope(lags, values)
    return _Gain(None if log10 is None else _power_of_10(log10), log10, r2)


def _slope(k: Array, values: Array) -> tuple[float | None, float | None]:
    """Slope and R² of the least-squares line through the finite points; None with fewer than two."""
    finite = np.isfinite(values)
    if finite.sum() < 2:
        return None, None
    k, values = k[finite] - k[finite].mean(), values[finite] - values[finite].mean()
    slope = float(k @ values / (k @ k))
    spread = float(values @ values)
    residual = values - slope * k
    return slope, 1.0 if spread == 0 else 1 - float(residual @ residual) / spread


def _power_of_10(exponent: float) -> float | None:
    """None where it is beyond float64."""
    with np.errstate(over="ignore", under="ignore"):
        power = float(np.power(10.0, exponent))
    return power if np.isfinite(power) else None


def _half_life(gain: _Gain) -> float | None:
    if gain.factor == 0:
        return 0.0
    return -float(np.log10(2)) / gain.log10 if gain.log10 is not None and gain.log10 < 0 else None


def _horizons(curve: Array) -> tuple[int | None, int | None]:
    """The last lag at 1 % of g(1) or above, and the last before the first drop below."""
    after = curve[1:]
    if not after.size or np.isnan(after[0]):
        return None, None
    if np.isneginf(after[0]):  # relative to 0 there is nothing, unless nothing is left
        return (None, None) if np.isfinite(after).any() else (0, 0)
    lags = np.flatnonzero(~np.isnan(after)) + 1
    above = curve[lags] - curve[1] >= np.log10(HORIZON_FRACTION)
    before_drop = lags if above.all() else lags[: above.argmin()]
    return int(lags[above][-1]), int(before_drop[-1])


def _at(values: Array, index: int) -> float | None:
    inside = 0 <= index < len(values) and np.isfinite(values[index])
    return float(values[index]) if inside else None
