"""Fit the polynomials of `rnnlab.engine.compiled.elementary`, and print them with the errors that they reach.

    python -m benchmarks.fit_elementary

The fit minimises the largest relative error by least squares with weights that grow where the error is large.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnlab.engine.compiled.elementary import tanh32

Values = NDArray[Any]
ROUNDS, POINTS = 300, 4001


def fit(
    function: Callable[[Values], Values], x: Values, powers: Values, weight: Values
) -> tuple[Values, float]:
    """Return the coefficients of a polynomial in the columns of `powers`, and its largest weighted error."""
    y, w = function(x), weight.copy()
    best: Values = np.zeros(powers.shape[1])
    least = np.inf
    for _ in range(ROUNDS):
        coefficients: Values = np.linalg.lstsq(powers * w[:, None], y * w, rcond=None)[0]
        errors = np.abs(powers @ coefficients - y) * weight
        if errors.max() < least:
            best, least = coefficients, float(errors.max())
        w *= (1e-3 + errors / errors.max()) ** 0.3
        w /= w.max()
    return best, least


def nodes(start: float, stop: float) -> Values:
    """Return points that are dense at both ends of an interval."""
    return (start + stop) / 2 - (stop - start) / 2 * np.cos(np.linspace(0, np.pi, POINTS))


def main() -> None:
    r = nodes(-0.5, 0.5)
    r = r[r != 0]
    powers = r[:, None] ** np.arange(6)
    found, error = fit(lambda r: np.expm1(r * np.log(2)) / r, r, powers, np.abs(r) / 2**r)
    print("2ʳ = 1 + r q(r):", [float(c) for c in found], f"relative error {error:.1e}")
    x = nodes(1e-3, 1.0)
    powers = (x * x)[:, None] ** np.arange(7)
    found, error = fit(lambda x: (np.tanh(x) - x) / x**3, x, powers, x**3 / np.tanh(x))
    print("tanh(x) = x + x³ p(x²):", [float(c) for c in found], f"relative error {error:.1e}")
    x32 = np.concatenate([np.linspace(-12, 12, 200_001), np.geomspace(1e-30, 20, 50_001)]).astype(np.float32)
    true = np.tanh(x32.astype(np.float64))
    values = np.array([tanh32(x) for x in x32])
    with np.errstate(invalid="ignore"):
        errors = np.abs(values - true) / np.abs(true)
    print(f"tanh32 in float32: largest relative error {np.nanmax(errors):.2e}; np.tanh: ", end="")
    with np.errstate(invalid="ignore"):
        print(f"{np.nanmax(np.abs(np.tanh(x32) - true) / np.abs(true)):.2e}")


if __name__ == "__main__":
    main()
