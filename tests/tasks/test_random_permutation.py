from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlab.tasks import RandomPermutation
from tests.tasks.test_synthetic import but_for, not_numbers, nothing, one_hot, right, validated


def task(T=10, size=20, length_range=None, examples=1000):
    return RandomPermutation(T, size, length_range, examples)


@given(st.integers(2, 90), st.integers(0, 2**32))
@settings(max_examples=40)
def test_the_target_is_the_first_symbol(T, seed):
    batch = task(T, examples=1).batch(np.random.default_rng(seed), 0)
    assert batch.x.shape == (T, 20) and batch.y.shape == (1, 20)
    np.testing.assert_array_equal(batch.y[0], batch.x[0])
    assert set(batch.x[0]) <= {0, 1}
    assert batch.x[1:].min() >= 2 and batch.x[1:].max() < 100


def test_symbols_are_equally_likely_and_independent_of_the_first():
    n = 40_000
    batch = task().draw(np.random.default_rng(0), n, 10)
    assert abs(batch.y.sum() - n / 2) < 5 * sqrt(n / 4)
    for symbols in batch.x[1:]:
        for label in (0, 1):
            counts = np.bincount(symbols[batch.y[0] == label], minlength=100)
            assert (counts[:2] == 0).all() and len(counts) == 100
            assert (abs(counts[2:] - n / 196) < 6 * sqrt(n / 196)).all()
    assert abs(np.corrcoef(batch.x[1], batch.x[2])[0, 1]) < 0.025


def test_lag_is_to_the_first_symbol():
    assert [task(T, examples=1).lag for T in (2, 50)] == [1, 49]


def test_the_number_of_different_sequences():
    assert [task().extent(T).different for T in (1, 2, 3)] == [2, 2 * 98, 2 * 98**2]


def test_scores():
    made = task()
    goal = made.goal("cross_entropy")
    assert (goal.metric, goal.baseline, goal.criterion, goal.below) == (
        "val/error_rate", 0.5, "val/error_rate", 0.01,
    )  # fmt: skip
    assert validated(made, right(made))["val/error_rate"] == 0
    assert validated(made, right(made))["val/solved"] == 1
    zero = validated(made, lambda batch: one_hot(np.zeros_like(batch.y), 100))
    assert zero["val/error_rate"] == pytest.approx(0.5, abs=0.08)
    assert validated(made, nothing(made))["val/loss"] == pytest.approx(np.log(100))
    assert made.chance("cross_entropy") == pytest.approx(np.log(100))
    assert [validated(made, but_for(n, made))["val/solved"] for n in (9, 10)] == [1, 0]
    assert validated(made, not_numbers(made))["val/solved"] == 0


def test_non_finite_outputs_are_wrong():
    assert validated(task(), not_numbers(task()))["val/error_rate"] == 1


@pytest.mark.parametrize(("T", "different"), [(1, 2), (2, 196)])
def test_refuses_too_many_validation_examples(T, different):
    with pytest.raises(
        ValueError,
        match=rf"^validation_examples=1000: must be at most {different // 2} .half of the {different} different",
    ):
        task(T)
