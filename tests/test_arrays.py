import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rnnlab.arrays import copy_params
from rnnlab.norms import global_norm, norm
from rnnlab.workspace import Workspace, by_feature, by_time, cached_calls

# The oracle math.hypot is exact to about one ulp at every magnitude.
FINITE = st.floats(-1e300, 1e300)
SINGLE = st.floats(width=32, allow_nan=False, allow_infinity=False)
# A subnormal norm has few significant digits.
SMALLEST = 1e-322


@given(arrays(np.float64, st.integers(1, 20), elements=FINITE))
def test_norm_is_right_at_every_magnitude(a):
    assert float(norm(a)) == pytest.approx(math.hypot(*a), rel=1e-14, abs=SMALLEST)


@given(arrays(np.float32, st.integers(1, 20), elements=SINGLE))
def test_norm_of_float32_is_right_at_every_magnitude(a):
    assert float(norm(a)) == pytest.approx(math.hypot(*a.tolist()), rel=1e-14, abs=0)


@given(st.lists(arrays(np.float64, st.integers(0, 6), elements=FINITE), max_size=4))
def test_global_norm_is_the_norm_of_all_entries(parts):
    exact = math.hypot(*np.concatenate([[], *parts]))
    assert global_norm(parts) == pytest.approx(exact, rel=1e-13, abs=SMALLEST)


@pytest.mark.parametrize(
    ("dtype", "entry"),
    [
        (np.float32, 1e-20),
        (np.float32, 1e-38),
        (np.float32, 1e-45),
        (np.float32, 1e30),
        (np.float32, 3e38),
        (np.float64, 1e-200),
        (np.float64, 5e-324),
        (np.float64, 1e300),
    ],
)
def test_norms_where_a_sum_of_squares_fails(dtype, entry):
    a = np.full((3, 3), entry, dtype)
    exact = 3 * float(a[0, 0])
    assert float(norm(a)) == pytest.approx(exact, rel=1e-14, abs=0)
    assert global_norm([a[:1], a[1:]]) == pytest.approx(exact, rel=1e-14, abs=0)


def test_global_norm_of_entries_whose_squares_are_subnormal():
    """The sum of squares in float32 is not 0 but has hardly any significant digits."""
    entries = np.full(3, 3e-23, np.float32)
    assert 0 < float(np.vdot(entries, entries)) < 1e-38
    assert global_norm([entries]) == pytest.approx(3e-23 * np.sqrt(3), rel=1e-6, abs=0)


def test_global_norm_of_parts_of_very_different_size():
    parts = [np.full(2, 1e-30, np.float32), np.array([3.0], np.float32), np.array([4.0], np.float32)]
    assert global_norm(parts) == pytest.approx(5.0, rel=1e-7)
    assert global_norm([np.array([3e-30], np.float32), np.array([4e-45])]) == pytest.approx(
        3e-30, rel=1e-7, abs=0
    )


def test_norm_along_an_axis_scales_each_slice_by_itself():
    a = np.array([[3e-200, 4e-200], [3e200, 4e200], [0.0, 0.0], [np.inf, 1.0], [np.nan, 1.0]])
    np.testing.assert_allclose(norm(a, axis=1), [5e-200, 5e200, 0.0, np.inf, np.nan], rtol=1e-14)


@pytest.mark.parametrize("function", [norm, lambda a: global_norm([np.ones(2), a])])
def test_non_finite_entries_pass_through(function):
    assert float(function(np.array([1.0, -np.inf]))) == np.inf
    assert np.isnan(function(np.array([1.0, np.nan])))


def test_norms_of_empty_arrays_are_zero():
    assert float(norm(np.zeros((2, 3)))) == 0.0
    assert float(norm(np.zeros(0))) == 0.0
    assert global_norm([]) == 0.0
    assert global_norm([np.zeros(3), np.zeros((2, 2), np.float32)]) == 0.0


def test_by_feature_puts_example_b_of_step_t_in_column_t_b():
    a = np.arange(24.0).reshape(2, 3, 4)
    matrix = by_feature(a, Workspace(), "a")
    assert matrix.shape == (3, 8)
    assert matrix[2, 1 * 4 + 3] == a[1, 2, 3]
    np.testing.assert_array_equal(by_time(matrix, 2, Workspace(), "back"), a)


def test_workspace_returns_the_same_buffer_until_shape_or_dtype_differ():
    workspace = Workspace()
    first = workspace.array("a", (2, 3), np.float64)
    assert workspace.array("a", (2, 3), np.float64) is first
    assert workspace.array("b", (2, 3), np.float64) is not first
    assert workspace.array("a", (2, 3), np.float32).dtype == np.float32
    assert workspace.array("a", (3, 2), np.float32).shape == (3, 2)


def test_workspace_recreates_views_for_other_buffers():
    workspace = Workspace()
    one, two = np.zeros((2, 3)), np.ones((2, 3))
    kept = workspace.prepared("s", (one,), lambda: [one[0]])
    assert workspace.prepared("s", (one,), lambda: [one[0]]) is kept
    assert workspace.prepared("other", (one,), lambda: [one[1]]) is not kept
    assert workspace.prepared("s", (two,), lambda: [two[0]])[0][0] == 1.0
    assert workspace.prepared("s", (two, one), lambda: [one[0]])[0][0] == 0.0


def test_calls_of_long_sequences_are_not_cached():
    made = []

    def calls_of(t):
        made.append(t)
        return []

    short, long = cached_calls(1000, calls_of), cached_calls(1001, calls_of)
    assert made == list(range(1000)) and short(3) is short(3)
    assert long(7) == [] and made[-1] == 7


def test_copied_params_share_no_memory():
    params = {"w": np.ones(2, np.float32)}
    copy = copy_params(params, np.float64)
    copy["w"] += 1
    assert copy["w"].dtype == np.float64
    assert copy_params(params)["w"].dtype == np.float32
    np.testing.assert_array_equal(params["w"], 1.0)
