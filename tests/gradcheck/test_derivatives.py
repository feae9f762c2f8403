import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlab.gradcheck.derivatives import central_difference, complex_step

FUNCTIONS = [
    (lambda s: np.exp(1 + s), math.e),
    (lambda s: np.sin(2 + 3 * s), 3 * math.cos(2)),
    (lambda s: (1 + s) ** 7, 7.0),
    (lambda s: np.tanh(40 * s + 0.3), 40 * (1 - math.tanh(0.3) ** 2)),
    (lambda s: 5.0 + 1e-3 * s, 1e-3),
]


@pytest.mark.parametrize(("f", "derivative"), FUNCTIONS)
def test_both_methods_give_known_derivatives(f, derivative):
    difference, error = central_difference(lambda s: float(f(s)))
    assert difference == pytest.approx(derivative, rel=1e-9)
    assert abs(difference - derivative) <= error
    assert complex_step(lambda s: complex(f(s))) == pytest.approx(derivative, rel=1e-14)


@pytest.mark.parametrize("f", [math.exp, lambda s: math.sin(3 * s + 0.5), lambda s: math.tanh(2 * s + 0.3)])
def test_extrapolation_of_the_right_order_needs_seven_steps_or_fewer(f):
    """Each order gains a factor of 4 per halving; a wrong factor needs more halvings for the same precision."""
    asked = []
    central_difference(lambda s: asked.append(s) or f(s))
    assert len(asked) <= 2 * 7


@given(st.floats(-3, 3), st.floats(-12, 0))
def test_the_estimated_error_covers_the_real_one(phase, magnitude):
    """The estimate must also cover pure rounding error."""
    scale = 10.0**magnitude
    difference, error = central_difference(lambda s: 1 + scale * math.sin(phase + s))
    assert abs(difference - scale * math.cos(phase)) <= 4 * error
    assert error >= 1e-16


def test_differences_report_that_they_cannot_resolve_a_vanished_derivative():
    def f(s):
        return 1 + 2e-21 * s

    difference, error = central_difference(f)
    assert abs(difference) < 1e-13
    assert error > 1e-7 * 2e-21
    assert complex_step(f) == pytest.approx(2e-21, rel=1e-14, abs=0)


def test_differences_across_a_kink_are_undecided():
    difference, error = central_difference(lambda s: max(s - 1e-6, 0.0) + 2 * s)
    assert error > 1e-7 * abs(difference)


@pytest.mark.parametrize(
    "f",
    [
        lambda s: float(np.real(s)),
        lambda s: float(s),
        lambda s: max(s, 1.0),
        lambda s: np.array([s]).astype(np.float64)[0],
    ],
)
def test_a_function_without_complex_arguments_has_no_complex_step(f):
    assert complex_step(f) is None
