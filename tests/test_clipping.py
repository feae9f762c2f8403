import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rnnlab.clipping import Clipping, ClipReport
from rnnlab.norms import global_norm

GRADIENT = arrays(np.float64, st.integers(1, 5), elements=st.floats(-1e3, 1e3))
GRADIENTS = st.fixed_dictionaries({"a": GRADIENT, "b": GRADIENT})
THRESHOLD = st.floats(1e-3, 1e4)
UNCLIPPED = {"norm": {"coefficient": 1.0}, "value": {"fraction": 0.0}}


def clip(grads, threshold, mode):
    """Return the report and a clipped copy of the gradients."""
    clipped = {name: grad.copy() for name, grad in grads.items()}
    return Clipping(threshold, mode).apply(clipped), clipped


@given(GRADIENTS, THRESHOLD)
def test_by_norm_bounds_the_norm_and_keeps_the_direction(grads, threshold):
    before = global_norm(grads.values())
    assume(before > threshold)
    report, clipped = clip(grads, threshold, "norm")
    assert report.clipped
    assert report.norm == before
    assert report.norm_clipped == pytest.approx(threshold, rel=1e-12)
    assert global_norm(clipped.values()) == pytest.approx(threshold, rel=1e-12)
    assert report.coefficient == pytest.approx(threshold / before) and report.fraction is None
    for name in grads:
        np.testing.assert_allclose(clipped[name], grads[name] * report.coefficient, rtol=1e-12)


@pytest.mark.parametrize("mode", ["norm", "value"])
@given(grads=GRADIENTS)
def test_gradients_below_the_threshold_are_unchanged(mode, grads):
    before = global_norm(grads.values())
    largest = max(np.abs(grad).max() for grad in grads.values())
    report, clipped = clip(grads, before if mode == "norm" else largest, mode)
    assert report == ClipReport(before, before, False, **UNCLIPPED[mode])
    for name in grads:
        np.testing.assert_array_equal(clipped[name], grads[name])


@given(GRADIENTS, THRESHOLD)
def test_by_value_bounds_every_element_and_reports_the_clipped_share(grads, threshold):
    elements = np.concatenate(list(grads.values()))
    outside = np.abs(elements) > threshold
    report, clipped = clip(grads, threshold, "value")
    for name in grads:
        np.testing.assert_array_equal(clipped[name], np.clip(grads[name], -threshold, threshold))
    assert report.clipped == outside.any()
    assert report.fraction == pytest.approx(outside.mean()) and report.coefficient is None
    assert report.norm == pytest.approx(global_norm(grads.values()))
    assert report.norm_clipped == pytest.approx(global_norm(clipped.values()))
    if report.clipped:
        after = np.concatenate(list(clipped.values()))
        cosine = (elements / np.abs(elements).max()) @ (after / threshold)
        lengths = np.linalg.norm(elements / np.abs(elements).max()) * np.linalg.norm(after / threshold)
        assert report.cosine == pytest.approx(cosine / lengths)
    else:
        assert report.cosine == 1


@pytest.mark.parametrize("mode", UNCLIPPED)
def test_without_a_threshold_only_reports(mode):
    report, clipped = clip({"a": np.array([3e4, -4e4])}, None, mode)
    assert report == ClipReport(5e4, 5e4, False, **UNCLIPPED[mode])
    np.testing.assert_array_equal(clipped["a"], [3e4, -4e4])


def test_by_hand():
    grads = {"a": np.array([3.0, 0.0], np.float32), "b": np.array([[-4.0]], np.float32)}
    report, clipped = clip(grads, 1.0, "norm")
    np.testing.assert_allclose(clipped["a"], [0.6, 0.0], rtol=1e-6)
    np.testing.assert_allclose(clipped["b"], [[-0.8]], rtol=1e-6)
    assert clipped["a"].dtype == np.float32
    assert (report.norm, report.coefficient) == (5.0, 0.2)

    report, clipped = clip(grads, 3.5, "value")
    np.testing.assert_array_equal(clipped["b"], [[-3.5]])
    assert report.fraction == pytest.approx(1 / 3)

    report, _ = clip(
        {"a": np.array([3.0, 0.0]), "b": np.array([[-4.0]])}, 1.0, "value"
    )  # clipped to (1, 0, -1)
    assert report.cosine == pytest.approx(7 / (5 * np.sqrt(2)))
    report, _ = clip({"a": np.array([3.0, 0.0]), "b": np.array([[-4.0]])}, 1.0, "norm")
    assert report.cosine == 1


def test_by_norm_of_gradients_whose_squares_exceed_the_range_of_float32():
    report, clipped = clip({"a": np.full(4, 1e30, np.float32)}, 1.0, "norm")
    assert report.norm == pytest.approx(2e30)
    np.testing.assert_allclose(clipped["a"], 0.5, rtol=1e-6)


@pytest.mark.parametrize("mode", ["norm", "value"])
@pytest.mark.parametrize("broken", [np.inf, np.nan])
def test_a_non_finite_gradient_is_left_unchanged(mode, broken):
    grads = {"a": np.array([3.0, 0.0]), "b": np.array([broken])}
    report, kept = clip(grads, 1.0, mode)
    assert not np.isfinite(report.norm)
    np.testing.assert_array_equal(kept["a"], grads["a"])
    np.testing.assert_array_equal(kept["b"], grads["b"])
