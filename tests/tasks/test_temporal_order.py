from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlab.tasks import TemporalOrder
from tests.tasks.test_synthetic import but_for, not_numbers, nothing, right, validated

RANGES = {2: ((0.1, 0.2), (0.5, 0.6)), 3: ((0.1, 0.2), (0.3, 0.4), (0.6, 0.7))}
each = pytest.mark.parametrize("special", [2, 3])


def task(special, T=20, size=20, length_range=None, examples=1000):
    return TemporalOrder(T, size, length_range, examples, special)


def positions(column):
    return np.flatnonzero(column < 2)


@given(st.sampled_from([2, 3]), st.integers(10, 120), st.integers(0, 2**32))
@settings(max_examples=60)
def test_the_class_names_the_special_symbols_in_their_order(special, T, seed):
    made = task(special, T, examples=10)
    batch = made.batch(np.random.default_rng(seed), 0)
    assert batch.x.shape == (T, 20) and batch.y.shape == (1, 20)
    assert batch.x.min() >= 0 and batch.x.max() < 6
    for column, label in zip(batch.x.T, batch.y[0], strict=True):
        assert len(positions(column)) == special
        symbols = "".join(made.input_names[s] for s in column if made.input_names[s] in "XY")
        assert made.output_names[label] == symbols


def test_names_are_all_orders():
    assert sorted(task(2).output_names) == ["XX", "XY", "YX", "YY"]
    assert task(2).input_names == ("X", "Y", "a", "b", "c", "d")
    assert len(set(task(3).output_names)) == 8


@pytest.mark.parametrize("T", [10, 25, 70, 100])
@each
def test_positions_are_as_published_and_equally_likely(special, T):
    batch = task(special, T, examples=10).draw(np.random.default_rng(0), 6000, T)
    observed = np.array([positions(column) for column in batch.x.T])
    width = T // 10
    for position, (start, _) in zip(observed.T, RANGES[special], strict=True):
        first = {0.1: T // 10, 0.3: 3 * T // 10, 0.5: T // 2, 0.6: 6 * T // 10}[start]
        counts = np.bincount(position - first, minlength=width)
        assert len(counts) == width
        assert (abs(counts - 6000 / width) < 5 * sqrt(6000 / width)).all()
    assert width == 1 or abs(np.corrcoef(observed[:, 0], observed[:, 1])[0, 1]) < 0.07


@each
def test_classes_are_equally_likely_and_the_others_uninformative(special):
    n = 20_000
    batch = task(special).draw(np.random.default_rng(0), n, 20)
    y, classes = batch.y[0], 2**special
    counts = np.bincount(y, minlength=classes)
    assert (abs(counts - n / classes) < 5 * sqrt(n / classes)).all()
    for symbols in batch.x:
        free = symbols > 1
        if not free.any():
            continue
        table = np.zeros((classes, 4))
        np.add.at(table, (y[free], symbols[free] - 2), 1)
        expected = free.sum() / table.size
        assert (abs(table - expected) < 6 * sqrt(expected)).all()
    observed = np.array([positions(column) for column in batch.x.T])
    for position in observed.T:
        shares = [position[y == label].mean() for label in range(classes)]
        assert np.ptp(shares) < 0.06


@each
@pytest.mark.parametrize("T", [10, 37, 50])
def test_lag_is_to_the_earliest_special_symbol(special, T):
    batch = task(special, T, examples=10).draw(np.random.default_rng(0), 3000, T)
    assert task(special, T, examples=10).lag == max(T - 1 - positions(column)[0] for column in batch.x.T)


@each
def test_the_number_of_different_sequences(special):
    made = task(special, 10)
    different, drawn = made.extent(10).different, 200_000
    x = made.draw(np.random.default_rng(0), drawn, 10).x
    unique = len(np.unique(6 ** np.arange(10) @ x))
    assert unique == pytest.approx(different * (1 - np.exp(-drawn / different)), rel=0.01)


@each
def test_scores(special):
    made = task(special)
    goal = made.goal("cross_entropy")
    classes = 2**special
    assert (goal.metric, goal.criterion, goal.below) == ("val/error_rate", "val/error_rate", 0.01)
    assert goal.baseline == 1 - 1 / classes
    for loss in made.losses:
        chosen = validated(made, right(made), loss)
        assert chosen["val/error_rate"] == 0 and chosen["val/solved"] == 1
    constant = validated(made, nothing(made))
    assert constant["val/error_rate"] == pytest.approx(goal.baseline, abs=0.05)
    assert constant["val/loss"] == pytest.approx(np.log(classes)) == made.chance("cross_entropy")
    assert made.chance("squared_error") == pytest.approx((1 - 1 / classes) / 2)
    assert [validated(made, but_for(n, made))["val/solved"] for n in (9, 10, 11)] == [1, 0, 0]
    assert validated(made, but_for(9, made))["val/error_rate"] == pytest.approx(0.009)
    assert validated(made, not_numbers(made))["val/solved"] == 0


@each
def test_non_finite_outputs_are_wrong(special):
    assert validated(task(special), not_numbers(task(special)))["val/error_rate"] == 1


@each
def test_refuses_a_short_sequence(special):
    with pytest.raises(ValueError, match=r"^seq_len=9: must be at least 10"):
        task(special, 9)
