from collections import Counter
from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlab.tasks import Adding
from tests.tasks.test_synthetic import not_numbers, nothing, validated

SHORTEST = {"le_2015": 2, "pascanu_2013": 10, "hochreiter_1997": 24}
TARGETS = {
    "le_2015": lambda a, b: a + b,
    "pascanu_2013": lambda a, b: (a + b) / 2,
    "hochreiter_1997": lambda a, b: 0.5 + (a + b) / 4,
}
LOWEST = {"le_2015": 0, "pascanu_2013": 0, "hochreiter_1997": -1}
each_version = pytest.mark.parametrize("version", SHORTEST)
lengths = st.tuples(st.sampled_from(sorted(SHORTEST)), st.integers(0, 90), st.integers(0, 2**32))


def task(version, T=40, cls=Adding, size=20, length_range=None, examples=2560):
    return cls(T, size, length_range, examples, version)


def assert_is_marked(batch, target, version, neutral):
    """Check target, marks and first number of every example against the input."""
    numbers, markers = batch.x[:, 0], batch.x[:, 1]
    for b in range(batch.size):
        marked = np.flatnonzero(markers[:, b] == 1)
        assert len(marked) == 2
        assert batch.y[0, 0, b] == target(*numbers[marked, b])
        ends = {0, len(numbers) - 1} - set(marked) if version == "hochreiter_1997" else set()
        expected = np.zeros(len(numbers))
        expected[list(ends)] = -1
        expected[marked] = 1
        np.testing.assert_array_equal(markers[:, b], expected)
        if version == "hochreiter_1997" and marked[0] == 0:
            assert numbers[0, b] == neutral


def published(version, T):
    """Return the probability of every pair of marked positions."""
    if version == "le_2015":
        pairs = [(i, j) for i in range(T // 2) for j in range(T // 2, T)]
    elif version == "pascanu_2013":
        tenth, more = int(T * 0.1), int(T * 0.4)
        pairs = [(i, tenth + j) for i in range(tenth) for j in range(more)]
    else:
        pairs = [(min(i, j), max(i, j)) for i in range(10) for j in range(T // 2 - 1) if i != j]
    return {pair: count / len(pairs) for pair, count in Counter(pairs).items()}


def assert_positions_are(made, version, T, count=30_000):
    batch = made.draw(np.random.default_rng(0), count, T)
    counts = Counter(tuple(np.flatnonzero(column == 1)) for column in batch.x[:, 1].T)
    expected = published(version, T)
    assert set(counts) == set(expected)
    for pair, chance in expected.items():
        assert abs(counts[pair] - chance * count) < 5 * sqrt(chance * count)


def assert_unmarked_are_uninformative(made, T, low):
    batch = made.draw(np.random.default_rng(1), 20_000, T)
    target = batch.y[0, 0]
    for number, marker in zip(batch.x[:, 0], batch.x[:, 1], strict=True):
        free = marker != 1
        assert abs(np.corrcoef(number[free], target[free])[0, 1]) < 5 / sqrt(free.sum())
        assert number[free].mean() == pytest.approx((low + 1) / 2, abs=0.02)
        assert number[free].var() == pytest.approx((1 - low) ** 2 / 12, rel=0.05)
        assert low <= number.min() < low + 0.01 and 0.99 < number.max() <= 1


def assert_scored(made, tolerance, mean):
    """Check the scores of exact, slightly wrong, wrong, constant and non-finite predictions."""
    goal = made.goal("squared_error")
    assert (goal.metric, goal.criterion, goal.below) == ("val/mse", "val/error_rate", 0.01)
    for error, wrong in ((0, 0), (tolerance * 0.999, 0), (-tolerance * 0.999, 0), (-tolerance * 1.001, 1)):
        metrics = validated(made, lambda batch, e=error: batch.y.transpose(1, 0, 2) + e)
        assert metrics["val/error_rate"] == wrong and metrics["val/solved"] == 1 - wrong
        assert metrics["val/mse"] == pytest.approx(error**2) == pytest.approx(2 * metrics["val/loss"])
    constant = validated(made, lambda batch: np.full((1, 1, batch.size), mean))
    assert constant["val/mse"] == pytest.approx(goal.baseline, rel=0.08)
    assert constant["val/baseline"] == goal.baseline
    assert constant["val/solved"] == 0
    assert validated(made, not_numbers(made))["val/solved"] == 0
    assert validated(made, not_numbers(made))["val/mse"] is None
    assert validated(made, nothing(made))["val/loss"] == pytest.approx(made.chance("squared_error"), rel=0.08)


def wrong_in(made, count):
    """Return `val/solved` for a validation set with `count` wrong sequences."""
    count_so_far = 0

    def answer(batch):
        nonlocal count_so_far
        outputs = batch.y.transpose(1, 0, 2).copy()
        outputs[..., : max(count - count_so_far, 0)] += 1
        count_so_far += batch.size
        return outputs

    return validated(made, answer)["val/solved"]


def assert_moments(made, T):
    y = made.draw(np.random.default_rng(2), 60_000, T).y
    assert made.goal("squared_error").baseline == pytest.approx(y.var(), rel=0.02)
    assert made.chance("squared_error") == pytest.approx((y**2).mean() / 2, rel=0.02)


@given(lengths)
@settings(max_examples=60)
def test_the_target_is_the_sum_of_the_marked_numbers(drawn):
    version, more, seed = drawn
    T = SHORTEST[version] + more
    batch = task(version, T).batch(np.random.default_rng(seed), 0)
    assert batch.x.shape == (batch.time, 2, 20) and batch.y.shape == (1, 1, 20)
    assert_is_marked(batch, TARGETS[version], version, neutral=0)


@pytest.mark.parametrize("T", [24, 31, 45])
@each_version
def test_marks_are_at_the_published_positions(version, T):
    assert_positions_are(task(version, T), version, T)


@each_version
def test_unmarked_numbers_are_uninformative(version):
    assert_unmarked_are_uninformative(task(version, 24), 24, LOWEST[version])


@each_version
def test_scores(version):
    tolerance = 0.04 if version == "hochreiter_1997" else 0.2
    assert_scored(task(version), tolerance, mean=1 if version == "le_2015" else 0.5)


@each_version
def test_solved_below_one_percent_wrong(version):
    assert [wrong_in(task(version), count) for count in (0, 25, 26)] == [1, 1, 0]
    assert [wrong_in(task(version, examples=100), count) for count in (0, 1)] == [1, 0]


@each_version
@pytest.mark.parametrize("T", [24, 60])
def test_baseline_is_the_variance_of_the_target(version, T):
    assert_moments(task(version, T), T)


def test_baselines_in_closed_form():
    assert task("le_2015").goal("squared_error").baseline == 1 / 6
    assert task("pascanu_2013").goal("squared_error").baseline == 1 / 24
    assert task("hochreiter_1997", 10_000_000).goal("squared_error").baseline == pytest.approx(1.9 / 48)


@each_version
def test_lag_is_to_the_earliest_mark(version):
    made = task(version, 30)
    batch = made.draw(np.random.default_rng(0), 5000, 30)
    assert made.lag == max(29 - np.flatnonzero(column == 1)[0] for column in batch.x[:, 1].T)


@each_version
def test_the_shortest_sequence_fits_both_marks(version):
    T = SHORTEST[version]
    assert_is_marked(task(version, T).batch(np.random.default_rng(0), 0), TARGETS[version], version, 0)
    with pytest.raises(ValueError, match=f"^seq_len={T - 1}: must be at least {T} with version={version}"):
        task(version, T - 1)


@each_version
@pytest.mark.parametrize("T", [39, 100, 109])
def test_the_older_versions_are_up_to_a_tenth_longer(version, T):
    made, rng = task(version, T, size=1), np.random.default_rng(0)
    times = {made.batch(rng, step).time for step in range(250)}
    assert times == ({T} if version == "le_2015" else set(range(T, T + T // 10)))


@each_version
def test_non_finite_outputs_are_wrong(version):
    assert validated(task(version), not_numbers(task(version)))["val/error_rate"] == 1


def test_the_baseline_covers_the_drawn_lengths():
    made = task("hochreiter_1997", 24, length_range=(400, 500))
    y = np.concatenate([made.batch(np.random.default_rng(seed), 0).y.ravel() for seed in range(600)])
    assert made.goal("squared_error").baseline == pytest.approx(y.var(), rel=0.03)
