import hashlib
from itertools import pairwise, takewhile
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlab.cells import LSTM
from rnnlab.initial_states import Zero
from rnnlab.model import Model
from rnnlab.readout import Readout
from rnnlab.tasks import CharLM
from rnnlab.tasks.char_lm import (
    VALIDATION_CHUNK,
    VALIDATION_STREAM,
    VALIDATION_STREAMS,
    VALIDATION_WINDOWS,
)
from tests.oracles.cases import NORMAL
from tests.tasks.texts import VERSES, random_text

UNICODE = "naïve cafe\u0301 👩‍🚀\U0001d538 \t«Ω»\nsecond line\n\u2028end. " * 8


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("texts")


@pytest.fixture(scope="session")
def make(folder):
    def task(
        text,
        seq_len=5,
        batch_size=3,
        held_out=0.1,
        sample_length=0,
        temperature=1.0,
        carry=True,
        targets="every",
    ):
        path = folder / "text.txt"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return CharLM(seq_len, batch_size, str(path), carry, targets, held_out, sample_length, temperature)

    return task


def decode(task, symbols):
    return "".join(task.symbols[s] for s in symbols)


def chunks(task):
    """Return the batches of one pass through the streams."""
    rng = np.random.default_rng(0)
    batches = (task.batch(rng, step) for step in range(1, len(task.text)))
    return [task.batch(rng, 0), *takewhile(lambda batch: batch.continues, batches)]


def held_out_text(task, share=0.1):
    return task.text[len(task.text) - round(len(task.text) * share) :]


@pytest.mark.parametrize("text", [VERSES, UNICODE], ids=["ascii", "unicode"])
def test_streams_are_the_training_text_in_order(make, text):
    """The chunks of stream b, concatenated, are part b of the training text."""
    task = make(text)
    train = text[: len(text) - round(len(text) * 0.1)]
    length = len(train) // 3
    batches = chunks(task)
    assert len(batches) == (length - 1) // 5
    for b in range(3):
        inputs = decode(task, np.concatenate([batch.x[:, b] for batch in batches]))
        targets = decode(task, np.concatenate([batch.y[:, b] for batch in batches]))
        assert inputs == train[b * length :][: len(inputs)]
        assert targets == train[b * length + 1 :][: len(targets)]
        assert len(inputs) == len(batches) * 5 > length - 1 - 5  # at most one incomplete chunk is unused


def test_targets_are_the_inputs_one_step_later(make):
    task = make(VERSES)
    for batch in chunks(task):
        np.testing.assert_array_equal(batch.x[1:], batch.y[:-1])
        assert batch.x.shape == batch.y.shape == (5, 3)
        assert batch.mask is None


def test_streams_restart_from_a_zero_state(make):
    task, rng = make(VERSES), np.random.default_rng(0)
    count = len(chunks(task))
    assert [task.batch(rng, k).continues for k in range(count + 2)] == [
        False,
        *[True] * (count - 1),
        False,
        True,
    ]
    for step in range(3):
        np.testing.assert_array_equal(task.batch(rng, count + step).x, task.batch(rng, step).x)


@pytest.mark.parametrize("share", [0.1, 0.25])
def test_the_last_part_is_held_out(make, share):
    task = make(VERSES, held_out=share)
    symbols = [pair for batch in task.validation() for pair in _targets(batch)]
    assert len(symbols) == round(len(VERSES) * share) - 1
    assert decode(task, symbols) == VERSES[-len(symbols) :]


@given(length=st.integers(200, 20_000), share=st.floats(0.1, 0.6))
def test_validation_covers_every_held_out_target_once(make, length, share):
    """The concatenated streams are the held-out text, for any length."""
    text = random_text(length)
    task = make(text, held_out=share)
    held_out = held_out_text(task, share)
    batches = list(task.validation())
    x, y, present = (np.concatenate([getattr(b, name) for b in batches]) for name in ("x", "y", "mask"))

    assert all(len(batch.x) <= VALIDATION_CHUNK for batch in batches)
    assert [batch.continues for batch in batches] == [False] + [True] * (len(batches) - 1)
    assert decode(task, x.T[present.T]) == held_out[:-1]
    assert decode(task, y.T[present.T]) == held_out[1:]
    streams = x.shape[1]
    assert streams == 1 or len(held_out) - 1 >= streams * VALIDATION_STREAM


def test_probe_batch_is_from_the_held_out_part_and_the_same_for_a_seed(make):
    text = random_text(3000)
    task = make(text, seq_len=9)
    batch = task.probe_batch(np.random.default_rng(5), 20, task.seq_len)
    same = task.probe_batch(np.random.default_rng(5), 20, task.seq_len)
    other = task.probe_batch(np.random.default_rng(6), 20, task.seq_len)
    np.testing.assert_array_equal(batch.x, same.x)
    np.testing.assert_array_equal(batch.y, same.y)
    assert (batch.x != other.x).any()
    assert batch.x.shape == (9, 20)
    assert not batch.continues
    held_out = held_out_text(task)
    for b in range(20):
        window = decode(task, [batch.x[0, b], *batch.y[:, b]])
        assert window in held_out  # 10 random characters appear only once
        assert window[:-1] == decode(task, batch.x[:, b])


def test_probe_windows_reach_both_ends_of_the_held_out_part(make):
    task = make(random_text(100), seq_len=5, held_out=0.07)  # 7 characters hold two windows
    batch = task.probe_batch(np.random.default_rng(0), 50, task.seq_len)
    windows = {decode(task, [batch.x[0, b], *batch.y[:, b]]) for b in range(50)}
    assert windows == {task.text[-7:-1], task.text[-6:]}


def test_symbols_are_the_texts_characters(make):
    task = make(UNICODE)
    assert task.text == UNICODE
    assert list(task.symbols) == sorted(set(UNICODE))
    assert task.input_size == task.output_size == len(set(UNICODE))
    assert task.chance("cross_entropy") == log(len(set(UNICODE)))
    assert task.lag is None


def test_dataset_is_named_by_its_content(make):
    task = make(VERSES)
    assert task.dataset["name"] == "text.txt"
    assert task.dataset["source"].endswith("text.txt")
    assert task.dataset["digest"] == hashlib.sha256(VERSES.encode()).hexdigest()[:16]
    assert make(VERSES + "!").dataset["digest"] != task.dataset["digest"]


def test_the_shipped_text():
    task = CharLM(50, 32, None, True, "every", 0.1, 0, 1.0)
    assert task.dataset["name"] == "shakespeare-sonnets"
    assert len(task.text) > 90_000
    assert task.batch(np.random.default_rng(0), 0).x.shape == (50, 32)


TOO_FEW_SYMBOLS = r"path=.*text\.txt: must contain at least two different characters; contains "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "ab" * 10,
            r"seq_len=6 batch_size=3: the text is too short; each stream has 6 training characters \(18 / 3\) "
            "and needs at least 7$",
        ),
        (
            "ab" * 30,
            "seq_len=6: the held-out part is too short; it has 6 characters and needs at least 7; "
            r"raise task\.held_out above 0\.1$",
        ),
        (
            b"ab\xff" * 50,
            r"path=.*text\.txt: is probably WINDOWS-1252, not UTF-8 \(invalid start byte at byte 2\); convert",
        ),
        ("a" * 500, TOO_FEW_SYMBOLS + "1"),
        ("", TOO_FEW_SYMBOLS + "0"),
    ],
    ids=["training part", "held-out part", "encoding", "one symbol", "empty"],
)
def test_refuses_texts_it_cannot_use(make, text, message):
    with pytest.raises(ValueError, match=message):
        make(text, seq_len=6)


@pytest.mark.parametrize("name", ["nowhere.txt", "."])
def test_refuses_a_path_that_is_not_a_file(folder, name):
    with pytest.raises(ValueError, match=r"path=.*: cannot be read \("):
        CharLM(5, 3, str(folder / name), True, "every", 0.1, 0, 1.0)


@pytest.mark.parametrize("seq_len", [6, 7])
def test_the_shortest_usable_text(make, seq_len):
    """The minimum is seq_len + 1 characters per stream, and the same number held out."""
    needed = 2 * (seq_len + 1)
    text = random_text(needed + seq_len + 1)
    share = (seq_len + 1) / len(text)
    task = make(text, seq_len, batch_size=2, held_out=share)
    assert len(chunks(task)) == 1
    with pytest.raises(ValueError, match="too short"):
        make(text, seq_len + 1, batch_size=2, held_out=share)


def test_samples_follow_the_network(make):
    """As the temperature goes to 0, every character is the most likely one given all earlier characters."""
    task = make(VERSES, sample_length=30, temperature=1e-6)
    model, params = _network(task)
    text = task.samples(model, params, np.random.default_rng(0))["sample.txt"]
    assert len(text) == 30
    assert len(set(pairwise(text))) > len(set(text[:-1]))  # one character has several successors
    symbols = [task.symbols.index(s) for s in "\n" + text]
    h = model.cell.forward(params, np.array(symbols)[:-1, None]).states["h"][1:, :, 0]
    logits = params["W_hy"] @ h.T + params["b_y"]
    np.testing.assert_array_equal(logits.argmax(axis=0), symbols[1:])


def test_samples_are_drawn_by_temperature_and_seed(make):
    task = make(VERSES, sample_length=200, temperature=1e6)
    model, params = _network(task)
    text, same, other = (
        task.samples(model, params, np.random.default_rng(seed))["sample.txt"] for seed in (0, 0, 1)
    )
    assert text == same != other
    assert set(text) == set(task.symbols)  # at a high temperature all are equally likely


def test_samples_can_be_omitted(make):
    task = make(VERSES, sample_length=0)
    assert task.samples(*_network(task), np.random.default_rng(0)) == {}


def _network(task):
    cell = LSTM(task.input_size, 8, "tanh", bias=True, forget_bias=0.0)
    model = Model(cell, Readout(8, task.output_size, bias=True), Zero(), "cross_entropy", "mean")
    params = model.init_params(np.random.default_rng(0), NORMAL, np.float64)
    params["W_hh"] *= 4  # the state influences the next character …
    params["W_xh"] *= 3  # … and so does the current character
    return model, params


def _targets(batch):
    return batch.y.T[batch.mask.T]


# The keys carry and targets.


def test_without_carry_every_chunk_starts_from_the_initial_state(make):
    task = make(VERSES, seq_len=5, batch_size=2, carry=False)
    assert [task.batch(None, step).continues for step in range(3)] == [False] * 3
    carried = make(VERSES, seq_len=5, batch_size=2)
    assert [carried.batch(None, step).continues for step in range(3)] == [False, True, True]
    np.testing.assert_array_equal(task.batch(None, 1).x, carried.batch(None, 1).x)


def test_a_single_target_is_the_last_character_of_a_chunk(make):
    every, last = (make(VERSES, seq_len=5, batch_size=2, targets=targets) for targets in ("every", "last"))
    whole, one = every.batch(None, 1), last.batch(None, 1)
    np.testing.assert_array_equal(one.x, whole.x)
    np.testing.assert_array_equal(one.y, whole.y[-1:])
    probe = last.probe_batch(np.random.default_rng(0), 4, last.seq_len)
    assert probe.x.shape == (5, 4) and probe.y.shape == (1, 4)


def held_out_of(task):
    return task._parts[1]


def test_validation_without_carry_reads_windows_end_to_end(make):
    task = make(VERSES * 3, seq_len=7, batch_size=2, carry=False)
    batches = list(task.validation())
    assert not any(batch.continues or batch.mask is not None for batch in batches)
    text = held_out_of(task)
    windows = (len(text) - 1) // 7
    read = np.concatenate([batch.y.T.ravel() for batch in batches])
    np.testing.assert_array_equal(read, text[1 : windows * 7 + 1])


@pytest.mark.parametrize("carry", [True, False])
def test_validation_with_one_target_per_window(make, carry):
    task = make(VERSES * 3, seq_len=7, batch_size=2, carry=carry, targets="last")
    text, batches = held_out_of(task), list(task.validation())
    if carry:  # one long stream with a target at every character
        assert sum(int(batch.mask.sum()) for batch in batches) == len(text) - 1
        return
    read = np.concatenate([batch.y[0] for batch in batches])
    np.testing.assert_array_equal(read, text[7:])  # one window for each character with 7 before it
    assert all(len(batch.x) == 7 and len(batch.y) == 1 for batch in batches)


def test_validation_takes_evenly_spread_windows_of_a_long_text(make):
    task = make(random_text(60_000), seq_len=20, carry=False, targets="last")
    batches = list(task.validation())
    assert sum(batch.size for batch in batches) == VALIDATION_WINDOWS
    assert max(batch.size for batch in batches) <= VALIDATION_STREAMS
    text = held_out_of(task)
    np.testing.assert_array_equal(batches[0].x[:, 0], text[:20])
    assert batches[-1].y[0, -1] == text[-1]


def test_bits_per_character_need_cross_entropy(make):
    task = make(VERSES)
    batch = next(task.validation())
    for loss in ("cross_entropy", "squared_error"):
        model = Model(
            LSTM(task.input_size, 4, "tanh", bias=True, forget_bias=0.0),
            Readout(4, task.output_size, bias=True),
            Zero(),
            loss,
            "mean",
        )
        tape = model.forward(model.init_params(np.random.default_rng(0), NORMAL, np.float64), batch)
        scores = task.scores(loss, batch, tape)
        if loss == "squared_error":
            assert scores == {}
        else:
            bits = tape.losses[batch.mask] / log(2)
            np.testing.assert_allclose(scores["val/bpc"].mean(), bits.mean())
    assert task.chance("squared_error") == pytest.approx((1 - 1 / task.output_size) / 2)


def test_the_baseline_uses_the_character_frequencies(make):
    task = make(VERSES)
    cut = len(VERSES) - round(len(VERSES) * 0.1)
    train, held_out = VERSES[:cut], VERSES[cut:]
    counts = {s: train.count(s) + 1 for s in task.symbols}
    bits = [-np.log2(counts[s] / sum(counts.values())) for s in held_out]
    goal = task.goal("cross_entropy")
    assert (goal.metric, goal.criterion) == ("val/bpc", None)
    assert goal.baseline == pytest.approx(np.mean(bits))
    assert task.goal("squared_error").metric == "val/loss"
