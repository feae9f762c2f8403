import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlab.tasks import Multiplication
from tests.tasks.test_adding import (
    SHORTEST,
    assert_is_marked,
    assert_moments,
    assert_positions_are,
    assert_scored,
    assert_unmarked_are_uninformative,
    task,
    wrong_in,
)
from tests.tasks.test_synthetic import not_numbers, validated

VERSIONS = ("hochreiter_1997", "pascanu_2013")
each_version = pytest.mark.parametrize("version", VERSIONS)


def made(version, T=40, **given):
    return task(version, T, cls=Multiplication, **given)


@given(st.sampled_from(VERSIONS), st.integers(0, 90), st.integers(0, 2**32))
@settings(max_examples=40)
def test_the_target_is_the_product_of_the_marked_numbers(version, more, seed):
    batch = made(version, SHORTEST[version] + more).batch(np.random.default_rng(seed), 0)
    assert_is_marked(batch, lambda a, b: a * b, version, neutral=1)


@pytest.mark.parametrize("T", [24, 45])
@each_version
def test_marks_are_at_the_published_positions(version, T):
    assert_positions_are(made(version, T), version, T)


def test_unmarked_numbers_are_uninformative():
    assert_unmarked_are_uninformative(made("pascanu_2013", 24), 24, 0)
    batch = made("hochreiter_1997", 24).draw(np.random.default_rng(0), 20_000, 24)
    later = batch.x[20:, 0]
    assert (later >= 0).all() and later.mean() == pytest.approx(0.5, abs=0.01)
    for number in later:
        assert abs(np.corrcoef(number, batch.y[0, 0])[0, 1]) < 0.035


@each_version
def test_scores(version):
    tolerance = 0.04 if version == "hochreiter_1997" else 0.2
    assert_scored(made(version), tolerance, mean=0.27 if version == "hochreiter_1997" else 0.25)


@each_version
def test_solved_below_one_percent_wrong(version):
    assert [wrong_in(made(version), count) for count in (25, 26)] == [1, 0]


@each_version
@pytest.mark.parametrize("T", [24, 60])
def test_baseline_is_the_variance_of_the_target(version, T):
    assert_moments(made(version, T), T)


def test_baseline_in_closed_form():
    assert made("pascanu_2013").goal("squared_error").baseline == pytest.approx(7 / 144)
    assert made("pascanu_2013").chance("squared_error") == pytest.approx(1 / 18)


@each_version
def test_lag_is_to_the_earliest_mark(version):
    batch = made(version, 30).draw(np.random.default_rng(0), 5000, 30)
    assert made(version, 30).lag == max(29 - np.flatnonzero(column == 1)[0] for column in batch.x[:, 1].T)


@each_version
def test_non_finite_outputs_are_wrong(version):
    assert validated(made(version), not_numbers(made(version)))["val/error_rate"] == 1
