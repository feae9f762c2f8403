import gzip
import hashlib
from functools import cache
from importlib.resources import files

import numpy as np
import pytest

from rnnlab.tasks import Digits
from tests.tasks.test_synthetic import but_for, not_numbers, nothing, one_hot, right, validated

READ = {"pixels": 64, "rows": 8}
each_read = pytest.mark.parametrize("read", READ)


def task(read="rows", permuted=False, examples=397, size=200, seq_len=None):
    return Digits(seq_len or READ[read], size, read, permuted, examples)


@cache
def rows():
    text = gzip.decompress((files("rnnlab.tasks") / "data" / "digits.csv.gz").read_bytes()).decode()
    return [tuple(map(int, line.split(","))) for line in text.split()]


def images_of(batch):
    """Return pixels and digit of every image in the format of the file."""
    pixels = np.moveaxis(batch.x, -1, 0).reshape(batch.size, 64) * 16
    return [(*map(int, image), int(digit)) for image, digit in zip(pixels, batch.y[0], strict=True)]


def test_the_data_are_1797_images_of_ten_digits():
    assert len(rows()) == 1797
    assert {len(row) for row in rows()} == {65}
    assert {pixel for row in rows() for pixel in row[:64]} == set(range(17))
    assert np.bincount([row[64] for row in rows()]).tolist() == [
        178, 182, 177, 183, 181, 182, 181, 179, 174, 180,
    ]  # fmt: skip


@each_read
def test_train_and_test_images_are_disjoint_and_complete(read):
    made = task(read)
    (test,) = made.validation()
    tested = images_of(test)
    rng = np.random.default_rng(0)
    trained = {image for step in range(100) for image in images_of(made.batch(rng, step))}
    assert test.size == 397
    assert len(set(rows())) == 1797
    assert trained.isdisjoint(tested)
    assert trained | set(tested) == set(rows())


def test_every_time_step_is_a_pixel_or_a_row():
    pixels, by_row = (next(iter(task(read).validation())) for read in READ)
    assert pixels.x.shape == (64, 1, 397) and by_row.x.shape == (8, 8, 397)
    assert pixels.y.shape == by_row.y.shape == (1, 397)
    for row in range(8):
        np.testing.assert_array_equal(by_row.x[row], pixels.x[8 * row : 8 * row + 8, 0])
    assert pixels.x.min() == 0 and pixels.x.max() == 1


@each_read
def test_permuted_pixels_come_in_one_other_order(read):
    plain, permuted = (next(iter(task(read, permuted).validation())) for permuted in (False, True))
    np.testing.assert_array_equal(plain.y, permuted.y)
    a, b = plain.x.reshape(64, -1), permuted.x.reshape(64, -1)
    assert sorted(map(bytes, a)) == sorted(map(bytes, b))
    assert sum((one != other).any() for one, other in zip(a, b, strict=True)) > 50
    (again,) = task(read, True, size=3).validation()
    np.testing.assert_array_equal(permuted.x, again.x)
    train = task(read, True).batch(np.random.default_rng(0), 0).x.reshape(64, -1)
    unpermuted = task(read, False).batch(np.random.default_rng(0), 0).x.reshape(64, -1)
    assert sorted(map(bytes, train)) == sorted(map(bytes, unpermuted))
    order = [next(i for i in range(64) if (a[i] == line).all()) for line in b if (line > 0).any()]
    np.testing.assert_array_equal(train[[(line > 0).any() for line in b]], unpermuted[order])


def test_validation_is_the_same_every_time_and_like_the_training_part():
    (one,), (other,) = task().validation(), task(size=3).validation()
    np.testing.assert_array_equal(one.x, other.x)
    counts = np.bincount(one.y[0], minlength=10)
    assert counts.min() > 20 and counts.max() < 60


def test_batches_follow_their_generator_and_draw_all_images():
    made = task()
    one, same, other = (made.batch(np.random.default_rng(seed), 0) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.x, same.x)
    assert one.size == 200 and images_of(one) != images_of(other)
    rng = np.random.default_rng(0)
    drawn = [image for step in range(140) for image in images_of(made.batch(rng, step))]
    counts = np.unique([hash(image) for image in drawn], return_counts=True)[1]
    assert len(counts) == 1400 and counts.min() >= 3 and counts.max() <= 45


@each_read
def test_probe_images_are_of_the_test_part(read):
    made = task(read)
    batch = made.probe_batch(np.random.default_rng(0), 50, READ[read])
    (test,) = made.validation()
    assert batch.size == 50 and batch.time == made.time == READ[read]
    assert set(images_of(batch)) <= set(images_of(test))
    for length in (1, READ[read] - 1, READ[read] + 1):
        with pytest.raises(ValueError, match=f"^must be {READ[read]}, the number of time steps per image"):
            made.probe_batch(np.random.default_rng(0), 1, length)


@each_read
def test_lag_is_to_the_first_pixels(read):
    assert task(read).lag == READ[read] - 1


def test_scores():
    made = task()
    (test,) = made.validation()
    goal = made.goal("cross_entropy")
    rng = np.random.default_rng(0)
    trained = np.concatenate([made.batch(rng, step).y[0] for step in range(3000)])
    most_frequent = np.bincount(trained).argmax()
    assert (goal.metric, goal.criterion, goal.below) == ("val/accuracy", "val/error_rate", 0.05)
    assert goal.baseline == (test.y == most_frequent).sum() / 397
    constant = validated(made, lambda batch: one_hot(np.full_like(batch.y, most_frequent), 10))
    assert constant["val/accuracy"] == pytest.approx(goal.baseline) == constant["val/baseline"]
    assert constant["val/error_rate"] == pytest.approx(1 - goal.baseline)
    for loss in made.losses:
        chosen = validated(made, right(made), loss)
        assert (chosen["val/accuracy"], chosen["val/error_rate"], chosen["val/solved"]) == (1, 0, 1)
    assert [validated(made, but_for(n, made))["val/solved"] for n in (19, 20)] == [1, 0]
    assert validated(made, but_for(20, made))["val/accuracy"] == pytest.approx(377 / 397)
    assert validated(made, nothing(made))["val/loss"] == pytest.approx(np.log(10))
    assert made.chance("cross_entropy") == pytest.approx(np.log(10))
    assert made.chance("squared_error") == pytest.approx(0.45)
    assert validated(made, not_numbers(made))["val/solved"] == 0


def test_non_finite_outputs_are_wrong():
    assert validated(task(), not_numbers(task()))["val/accuracy"] == 0


def test_dataset_is_named_by_its_content():
    digest = hashlib.sha256(np.array(rows(), np.int64).tobytes()).hexdigest()[:16]
    assert task().dataset["digest"] == digest
    assert task().dataset["name"] == "digits-8x8"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"read": "rows", "seq_len": 64},
            "^seq_len=64: must be 8, the number of time steps per image with read=rows",
        ),
        ({"read": "pixels", "seq_len": 8}, "^seq_len=8: must be 64"),
        ({"examples": 1797}, "^validation_examples=1797: must be less than 1797, the number of images"),
    ],
)
def test_refuses_impossible_image_options(given, message):
    with pytest.raises(ValueError, match=message):
        task(**given)
    assert task(examples=1796).batch(np.random.default_rng(0), 0).size == 200
