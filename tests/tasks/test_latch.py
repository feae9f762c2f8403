from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlab.tasks import Latch
from tests.tasks.test_synthetic import but_for, not_numbers, nothing, one_hot, right, validated


def task(T=20, information=3, noise_std=0.2, size=20, length_range=None, examples=256):
    return Latch(T, size, length_range, examples, information, noise_std)


@given(st.integers(1, 9), st.integers(1, 40), st.integers(0, 2**32))
@settings(max_examples=50)
def test_the_first_numbers_are_the_class(information, more, seed):
    T = information + more
    made = task(T, information)
    batch = made.batch(np.random.default_rng(seed), 0)
    assert batch.x.shape == (T, 1, 20) and batch.y.shape == (1, 20)
    signs = np.where(batch.y[0] == made.output_names.index("+"), 1.0, -1.0)
    np.testing.assert_array_equal(batch.x[:information, 0], np.tile(signs, (information, 1)))
    assert not np.isin(batch.x[information:], [-1, 1]).any()


@pytest.mark.parametrize("noise_std", [0.2, 3.0])
def test_the_rest_is_uninformative_normal_noise(noise_std):
    n = 20_000
    batch = task(8, noise_std=noise_std).draw(np.random.default_rng(0), n, 8)
    y = batch.y[0]
    assert abs(y.sum() - n / 2) < 5 * sqrt(n / 4)
    for noise in batch.x[3:, 0] / noise_std:
        assert abs(noise.mean()) < 5 / sqrt(n)
        assert noise.std() == pytest.approx(1, abs=0.03)
        assert (noise**4).mean() == pytest.approx(3, abs=0.3)
        assert abs(np.corrcoef(noise, y)[0, 1]) < 5 / sqrt(n)
        assert noise[y == 0].var() == pytest.approx(noise[y == 1].var(), rel=0.08)
    between = np.corrcoef(batch.x[3:, 0]) - np.eye(5)
    assert abs(between).max() < 5 / sqrt(n)


def test_without_noise_all_other_inputs_are_zero():
    assert (task(noise_std=0.0).batch(np.random.default_rng(0), 0).x[3:] == 0).all()


@pytest.mark.parametrize("information", [1, 3])
def test_lag_is_to_the_last_number_of_the_signal(information):
    made = task(20, information)
    x = made.draw(np.random.default_rng(0), 1, 20).x[:, 0, 0]
    assert made.lag == 19 - np.flatnonzero(abs(x) == 1)[-1]


def test_scores():
    made = task()
    goal = made.goal("cross_entropy")
    assert (goal.metric, goal.baseline, goal.criterion, goal.below) == (
        "val/error_rate", 0.5, "val/error_rate", 1 / 256,
    )  # fmt: skip
    assert validated(made, right(made))["val/solved"] == 1
    assert validated(made, but_for(1, made))["val/solved"] == 0
    assert validated(made, but_for(1, made))["val/error_rate"] == 1 / 256
    constant = validated(made, lambda batch: one_hot(np.zeros_like(batch.y), 2))
    assert constant["val/error_rate"] == pytest.approx(0.5, abs=0.15)
    assert validated(made, nothing(made))["val/loss"] == pytest.approx(np.log(2))
    assert made.chance("cross_entropy") == pytest.approx(np.log(2))
    assert made.chance("squared_error") == 0.25
    assert validated(made, not_numbers(made))["val/solved"] == 0
    opposite = validated(made, lambda batch: one_hot(1 - batch.y, 2))
    assert opposite["val/error_rate"] == 1


def test_non_finite_outputs_are_wrong():
    assert validated(task(), not_numbers(task()))["val/error_rate"] == 1


@pytest.mark.parametrize(("T", "information"), [(3, 3), (2, 5)])
def test_refuses_more_information_than_time(T, information):
    with pytest.raises(ValueError, match=rf"^information={information}: must be less than seq_len={T}"):
        task(T, information)
