import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlab.tasks import Series
from tests.tasks.test_synthetic import not_numbers, nothing, validated


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("series")


def frame_of(count, columns=2):
    """Return rising columns: each value identifies its position, and the held-out part has another mean."""
    rng = np.random.default_rng(count)
    names = [f"c{k}" for k in range(columns)]
    steps = rng.uniform(0.1, 1, (count, columns))
    return pd.DataFrame(np.cumsum(steps, axis=0) * 10 ** np.arange(columns) + 50, columns=names)


def write(frame, folder, kind="csv"):
    path = folder / f"table.{kind}"
    frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
    return str(path)


def series(path, seq_len=5, size=3, columns=None, held_out=0.2, separator=",", decimal="."):
    return Series(seq_len, size, path, columns, held_out, separator, decimal)


def expected_of(frame, share=0.2):
    """Return both parts, standardised by the training part."""
    values = frame.to_numpy()
    cut = len(values) - round(share * len(values))
    train = values[:cut]
    return (train - train.mean(axis=0)) / train.std(axis=0), (values[cut:] - train.mean(axis=0)) / train.std(
        axis=0
    )


def assert_windows(batch, part, seq_len):
    """Check that every window is in the part with the next values as targets; return the starts."""
    starts = []
    for b in range(batch.size):
        start = int(np.argmin(abs(part[:, 0] - batch.x[0, 0, b])))
        np.testing.assert_allclose(batch.x[:, :, b], part[start : start + seq_len])
        np.testing.assert_allclose(batch.y[:, :, b], part[start + 1 : start + seq_len + 1])
        starts.append(start)
    return starts


@pytest.mark.parametrize("kind", ["csv", "parquet", "pq"])
@pytest.mark.parametrize("columns", [1, 3])
def test_windows_are_of_the_training_part_alone(folder, kind, columns):
    frame = frame_of(50, columns)
    made = series(write(frame, folder, kind), size=400)
    train, held_out = expected_of(frame)
    batch = made.batch(np.random.default_rng(0), 0)
    assert batch.x.shape == batch.y.shape == (5, columns, 400)
    assert set(assert_windows(batch, train, 5)) == set(range(40 - 5))
    (test,) = made.validation()
    assert assert_windows(test, held_out, 5) == [0]
    assert made.input_names == made.output_names == list(frame)
    assert made.input_size == made.output_size == columns and made.lag is None


@settings(max_examples=40)
@given(count=st.integers(20, 300), seq_len=st.integers(1, 9), share=st.floats(0.3, 0.7))
def test_validation_reads_the_held_out_part_end_to_end(folder, count, seq_len, share):
    if round(count * share) <= seq_len or count - round(count * share) <= seq_len:
        return
    frame = frame_of(count, 1)
    made = series(write(frame, folder), seq_len, held_out=share)
    _, held_out = expected_of(frame, share)
    (batch,) = made.validation()
    read = batch.y[:, 0].T.ravel()
    windows = (len(held_out) - 1) // seq_len
    np.testing.assert_allclose(read, held_out[1 : windows * seq_len + 1, 0])
    np.testing.assert_allclose(batch.x[0, 0], held_out[: windows * seq_len : seq_len, 0])


def test_standardised_by_the_training_part(folder):
    frame = frame_of(100)
    made = series(write(frame, folder))
    train, held_out = made._parts
    np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(train.std(axis=0), 1)
    assert held_out.mean() > 1


def test_some_columns_in_the_given_order(folder):
    frame = frame_of(60, 3)
    path = write(frame.assign(name="x", yes=True), folder)
    made = series(path, columns=["c2", "c0"])
    assert made.input_names == ["c2", "c0"]
    (batch,) = made.validation()
    assert_windows(batch, expected_of(frame[["c2", "c0"]])[1], 5)
    assert series(path).input_names == ["c0", "c1", "c2"]


def test_batches_follow_their_generator(folder):
    made = series(write(frame_of(200), folder))
    one, same, other = (made.batch(np.random.default_rng(seed), 0) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.x, same.x)
    assert (one.x != other.x).any()
    assert not one.continues and one.mask is None


@pytest.mark.parametrize("length", [1, 7, 19])
def test_probe_windows_are_of_the_held_out_part_and_reach_its_ends(folder, length):
    frame = frame_of(100)
    made = series(write(frame, folder))
    batch = made.probe_batch(np.random.default_rng(0), 300, length)
    assert batch.time == length
    assert set(assert_windows(batch, expected_of(frame)[1], length)) == set(range(20 - length))


def test_refuses_a_probe_longer_than_the_held_out_part(folder):
    with pytest.raises(ValueError, match=r"^the held-out part has only 20 values; raise task.held_out"):
        series(write(frame_of(100), folder)).probe_batch(np.random.default_rng(0), 1, 20)


def test_scores_and_the_baseline_of_the_last_value(folder):
    made = series(write(frame_of(100), folder))
    goal = made.goal("squared_error")
    assert (goal.metric, goal.criterion, goal.below) == ("val/mse", None, None)
    persistent = validated(made, lambda batch: batch.x.transpose(1, 0, 2))
    assert persistent["val/mse"] == pytest.approx(goal.baseline) == persistent["val/baseline"]
    assert validated(made, lambda batch: batch.y.transpose(1, 0, 2))["val/mse"] == 0
    off = validated(made, lambda batch: batch.y.transpose(1, 0, 2) + np.array([[[0.3]], [[-0.4]]]))
    assert off["val/mse"] == pytest.approx(0.125)
    assert off["val/loss"] == pytest.approx(0.125)
    assert "val/solved" not in off
    assert validated(made, not_numbers(made))["val/mse"] is None


def test_the_baseline_is_of_neighbouring_values(folder):
    frame = frame_of(100, 1)
    made = series(write(frame, folder), seq_len=19)
    _, held_out = expected_of(frame)
    assert made.goal("squared_error").baseline == pytest.approx(np.mean(np.diff(held_out[:, 0]) ** 2))


@pytest.mark.parametrize("columns", [1, 3])
def test_chance_is_the_mean_of_the_training_part(folder, columns):
    made = series(write(frame_of(3000, columns), folder), size=5000)
    batch = made.batch(np.random.default_rng(0), 0)
    assert made.chance("squared_error") == pytest.approx((batch.y**2).sum(axis=1).mean() / 2, rel=0.03)
    assert nothing(made)(batch).shape == (columns, 5, 5000)


def test_the_shipped_series():
    made = Series(50, 32, None, None, 0.2, ",", ".")
    assert made.input_names == ["sunspots"]
    assert made.dataset["name"] == "sunspots"
    values = sum(map(len, made._parts))
    assert values == 12 * (2008 - 1749 + 1)
    assert 0 < made.goal("squared_error").baseline < 0.5


def test_dataset_is_named_by_its_values(folder):
    frame = frame_of(50)
    first = series(write(frame, folder)).dataset
    assert series(write(frame, folder, "parquet")).dataset["digest"] == first["digest"]
    frame.iloc[7, 1] += 1
    assert series(write(frame, folder)).dataset["digest"] != first["digest"]
    assert first["name"] == "table.csv" and first["source"].endswith("table.csv")


def lines(*values):
    return "a,b\n" + "\n".join(f"{value},{number}" for number, value in enumerate(values * 10))


TABLES = {
    "empty": ("", None, r"^path=.*broken\.csv: cannot be read \(No columns"),
    "ragged": ("a,b\n1,2\n1,2,3,4\n", None, r"^path=.*broken\.csv: cannot be read \(Error tokenizing"),
    "not text": (
        b"a\n\xff\xfe\n",
        None,
        r"^path=.*broken\.csv: is not UTF-8 text \(invalid start byte at byte 2\)$",
    ),
    "no numbers": ("a\n" + "x\n" * 20, None, r"^path=.*broken\.csv: no numeric column; available: 'a'$"),
    "words": (
        lines("x", "y"),
        ["a"],
        "^columns=a: contains text, not numbers .row 1 below the header is 'x'",
    ),
    "booleans": (lines("True", "False"), ["a"], "^columns=a: contains booleans, not numbers"),
    "unknown": (lines(1, 2), ["b", "wind"], "^columns=wind: no such column; available: 'a', 'b'$"),
    "missing": (
        lines(1, ""),
        None,
        "^columns=a: row 2 below the header is empty, the first of 10 such cells",
    ),
    "infinite": (
        lines(1, 2, "inf"),
        None,
        "^columns=a: row 3 below the header is 'inf', not a finite number, ",
    ),
    "constant": (lines(3, 3, 3, 3), None, "^columns=a: the training part is constant; choose other columns$"),
}


@pytest.mark.parametrize(("text", "columns", "message"), TABLES.values(), ids=TABLES)
def test_refuses_tables_it_cannot_use(folder, text, columns, message):
    path = folder / "broken.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=message):
        series(str(path), columns=columns)


def test_an_unused_column_may_contain_anything(folder):
    path = folder / "broken.csv"
    path.write_text(lines("", 3))
    assert series(str(path), seq_len=3, columns=["b"]).input_names == ["b"]


def test_refuses_a_part_that_is_too_short(folder):
    path = write(frame_of(25), folder)
    with pytest.raises(
        ValueError, match=r"^held_out=0.2: the held-out part has 5 values; seq_len=5 needs at least 6$"
    ):
        series(path)
    with pytest.raises(
        ValueError, match=r"^held_out=0.8: the training part has 5 values; seq_len=5 needs at least 6$"
    ):
        series(path, held_out=0.8)
    assert next(iter(series(path, seq_len=4).validation())).size == 1


@pytest.mark.parametrize("name", ["nowhere.csv", ".", "nowhere.parquet"])
def test_refuses_a_path_that_is_not_a_file(folder, name):
    with pytest.raises(ValueError, match=r"^path=.*: cannot be read \("):
        series(str(folder / name))


def test_refuses_a_broken_parquet_file(folder):
    path = folder / "broken.parquet"
    path.write_text("PAR1 nonsense")
    with pytest.raises(ValueError, match=r"^path=.*broken\.parquet: cannot be read \("):
        series(str(path))


def test_missing_numbers_of_a_parquet_file(folder):
    frame = pd.DataFrame({"a": pd.array([1, None, *range(38)], dtype="Int64")})
    with pytest.raises(ValueError, match=r"^columns=a: row 2 is empty; correct it$"):
        series(write(frame, folder, "parquet"))


@pytest.mark.parametrize("constant", ["0.1", "0.7"])
def test_a_constant_with_a_rounded_mean_is_refused(folder, constant):
    path = folder / "broken.csv"
    path.write_text(lines(constant, constant, constant))
    with pytest.raises(ValueError, match=r"^columns=a: the training part is constant"):
        series(str(path), columns=["a"])


def test_a_missing_parquet_file(folder):
    with pytest.raises(ValueError, match="No such file"):
        series(str(folder / "nowhere.parquet"))


def test_durations_are_left_out(folder):
    frame = frame_of(60, 1).assign(took=pd.to_timedelta(np.arange(60), unit="s"))
    assert series(write(frame, folder, "parquet")).input_names == ["c0"]


@pytest.mark.parametrize("text", ["a,b\n", lines(1, 2)[:8]], ids=["none", "one"])
def test_no_or_one_value_is_too_short_rather_than_constant(folder, text):
    path = folder / "broken.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"part has \d values|has no values"):
        series(str(path), columns=["b"])


def test_other_separators_and_decimal_commas(folder):
    path = folder / "european.csv"
    path.write_text("a;b\n" + "0,5;10\n-1,25;30\n" * 20)
    made = series(str(path), separator=";", decimal=",")
    assert made.input_names == ["a", "b"]
    np.testing.assert_array_equal(made._values[:2], [[0.5, 10], [-1.25, 30]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "temp\n" + "0,13\n-0,01\n" * 20,
            "its rows have more fields than its header; set task.separator and",
        ),
        ("a;b\n" + "0,13;5,77\n" * 20, "its rows have more fields than its header; set task.separator and"),
        (
            "a;b\n" + "1;2\n" * 20,
            "only one column, 'a;b'; set task.separator and task.decimal to match the file$",
        ),
        (
            "1.5,2\n" + "1,2\n" * 20,
            r"no header; the first row \('1.5', '2'\) contains values; add a row of column names above it, or ",
        ),
    ],
    ids=["decimal comma", "both", "semicolons", "no header"],
)
def test_another_notation_is_never_misread(folder, text, message):
    path = folder / "other.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"^path=.*other.csv: {message}"):
        series(str(path))


def test_a_trailing_comma_shifts_no_value(folder):
    path = folder / "trailing.csv"
    path.write_text("a,b\n" + "1,2,\n3,4,\n" * 20)
    np.testing.assert_array_equal(series(str(path))._values[:2], [[1, 2], [3, 4]])


def test_an_index_that_pandas_wrote_is_not_used(folder):
    path = folder / "indexed.csv"
    frame_of(60, 2).to_csv(path)
    assert series(str(path)).input_names == ["c0", "c1"]


def test_numeric_and_duplicate_column_names(folder):
    path = write(frame_of(60, 2).set_axis(["1", "2"], axis=1), folder, "parquet")
    assert series(path, columns=["2"]).input_names == ["2"]
    with pytest.raises(ValueError, match=r"^columns=1: listed more than once$"):
        series(path, columns=["1", "1"])


def test_a_long_held_out_part_is_validated_in_pieces(folder):
    made = series(write(frame_of(8000, 1), folder, "csv"), held_out=0.5)
    sizes = [batch.size for batch in made.validation()]
    assert len(sizes) > 1 and max(sizes) <= 256 and sum(sizes) == (4000 - 1) // 5
