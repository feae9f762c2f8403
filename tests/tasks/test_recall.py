"""Copy memory and noiseless memorization."""

from itertools import product
from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlab.tasks import CopyMemory, Memorization
from tests.tasks.test_synthetic import but_for, not_numbers, nothing, one_hot, right, validated


def copy(T=20, size=20, length_range=None, examples=1000):
    return CopyMemory(T, size, length_range, examples)


def memorization(T=20, values=5, positions=10, size=20, length_range=None, examples=1000):
    return Memorization(T, size, length_range, examples, values, positions)


FIVE_BIT = {"values": 2, "positions": 5, "examples": 32}
MADE = {"copy": copy, "20-bit": memorization, "5-bit": lambda T=20: memorization(T, **FIVE_BIT)}
SIZES = {"copy": (8, 10), "20-bit": (5, 10), "5-bit": (2, 5)}
each = pytest.mark.parametrize("name", MADE)


def expected_of(symbols, T, name, blank):
    """Return inputs and targets of one sequence in the published layout."""
    n, cue = len(symbols), blank + 1
    if name == "copy":
        x = [*symbols, *[blank] * (T - 1), cue, *[blank] * n]
    else:
        x = [*symbols, *[blank] * T, cue, *[blank] * (n - 1)]
    return x, [*[blank] * (T + n), *symbols]


@given(st.sampled_from(sorted(MADE)), st.integers(1, 60), st.integers(0, 2**32))
@settings(max_examples=60)
def test_sequences_are_laid_out_as_published(name, T, seed):
    values, n_symbols = SIZES[name]
    batch = MADE[name](T).batch(np.random.default_rng(seed), 0)
    assert batch.x.shape == batch.y.shape == (T + 2 * n_symbols, 20)
    for x, y in zip(batch.x.T.tolist(), batch.y.T.tolist(), strict=True):
        assert max(x[:n_symbols]) < values
        assert (x, y) == expected_of(x[:n_symbols], T, name, values)


@given(st.integers(2, 6), st.integers(1, 6), st.integers(1, 9), st.integers(0, 2**32))
@settings(max_examples=40)
def test_any_number_of_values_and_positions(values, positions, T, seed):
    different = values**positions
    made = memorization(T, values, positions, examples=different // 2)
    batch = made.batch(np.random.default_rng(seed), 0)
    for x, y in zip(batch.x.T.tolist(), batch.y.T.tolist(), strict=True):
        assert (x, y) == expected_of(x[:positions], T, "memorization", values)
    assert made.extent(T).different == different
    assert (made.input_size, made.output_size) == (values + 2, values + 1)


@each
def test_symbols_are_equally_likely_and_independent(name):
    values, n_symbols = SIZES[name]
    n = 20_000
    x = MADE[name](1).draw(np.random.default_rng(0), n, 1).x[:n_symbols]
    for symbols in x:
        assert (abs(np.bincount(symbols, minlength=values) - n / values) < 5 * sqrt(n / values)).all()
    between = np.corrcoef(x) - np.eye(n_symbols)
    assert abs(between).max() < 5 / sqrt(n)


@each
def test_names_of_symbols_blank_and_cue(name):
    values, _ = SIZES[name]
    made = MADE[name]()
    assert made.output_names == (*map(str, range(values)), "_")
    assert made.input_names == (*made.output_names, "?")


@each
@pytest.mark.parametrize("T", [1, 30])
def test_lag_is_from_the_answer_to_the_input(name, T):
    made = MADE[name](T)
    batch = made.draw(np.random.default_rng(0), 1, T)
    _, n_symbols = SIZES[name]
    answered = np.flatnonzero(batch.y[:, 0] < SIZES[name][0])
    given_at = np.flatnonzero(batch.x[:, 0] < SIZES[name][0])
    assert len(answered) == len(given_at) == n_symbols
    assert {made.lag} == set(answered - given_at)


def test_five_bits_are_validated_on_all_32():
    (batch,) = memorization(7, **FIVE_BIT).validation()
    assert sorted(map(tuple, batch.x[:5].T.tolist())) == list(product((0, 1), repeat=5))
    np.testing.assert_array_equal(batch.y[-5:], batch.x[:5])
    assert batch.x.shape == (17, 32)


def guesses(made, values, n_symbols):
    """Return outputs with correct blanks and uniform symbols."""

    def answer(batch):
        logits = np.full((values + 1, *batch.y.shape), -60.0)
        logits[-1, :-n_symbols] = 0
        logits[:-1, -n_symbols:] = 0
        return logits

    return answer


@each
@pytest.mark.parametrize("T", [1, 20])
def test_guessing_gives_the_baseline(name, T):
    values, n_symbols = SIZES[name]
    made = MADE[name](T)
    metrics = validated(made, guesses(made, values, n_symbols))
    expected = n_symbols * log(values) / (T + 2 * n_symbols)
    assert metrics["val/loss"] == pytest.approx(expected)
    assert made.guess_loss("cross_entropy") == pytest.approx(expected)
    if name == "copy":
        assert metrics["val/baseline"] == pytest.approx(10 * log(8) / (T + 20))
        assert made.goal("squared_error").baseline == pytest.approx(10 * 7 / 16 / (T + 20))
    else:
        assert metrics["val/error_rate"] == pytest.approx(metrics["val/baseline"], abs=1e-3)
        assert made.goal("cross_entropy").baseline == 1 - 1 / values**n_symbols
    assert metrics["val/solved"] == 0
    assert validated(made, nothing(made))["val/loss"] == pytest.approx(made.chance("cross_entropy"))


@each
def test_scores(name):
    made = MADE[name]()
    goal = made.goal("cross_entropy")
    assert goal.metric == ("val/loss" if name == "copy" else "val/error_rate")
    assert (goal.criterion, goal.below) == ("val/error_rate", 1 / 32 if name == "5-bit" else 0.01)
    for loss in made.losses:
        assert validated(made, right(made), loss)["val/error_rate"] == 0
        assert validated(made, right(made), loss)["val/solved"] == 1
    most = 0 if name == "5-bit" else 9
    assert [validated(made, but_for(n, made))["val/solved"] for n in (most, most + 1)] == [1, 0]
    assert validated(made, not_numbers(made))["val/solved"] == 0


@each
def test_only_answers_and_no_blanks_are_counted(name):
    made = MADE[name]()
    n_symbols = SIZES[name][1]

    def wrong_at(step):
        def answer(batch):
            y = batch.y.copy()
            y[step] = (y[step] + 1) % made.output_size
            return one_hot(y, made.output_size)

        return answer

    for step in range(-n_symbols, 0):
        assert validated(made, wrong_at(step))["val/error_rate"] == 1
    assert validated(made, wrong_at(-n_symbols - 1))["val/error_rate"] == 0
    assert validated(made, wrong_at(0))["val/error_rate"] == 0


def test_half_of_five_bits_uses_the_general_criterion():
    goal = memorization(values=2, positions=5, examples=16).goal("cross_entropy")
    assert (goal.below, goal.baseline) == (0.01, 31 / 32)


def test_the_baseline_covers_the_drawn_lengths():
    made = copy(5, length_range=(100, 120))
    assert validated(made, guesses(made, 8, 10))["val/loss"] == pytest.approx(
        made.guess_loss("cross_entropy"), rel=0.1
    )


def test_non_finite_outputs_are_wrong():
    assert validated(memorization(**FIVE_BIT), not_numbers(memorization(**FIVE_BIT)))["val/error_rate"] == 1


def test_length_is_the_delay_plus_both_ends():
    assert (copy(100).time, memorization(100).time, memorization(100, **FIVE_BIT).time) == (120, 120, 110)


def test_guessing_gives_the_baseline_over_a_range_of_lengths():
    made = copy(10, length_range=(10, 200))
    assert validated(made, guesses(made, 8, 10))["val/loss"] == pytest.approx(
        made.guess_loss("cross_entropy")
    )
