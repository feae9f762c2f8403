"""One lag curve in a few numbers.

Lag 0 is left out, because the readout and, in an LSTM, the output gate stand between lag 0 and 1;
everything is relative to g(1). K is the longest lag.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from rnnlab.arrays import Array

Regime = Literal["vanishing", "stable", "exploding"]

SHORT_LAGS = 10
HORIZON_FRACTION = 1 / 100
REGIME_DECADES_PER_100 = 3.0


@dataclass(frozen=True)
class LagSummary:
    """What a lag curve says; None where the curve is too short or has no value.

    Attributes:
        log10_gain: Slope of the least-squares line through log10 g(k), k = 1 … K: decades a step.
            Its gain 10**log10_gain is under 1 where the gradient vanishes, over 1 where it explodes.
        r2: The line's share of explained variance.
        log10_gain_short: The same over k = 1 … 10.
        log10_gain_tail: The same over k ≥ K/2.
        half_life: Lags in which the gradient halves, -ln 2 / ln gain; None when gain ≥ 1.
        log10_decay: log10 g(K) - log10 g(1).
        horizon: Largest k with g(k) ≥ g(1)/100.
        censored: Whether the horizon equals K, so that the true one may be longer.
        regime: From 100 · log10_gain_tail: vanishing under -3 decades, exploding over 3.
        at_task_lag: log10 g(lag)/g(1) at the lag that the task needs.
    """

    log10_gain: float | None
    r2: float | None
    log10_gain_short: float | None
    log10_gain_tail: float | None
    half_life: float | None
    log10_decay: float | None
    horizon: int | None
    censored: bool | None
    regime: Regime | None
    at_task_lag: float | None

    def metrics(self) -> dict[str, float | None]:
        """The numbers among them, as metrics of the section `grad`."""
        numbers = {name: value for name, value in vars(self).items() if name != "regime"}
        return {f"grad/{name}": None if value is None else float(value) for name, value in numbers.items()}


def summarize_lag_curve(log10_g: Array, task_lag: int | None = None) -> LagSummary:
    """Summarise log10 g(k), k = 0 … K, (K+1,), NaN where g has no value.

    >>> halving = summarize_lag_curve(np.log10(0.5) * np.arange(21))
    >>> round(10**halving.log10_gain, 6), halving.horizon, halving.censored, halving.regime
    (0.5, 7, False, 'vanishing')
    """
    longest = len(log10_g) - 1
    lags = np.arange(longest + 1)
    log10_gain, r2 = _slope(lags[1:], log10_g[1:])
    short, _ = _slope(lags[1 : SHORT_LAGS + 1], log10_g[1 : SHORT_LAGS + 1])
    tail_start = max(1, -(-longest // 2))
    tail, _ = _slope(lags[tail_start:], log10_g[tail_start:])
    relative = log10_g - log10_g[1] if longest >= 1 else np.full(longest + 1, np.nan)
    reached = np.flatnonzero(relative[1:] >= np.log10(HORIZON_FRACTION)) + 1
    horizon = int(reached[-1]) if reached.size else None
    return LagSummary(
        log10_gain=log10_gain,
        r2=r2,
        log10_gain_short=short,
        log10_gain_tail=tail,
        half_life=-float(np.log10(2)) / log10_gain if log10_gain is not None and log10_gain < 0 else None,
        log10_decay=_at(relative, longest) if longest >= 1 else None,
        horizon=horizon,
        censored=None if horizon is None else horizon == longest,
        regime=regime(tail),
        at_task_lag=None if task_lag is None else _at(relative, task_lag),
    )


def _slope(k: Array, values: Array) -> tuple[float | None, float | None]:
    """Slope and R² of the least-squares line through the finite points; None with fewer than two."""
    known = np.isfinite(values)
    if known.sum() < 2:
        return None, None
    k, values = k[known] - k[known].mean(), values[known] - values[known].mean()
    slope = float(k @ values / (k @ k))
    spread = float(values @ values)
    residual = values - slope * k
    return slope, 1.0 if spread == 0 else 1 - float(residual @ residual) / spread


def regime(log10_gain_tail: float | None) -> Regime | None:
    """Vanishing under -3 decades per 100 lags of a curve's tail, exploding over 3, else stable.

    >>> regime(-0.04), regime(0.02), regime(0.04)
    ('vanishing', 'stable', 'exploding')
    """
    if log10_gain_tail is None:
        return None
    decades = 100 * log10_gain_tail
    if decades < -REGIME_DECADES_PER_100:
        return "vanishing"
    return "exploding" if decades > REGIME_DECADES_PER_100 else "stable"


def _at(values: Array, index: int) -> float | None:
    inside = index < len(values) and np.isfinite(values[index])
    return float(values[index]) if inside else None
