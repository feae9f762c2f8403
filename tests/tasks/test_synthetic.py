"""Common behaviour of tasks with random sequences, and every file of conf/task."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest

from rnnlab.app.config.build import build
from rnnlab.app.config.compose import compose_plan
from rnnlab.app.config.validation import InvalidConfig
from rnnlab.arrays import Array
from rnnlab.losses import Loss, losses_and_gradients, step_weights
from rnnlab.model import Batch, Tape
from rnnlab.paths import conf_dir
from rnnlab.tasks import (
    Adding,
    CopyMemory,
    Latch,
    Memorization,
    Multiplication,
    Noise,
    RandomPermutation,
    TemporalOrder,
)
from rnnlab.training import Trainer
from rnnlab.workspace import Workspace


@dataclass(frozen=True)
class FixedOutputs:
    """A model whose outputs (Y, S, B) are `answer(batch)`."""

    answer: Callable[[Batch], Array]
    loss: Loss

    def forward(self, params, batch, *rest):
        outputs = self.answer(batch)
        outputs = outputs.reshape(len(outputs), -1).astype(float)
        y = batch.y.reshape(-1) if batch.y.ndim == 2 else batch.y.transpose(1, 0, 2).reshape(len(outputs), -1)
        losses, d_outputs = losses_and_gradients(self.loss, outputs, y, Workspace())
        losses = losses.reshape(len(batch.y), batch.size)
        weights = step_weights(batch.mask, *losses.shape, "mean")
        cell = SimpleNamespace(final_states=dict)
        return Tape(cell, outputs, outputs, losses, weights, d_outputs, float(losses.mean()), True)


def validated(task, answer, loss=None):
    """Return the validation metrics of a network with these outputs."""
    model = FixedOutputs(answer, loss or task.losses[0])
    with np.errstate(all="ignore"):
        return Trainer(
            model, task, None, None, None, steps=1, val_every=None, stop_when_solved=False
        ).validate({})


def one_hot(classes, count):
    return np.moveaxis(np.eye(count)[classes], -1, 0)


def right(task):
    return lambda batch: 50 * one_hot(batch.y, task.output_size)


def but_for(wrong, task):
    """Return correct outputs except the last answer of the first `wrong` validation examples."""
    left = wrong

    def answer(batch):
        nonlocal left
        y = batch.y.copy()
        y[-1, :left] = (y[-1, :left] + 1) % task.output_size
        left -= min(left, batch.size)
        return 50 * one_hot(y, task.output_size)

    return answer


def nothing(task):
    return lambda batch: np.zeros((task.output_size, len(batch.y), batch.size))


def not_numbers(task):
    return lambda batch: np.full((task.output_size, len(batch.y), batch.size), np.nan)


def columns_of(batch):
    return [
        column.tobytes() for column in np.ascontiguousarray(np.moveaxis(batch.x, -1, 0), dtype=np.float64)
    ]


def examples_of(batches):
    return sum(batch.size for batch in batches)


def task(cls, T, size=20, length_range=None, examples=16, **own):
    return cls(T, size, length_range=length_range, validation_examples=examples, **own)


KINDS = {
    "adding": (Adding, {"version": "le_2015"}),
    "adding of 2013": (Adding, {"version": "pascanu_2013"}),
    "adding of 1997": (Adding, {"version": "hochreiter_1997"}),
    "multiplication": (Multiplication, {"version": "pascanu_2013"}),
    "temporal order": (TemporalOrder, {"special": 2}),
    "temporal order of 3": (TemporalOrder, {"special": 3}),
    "random permutation": (RandomPermutation, {}),
    "memorization": (Memorization, {"values": 5, "positions": 10}),
    "copy": (CopyMemory, {}),
    "latch": (Latch, {"information": 3, "noise_std": 0.2}),
    "noise": (Noise, {"features": 3, "std": 1.0, "classes": 4}),
}
LONGER = {"adding of 2013", "adding of 1997", "multiplication"}
each_kind = pytest.mark.parametrize("kind", KINDS)


def of_kind(kind, T=30, **given):
    cls, own = KINDS[kind]
    return task(cls, T, **given, **own)


def assert_same(batches, others):
    for one, other in zip(batches, others, strict=True):
        np.testing.assert_array_equal(one.x, other.x)
        np.testing.assert_array_equal(one.y, other.y)


@each_kind
def test_batches_follow_their_generator(kind):
    one, same, other = (
        [of_kind(kind).batch(rng, step) for step in range(3)]
        for rng in (np.random.default_rng(seed) for seed in (1, 1, 2))
    )
    assert_same(one, same)
    assert len({key for batch in [*one, *other] for key in columns_of(batch)}) == 6 * 20
    assert not any(batch.continues or batch.mask is not None for batch in one)
    assert all(batch.size == 20 for batch in one)


@each_kind
@pytest.mark.parametrize("examples", [1, 16, 4001])
def test_validation_is_the_same_every_time_and_of_the_stated_size(kind, examples):
    first = of_kind(kind, examples=examples)
    batches = list(first.validation())
    rng = np.random.default_rng(7)
    for step in range(3):
        first.batch(rng, step)
    first.probe_batch(rng, 2, first.time)
    again = of_kind(kind, examples=examples, size=3)
    assert examples_of(batches) == examples
    assert_same(batches, first.validation())
    assert_same(batches, again.validation())


@each_kind
def test_validation_leaves_the_training_generator_alone(kind):
    one, other = of_kind(kind), of_kind(kind)
    list(one.validation())
    assert_same([one.batch(np.random.default_rng(1), 0)], [other.batch(np.random.default_rng(1), 0)])


@each_kind
@pytest.mark.parametrize("extra", [0, 1, 13])
def test_probe_sequences_have_the_given_length(kind, extra):
    made = of_kind(kind)
    batch = made.probe_batch(np.random.default_rng(0), 4, made.time + extra)
    assert (batch.time, batch.size) == (made.time + extra, 4)


@each_kind
def test_no_probe_is_shorter_than_the_shortest_sequence(kind):
    made = of_kind(kind)
    shortest = {
        "adding": 2, "adding of 2013": 10, "adding of 1997": 24, "multiplication": 10, "temporal order": 10,
        "temporal order of 3": 10, "memorization": 21, "copy": 21, "latch": 4,
    }.get(kind, 1)  # fmt: skip
    assert made.probe_batch(np.random.default_rng(0), 1, shortest).time == shortest
    with pytest.raises(ValueError, match=r"at least|must be less"):
        made.probe_batch(np.random.default_rng(0), 1, shortest - 1)


@each_kind
def test_lengths_are_drawn_from_the_range_with_both_ends(kind):
    made = of_kind(kind, T=30, size=1, length_range=(30, 33))
    rng = np.random.default_rng(0)
    lengths = {made.batch(rng, step).time - made.time + 30 for step in range(300)}
    assert lengths == set(range(30, 34))
    validation = [batch.time for batch in of_kind(kind, length_range=(30, 33), examples=9000).validation()]
    assert len(set(validation)) > 1


@each_kind
def test_without_a_range_all_lengths_are_the_tasks(kind):
    made = of_kind(kind, T=40, size=1)
    rng = np.random.default_rng(0)
    lengths = {made.batch(rng, step).time for step in range(200)}
    assert lengths == (set(range(40, 44)) if kind in LONGER else {made.time})
    assert made.extent(40).longest == max(lengths) - made.time + 40


@each_kind
def test_refuses_a_reversed_range(kind):
    with pytest.raises(ValueError, match=r"^length_range=\[31, 30\]: must be \[shortest, longest\]$"):
        of_kind(kind, length_range=(31, 30))


FINITE = {
    "2^6 to memorize": (Memorization, 3, 64, {"values": 2, "positions": 6}),
    "3^3 to memorize": (Memorization, 1, 27, {"values": 3, "positions": 3}),
    "two symbols": (RandomPermutation, 2, 196, {}),
}
finite = pytest.mark.parametrize(("cls", "T", "different", "own"), FINITE.values(), ids=FINITE)


@finite
def test_training_uses_all_but_the_validation_set(cls, T, different, own):
    made = task(cls, T, size=40, examples=different // 2, **own)
    held_out = {key for batch in made.validation() for key in columns_of(batch)}
    rng = np.random.default_rng(0)
    trained = {key for step in range(100) for key in columns_of(made.batch(rng, step))}
    assert trained.isdisjoint(held_out)
    assert len(trained) + len(held_out) == different


@finite
def test_redrawn_sequences_have_matching_targets(cls, T, different, own):
    made = task(cls, T, size=500, examples=different // 2, **own)
    batch = made.batch(np.random.default_rng(0), 0)
    expected = batch.x[: made.answers] if cls is Memorization else batch.x[:1]
    np.testing.assert_array_equal(batch.y[-made.answers :], expected)


@finite
def test_a_complete_validation_set_has_each_sequence_once(cls, T, different, own):
    made = task(cls, T, size=500, examples=different, **own)
    (batch,) = made.validation()
    assert batch.size == different == len(set(columns_of(batch)))
    assert set(columns_of(made.batch(np.random.default_rng(0), 0))) & set(columns_of(batch))


@finite
def test_refuses_a_validation_set_that_leaves_too_few(cls, T, different, own):
    for examples in (different // 2 + 1, different - 1, different + 1):
        with pytest.raises(
            ValueError,
            match=rf"^validation_examples={examples}: must be at most {different // 2} \(half of the {different} ",
        ):
            task(cls, T, examples=examples, **own)


@pytest.mark.parametrize("special", [2, 3])
def test_the_shortest_temporal_order_trains_on_no_validation_sequence(special):
    made = task(TemporalOrder, 10, size=3000, examples=10_000, special=special)
    held_out = {key for batch in made.validation() for key in columns_of(batch)}
    rng = np.random.default_rng(3)
    assert held_out & set(columns_of(made.draw(rng, 3000, 10)))
    for step in range(5):
        assert held_out.isdisjoint(columns_of(made.batch(rng, step)))


def test_sequences_of_every_length_are_excluded_from_training():
    made = task(Memorization, 1, size=40, length_range=(1, 3), examples=32, values=2, positions=6)
    held_out = {key for batch in made.validation() for key in columns_of(batch)}
    rng = np.random.default_rng(0)
    trained = {key for step in range(100) for key in columns_of(made.batch(rng, step))}
    assert trained.isdisjoint(held_out)
    assert len(trained) == 3 * 64 - len(held_out)


def test_all_sequences_of_a_range_of_one_length_have_that_length():
    made = task(Memorization, 5, length_range=(7, 7), examples=32, values=2, positions=5)
    (batch,) = made.validation()
    assert batch.time == made.batch(np.random.default_rng(0), 0).time == 17


def test_all_sequences_of_several_lengths_are_refused_for_that_reason():
    with pytest.raises(ValueError) as error:
        task(Memorization, 5, length_range=(5, 7), examples=32, values=2, positions=5)
    assert str(error.value).startswith("length_range=[5, 7]: must be null or a single length, because ")


def test_validation_has_several_lengths_where_training_has():
    made = task(CopyMemory, 5, length_range=(5, 30), examples=1000)
    assert len({batch.time for batch in made.validation()}) > 1


@each_kind
def test_no_texts_and_drawn_data(kind):
    made = of_kind(kind)
    assert made.samples(None, {}, np.random.default_rng(0)) == {}
    assert made.dataset["digest"] == "drawn"
    assert len(made.input_names) == made.input_size and len(made.output_names) == made.output_size


# Every file of conf/task.

CONF = sorted(file.stem for file in (conf_dir() / "task").glob("*.yaml"))
SMALL = ("hidden_size=5", "batch_size=3", "steps=1")
SEQ_LEN = {"digits": 64, "digits_rows": 8, "reber": 40}
EXAMPLES = {
    "adding": 2560, "multiplication": 2560, "temporal_order": 10_000, "temporal_order_3": 10_000,
    "random_permutation": 10_000, "memorization_5bit": 32, "memorization_20bit": 10_000, "copy": 1000,
    "latch": 256, "reber": 256, "digits": 397, "digits_rows": 397, "noise": 64,
}  # fmt: skip
SIZES = {
    "adding": (2, 1), "multiplication": (2, 1), "temporal_order": (6, 4), "temporal_order_3": (6, 8),
    "random_permutation": (100, 100), "memorization_5bit": (4, 3), "memorization_20bit": (7, 6),
    "copy": (10, 9), "latch": (1, 2), "reber": (7, 7), "digits": (1, 10), "digits_rows": (8, 10),
    "noise": (16, 4), "series": (1, 1), "char_lm": (62, 62),
}  # fmt: skip


def experiment_of(*overrides):
    (job,) = compose_plan(conf_dir(), (*SMALL, *overrides), multirun=False).jobs
    return build(job.config)


def composed(name, *overrides):
    length = () if name.startswith("digits") else (f"seq_len={SEQ_LEN.get(name, 24)}",)
    return experiment_of(f"task={name}", *length, *overrides)


@pytest.mark.parametrize("name", CONF)
def test_every_task_of_the_configuration_is_trained_on(name):
    experiment = composed(name)
    trainer, made, rng = experiment.trainer, experiment.trainer.task, np.random.default_rng(0)
    assert (made.input_size, made.output_size) == SIZES[name]
    params = trainer.model.init_params(rng, experiment.settings.init, np.float64)
    for loss in made.losses:
        model = replace(trainer.model, loss=loss)
        tape = model.forward(params, made.batch(rng, 0))
        grads, _ = model.backward(params, tape)
        assert all(np.isfinite(grad).all() for grad in grads.values())
    assert made.probe_batch(rng, 2, made.time).time == made.time
    if name in EXAMPLES:
        assert examples_of(made.validation()) == EXAMPLES[name]
    batch, goal = next(iter(made.validation())), made.goal(made.losses[0])
    names = {"val/loss", *made.scores(made.losses[0], batch, trainer.model.forward(params, batch))}
    assert goal.metric in names and (goal.criterion or "val/loss") in names


@pytest.mark.parametrize("name", ["adding", "memorization_20bit", "temporal_order", "latch", "copy"])
def test_the_range_of_lengths_is_an_option(name):
    made = composed(name, "task.length_range=[12,14]", "task.validation_examples=4").trainer.task
    rng = np.random.default_rng(0)
    times = {made.batch(rng, step).time for step in range(100)}
    assert times == {made.time - 24 + T for T in (12, 13, 14)}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("task=adding", "task.version=le_2016"), "task.version=le_2016: must be"),
        (("task=multiplication", "task.version=le_2015"), "task.version=le_2015: must be"),
        (("task=adding", "task.length_range=[7,5]"), r"task.length_range=\[7, 5\]: must be \[shortest, longest\]"),
        (("task=adding", "task.length_range=[0,5]"), "task.length_range"),
        (("task=adding", "task.length_range=[5]"), "task.length_range"),
        (("task=adding", "task.validation_examples=0"), "task.validation_examples=0: must be greater"),
        (("task=temporal_order", "task.special=4"), "task.special=4: must be 2 or 3"),
        (("task=latch", "task.information=0"), "task.information=0: must be greater"),
        (("task=latch", "task.noise_std=-1"), "task.noise_std=-1: must be greater"),
        (("task=latch", "task.information=24"), "task.information=24: must be less than seq_len=24"),
        (
            ("task=memorization_5bit", "task.values=3", "task.positions=3"),
            r"task.validation_examples=32: must be at most 13 \(half of the 27 ",
        ),
        (("task=memorization_5bit", "task.positions=4"), r"task.validation_examples=32: must be at most 8 \(half of the 16 "),
        (("task=digits", "seq_len=64", "task.validation_examples=1797"), "task.validation_examples=1797: must be less than 1797, "),
        (("task=digits", "seq_len=63"), "seq_len=63: must be 64"),
        (("task=digits", "seq_len=64", "task.read=columns"), "task.read=columns: must be"),
        (("task=reber", "seq_len=8", "task.train_examples=4", "task.validation_examples=1"), "seq_len=8: found only 4 different strings"),
        (("task=series", "task.path=nowhere.csv"), "task.path=nowhere.csv: cannot be read"),
        (("task=series", "task.columns=[wind]"), "task.columns=wind: no such column; available: "),
        (("task=series", "task.columns=[]"), "task.columns: must list at least 1 name, or be null"),
        (("task=series", "stop_when_solved=true"), "stop_when_solved=true: the task Series has no success criterion"),
        (("task=adding", "loss=cross_entropy"), "loss=cross_entropy: must be squared_error for the task Adding"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_errors_name_key_and_value(overrides, message):
    with pytest.raises(InvalidConfig, match=rf"^{message}"):
        experiment_of("seq_len=24", *overrides)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: task(TemporalOrder, 30, length_range=(9, 20), special=2), r"^length_range=\[9, 20\]: "),
        (
            lambda: task(Adding, 30, length_range=(9, 20), version="pascanu_2013"),
            r"^length_range=\[9, 20\]: ",
        ),
        (
            lambda: task(Latch, 30, length_range=(3, 9), information=3, noise_std=0.2),
            r"^length_range=\[3, 9\]: ",
        ),
    ],
    ids=["temporal order", "adding", "latch"],
)
def test_the_error_for_a_short_range_names_its_key(made, message):
    with pytest.raises(ValueError, match=message):
        made()


def test_a_validation_batch_stays_small_over_any_range_of_lengths():
    made = task(TemporalOrder, 20, length_range=(20, 1000), examples=2000, special=2)
    batches = list(made.validation())
    assert sum(batch.size for batch in batches) == 2000
    assert max(batch.time * batch.size for batch in batches) <= 50_000
    assert {batches[0].time, batches[-1].time} == {20, 1000}
    assert all(batch.x.dtype == np.uint8 for batch in batches)
