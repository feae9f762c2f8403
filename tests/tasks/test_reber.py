import re
from functools import cache

import numpy as np
import pytest

from rnnlab.tasks import EmbeddedReber
from rnnlab.tasks.reber import draw_string
from tests.tasks.test_synthetic import not_numbers, nothing, one_hot, validated

SYMBOLS = "BTPSXVE"


def task(T=40, size=50, train=256, test=256):
    return EmbeddedReber(T, size, train, test)


@cache
def made():
    return task()


def grammatical(string):
    """Return True if a string belongs to the embedded grammar, by an independent regular expression."""
    lower = r"T*V(?:PXT*V)*(?:V|PS)"
    inner = rf"B(?:TS*X(?:S|X{lower})|P{lower})E"
    return bool(re.fullmatch(rf"B(T|P){inner}\1E", string))


def strings_of(batch):
    """Yield every string from its inputs and its last target; the mask marks its end."""
    for b in range(batch.size):
        end = batch.mask[:, b].sum()
        assert batch.mask[:end, b].all()
        np.testing.assert_array_equal(batch.x[1:end, b], batch.y[: end - 1, b])
        yield "".join(SYMBOLS[s] for s in [*batch.x[:end, b], batch.y[end - 1, b]])


def train_strings(task, steps=60):
    rng = np.random.default_rng(0)
    return [string for step in range(steps) for string in strings_of(task.batch(rng, step))]


def test_the_recogniser_accepts_the_published_examples():
    for inner in ("BTSSXXTVVE", "BPVVE", "BTXSE", "BPVPXVPXVPXVVE", "BTXXVPSE", "BPTVPSE", "BTSXXTVPSE"):
        assert grammatical(f"BT{inner}TE") and grammatical(f"BP{inner}PE")
        assert not grammatical(f"BT{inner}PE")
    for inner in ("BTSE", "BPSE", "BTXVE", "BPTVPVE", "TXSE", "BTXS"):
        assert not grammatical(f"BT{inner}TE")


def test_every_string_obeys_the_grammar_and_the_length_limit():
    for T in (12, 20, 40):
        some = task(T, train=10, test=5)
        (batch,) = some.validation()
        for string in [*strings_of(batch), *train_strings(some, 5)]:
            assert grammatical(string) and len(string) - 1 <= T


def test_every_choice_has_the_same_chance():
    rng = np.random.default_rng(0)
    strings = [draw_string(rng) for _ in range(4000)]
    assert all(map(grammatical, strings))
    assert np.mean([string[1] == "T" for string in strings]) == pytest.approx(0.5, abs=0.04)
    assert np.mean([string[3] == "T" for string in strings]) == pytest.approx(0.5, abs=0.04)
    assert np.mean([string[2:-2] == "BTXSE" for string in strings]) == pytest.approx(1 / 8, abs=0.03)
    assert np.mean([string[2:-2] == "BPVVE" for string in strings]) == pytest.approx(1 / 8, abs=0.03)
    assert np.mean([len(string) for string in strings]) == pytest.approx(12, abs=0.3)
    after = [string[1] for string in strings if string[3] == "T"]
    assert np.mean([symbol == "T" for symbol in after]) == pytest.approx(0.5, abs=0.06)


def test_training_and_test_strings_are_disjoint_and_fixed():
    (batch,) = made().validation()
    tested = list(strings_of(batch))
    trained = set(train_strings(made()))
    assert len(tested) == len(set(tested)) == 256
    assert len(trained) == 256
    assert trained.isdisjoint(tested)
    (again,) = task(size=3).validation()
    assert list(strings_of(again)) == tested
    common = np.mean([len(string) for string in tested]), np.mean([len(string) for string in trained])
    assert common[0] == pytest.approx(common[1], rel=0.1)


def test_batches_follow_their_generator():
    one, same, other = (made().batch(np.random.default_rng(seed), 0) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.x, same.x)
    assert one.size == 50 and list(strings_of(one)) != list(strings_of(other))
    assert one.time == max(len(string) for string in strings_of(one)) - 1


@pytest.mark.parametrize("length", [8, 15, 40])
def test_probe_sequences_have_the_given_length(length):
    batch = made().probe_batch(np.random.default_rng(0), 9, length)
    assert batch.x.shape == batch.y.shape == batch.mask.shape == (length, 9)
    (test,) = made().validation()
    assert set(strings_of(batch)) <= set(strings_of(test))
    assert max(len(string) for string in strings_of(batch)) - 1 <= length


@pytest.mark.parametrize("length", [7, 41])
def test_refuses_a_probe_length_without_strings(length):
    with pytest.raises(ValueError, match=r"^must be between 8 \(shortest string\) and 40 \(seq_len\)$"):
        made().probe_batch(np.random.default_rng(0), 1, length)


def test_lag_is_of_the_longest_string():
    (batch,) = made().validation()
    strings = [*strings_of(batch), *train_strings(made())]
    # The target is the last but one symbol, predicted one step earlier; its source is the second symbol.
    lags = [(len(string) - 3) - 1 for string in strings]
    assert made().lag == max(lags) <= 40 - 3


def grammar_outputs(forgets):
    """Return a function that outputs 1 for each allowed next symbol, by the regular expression.

    A symbol is allowed if some ending completes the string.
    """

    @cache
    def allowed(prefix):
        return [symbol for symbol in SYMBOLS if completes(prefix + symbol)]

    def answer(batch):
        outputs = np.zeros((7, *batch.y.shape))
        for b, string in enumerate(strings_of(batch)):
            for t in range(len(string) - 1):
                symbols = allowed(string[: t + 1])
                if forgets and t == len(string) - 3:
                    symbols = ["T"]
                for symbol in symbols:
                    outputs[SYMBOLS.index(symbol), t, b] = 1
        return outputs

    return answer


@cache
def completes(prefix):
    """Return True if some string of the grammar has this prefix; the shortest endings suffice."""
    ends = ["", "E", "TE", "PE", *(f"{inner}{branch}E" for inner in INNERS for branch in "TP")]
    return any(grammatical(prefix + end) for end in ends)


INNERS = ("E", "SE", "XSE", "VVE", "VE", "PSE", "TXSE", "XVVE", "BTXSE", "TBTXSE")


def test_the_grammar_predicts_every_symbol():
    metrics = validated(made(), grammar_outputs(forgets=False))
    assert metrics["val/error_rate"] == 0 and metrics["val/solved"] == 1


def test_forgetting_the_second_symbol_gives_the_baseline():
    metrics = validated(made(), grammar_outputs(forgets=True))
    goal = made().goal("cross_entropy")
    assert metrics["val/error_rate"] == pytest.approx(goal.baseline, abs=0.1) and goal.baseline == 0.5
    assert metrics["val/solved"] == 0
    assert (goal.metric, goal.criterion, goal.below) == ("val/error_rate", "val/error_rate", 1 / 256)


def test_one_symbol_of_two_is_not_enough_and_a_tie_is_wrong():
    metrics = validated(made(), lambda batch: one_hot(batch.y, 7))
    assert metrics["val/error_rate"] == 1
    assert validated(made(), nothing(made()))["val/error_rate"] == 1
    assert validated(made(), nothing(made()))["val/loss"] == pytest.approx(np.log(7))
    assert made().chance("cross_entropy") == pytest.approx(np.log(7))


def test_one_wrong_prediction_makes_one_wrong_string():
    right = grammar_outputs(forgets=False)
    for t in (0, 3, 7):

        def answer(batch, t=t):
            outputs = right(batch)
            outputs[:, t, 5] = 1 - outputs[:, t, 5]
            return outputs

        metrics = validated(made(), answer)
        assert metrics["val/error_rate"] == 1 / 256 and metrics["val/solved"] == 0


def test_outputs_after_the_end_are_not_scored():
    right = grammar_outputs(forgets=False)

    def answer(batch):
        outputs = right(batch)
        outputs[:, ~batch.mask] = 7 * np.arange(7)[:, None]
        return outputs

    assert validated(made(), answer)["val/error_rate"] == 0


def test_non_finite_outputs_are_wrong():
    assert validated(made(), not_numbers(made()))["val/error_rate"] == 1


def test_non_finite_outputs_do_not_solve_the_task():
    assert validated(made(), not_numbers(made()))["val/solved"] == 0


def test_refuses_too_few_strings():
    with pytest.raises(ValueError, match=r"^seq_len=8: found only 4 different strings of at most 9 symbols"):
        task(8, train=4, test=1)
    assert task(8, train=3, test=1).lag == 5
    with pytest.raises(ValueError, match=r"^seq_len=7: found only 0 different strings"):
        task(7, train=1, test=1)


def test_the_probe_has_the_longest_test_string_with_the_lag_of_the_task():
    made = task()
    for seed in range(3):
        batch = made.probe_batch(np.random.default_rng(seed), 4, made.time)
        assert batch.mask.sum(axis=0).max() - 3 == made.lag
