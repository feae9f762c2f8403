"""Columns of a table: used for training, left out with a message, or refused; never changed silently."""

import bz2
import datetime
import gzip
import lzma
import shlex
import zipfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from rnnlab.tasks import Series
from rnnlab.tasks.columns import read_column
from rnnlab.tasks.tables import columns_override

ROWS = 40
WAVE = [f"{np.sin(t):.4f}" for t in range(ROWS)]
DAYS = [f"2020-01-{1 + t % 28:02d}" for t in range(ROWS)]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def series(
    path: str = "t.csv", columns: list[str] | None = None, separator: str = ",", decimal: str = "."
) -> Series:
    return Series(4, 2, path, columns, 0.3, separator, decimal)  # type: ignore[arg-type]


def write(columns: dict[str, Sequence[object]], separator: str = ",", path: str = "t.csv") -> None:
    rows = zip(*columns.values(), strict=True)
    lines = [separator.join(columns), *(separator.join(map(str, row)) for row in rows)]
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


def with_cell(cell: object, at: int = 6) -> list[object]:
    return [*WAVE[:at], cell, *WAVE[at + 1 :]]


@pytest.mark.parametrize(
    "cell", ["?", "NA", "-", "n/a", ".", "nan", "''", "3.2 kg", "1 000", "1_0", "0x1f", "True", "b", "#1", "inf", "1e400"]
)  # fmt: skip
def test_a_cell_that_is_not_a_number_is_refused_by_name_and_row(here: Path, cell: str) -> None:
    write({"a": WAVE, "b": with_cell(cell)})
    shown = "inf" if cell == "1e400" else cell
    with pytest.raises(ValueError) as error:
        series()
    assert str(error.value) == (
        f"columns=b: row 7 below the header is {shown!r}, not a finite number; correct it, or leave the column "
        "out with 'task.columns=[a]'"
    )
    assert series(columns=["a"]).input_names == ["a"]  # the printed remedy
    with pytest.raises(ValueError, match=r"^columns=b: row 7"):
        series(columns=["b"])


def test_an_empty_cell_is_refused(here: Path) -> None:
    write({"a": WAVE, "b": with_cell("", 3)})
    with pytest.raises(
        ValueError, match=r"^columns=b: row 4 below the header is empty; correct it, or leave the column out"
    ):
        series()


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        (DAYS, "dates, such as '2020-01-01'"),
        (["12:30"] * ROWS, "dates, such as '12:30'"),
        (["1.2.2020"] * ROWS, "dates, such as '1.2.2020'"),
        (["2020-01-01T00:00:00Z"] * ROWS, "dates, such as '2020-01-01T00:00:00Z'"),
        (["north", "south"] * (ROWS // 2), "text, such as 'north'"),
        (["1+2j"] * ROWS, "text, such as '1+2j'"),
        (["True", "False"] * (ROWS // 2), "booleans, such as 'True'"),
        ([""] * ROWS, "no values"),
        (["NA"] * ROWS, "no values"),
        (["nan"] * ROWS, "no values"),
    ],
)  # fmt: skip
def test_a_column_without_numbers_is_omitted_and_named(here: Path, cells: list[str], why: str) -> None:
    write({"a": WAVE, "b": cells})
    task = series()
    assert task.input_names == ["a"]
    assert task.remarks == (f"task.path=t.csv: columns left out: 'b' ({why})",)
    assert series(columns=["a"]).remarks == ()
    with pytest.raises(ValueError, match=r"^columns=b: (contains|has)"):
        series(columns=["b"])


@pytest.mark.parametrize("cells", [["3.2 kg"] * ROWS, ["$5"] * ROWS, ["45%"] * ROWS, ['"1,234"'] * ROWS])
def test_numbers_with_units_or_grouped_thousands_are_not_text(here: Path, cells: list[str]) -> None:
    write({"a": WAVE, "b": cells})
    with pytest.raises(
        ValueError, match=r"^columns=b: row 1 below the header is .*, not a finite number, the first"
    ):
        series()


def test_decimal_commas_are_recognised_and_the_remedy_works(here: Path) -> None:
    write({"a": range(ROWS), "b": [w.replace(".", ",") for w in WAVE]}, ";")
    with pytest.raises(
        ValueError, match=r"^columns=b: row 1 .*; set \"task.decimal=','\" to read such numbers, or correct"
    ):
        series(separator=";")
    np.testing.assert_allclose(series(separator=";", decimal=",")._values[:, 1], np.array(WAVE, float))


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("a,b", "columns=a: row 41 below the header is 'a', not a finite number"),
        ("# end,", "columns=a: row 41 below the header is '# end', not a finite number"),
        ("total,123", "columns=a: row 41 below the header is 'total', not a finite number"),
        (",123", "columns=a: row 41 below the header is empty"),
    ],
)
def test_rows_without_values(here: Path, extra: str, message: str) -> None:
    """A repeated header, a comment or a total is not a row of values."""
    write({"a": WAVE, "b": WAVE})
    with Path("t.csv").open("a") as file:
        file.write(f"{extra}\n")
    with pytest.raises(ValueError, match=f"^{message}"):
        series()


def test_a_row_of_totals_below_dates(here: Path) -> None:
    write({"day": [*DAYS[:-1], "total"], "a": WAVE})
    with pytest.raises(
        ValueError, match=r"^columns=day: contains dates, but row 40 below the header is 'total'; correct"
    ):
        series()


@pytest.mark.parametrize(
    "columns", [{"2020-01-01": DAYS, "0.5": WAVE}, {"1": WAVE, "0.5": WAVE}, {"north": ["south"] * ROWS, "0.5": WAVE}]
)  # fmt: skip
def test_a_first_row_of_values_is_not_a_header(here: Path, columns: dict[str, list[str]]) -> None:
    write(columns)
    with pytest.raises(
        ValueError, match=r"^path=t.csv: no header; the first row \(.*'0.5'\) contains values; add a row"
    ):
        series()
    assert series(columns=["0.5"]).input_names == ["0.5"]  # the printed remedy


def test_years_beside_a_word_are_a_header(here: Path) -> None:
    write({"day": DAYS, "2019": WAVE, "2020": WAVE[::-1]})
    assert series().input_names == ["2019", "2020"]


def test_columns_of_the_same_name(here: Path) -> None:
    Path("t.csv").write_text("a,b,a\n" + "".join(f"{n},{w},{n}\n" for n, w in enumerate(WAVE)))
    for columns in (None, ["a"]):
        with pytest.raises(
            ValueError, match=r"^columns=a: columns 1 and 3 have this name; rename all but one$"
        ):
            series(columns=columns)
    assert series(columns=["b"]).input_names == ["b"]


def test_unnamed_columns_are_omitted_and_numbered(here: Path) -> None:
    Path("t.csv").write_text(",a,\n" + "".join(f"{n},{w},?\n" for n, w in enumerate(WAVE)))
    assert series().remarks == ("task.path=t.csv: columns left out: column 1 (no name), column 3 (no name)",)


def test_a_byte_order_mark_and_huge_whole_numbers(here: Path) -> None:
    huge = [10**30 + t * 10**28 for t in range(ROWS)]
    write({"a": huge, "b": WAVE})
    Path("t.csv").write_bytes(b"\xef\xbb\xbf" + Path("t.csv").read_bytes())
    task = series()
    assert task.input_names == ["a", "b"]
    np.testing.assert_array_equal(task._values[:, 0], np.array(huge, float))


PARQUET: dict[str, tuple[Any, str]] = {
    "decimals": ([Decimal(w) for w in WAVE], ""),
    "nullable": (pd.array(range(ROWS), "Int64"), ""),
    "halves": (np.arange(ROWS, dtype=np.float16), ""),
    "unsigned": (np.arange(ROWS, dtype=np.uint64) + 2**63, ""),
    "kinds of numbers": (pd.Categorical(np.arange(ROWS) * 0.5), ""),
    "days": ([datetime.date(2020, 1, 1)] * ROWS, "columns left out: 'x' (dates, such as '2020-01-01')"),
    "times": (
        pd.date_range("2020", periods=ROWS),
        "columns left out: 'x' (dates, such as '2020-01-01 00:00:00')",
    ),
    "booleans": (np.arange(ROWS) > 3, "columns left out: 'x' (booleans, such as 'False')"),
    "words": (pd.Categorical(["u", "v"] * (ROWS // 2)), "columns left out: 'x' (text, such as 'u')"),
    "nothing": (np.full(ROWS, np.nan), "columns left out: 'x' (no values)"),
    "a gap": (
        [None, *WAVE[1:]],
        "columns=x: row 1 is empty; correct it, or leave the column out with 'task.columns=[a]'",
    ),
    "lists": ([[1.0]] * ROWS, "columns left out: 'x' (text, such as '[1.]')"),
}


@pytest.mark.parametrize("kind", PARQUET)
def test_columns_of_a_parquet_file(here: Path, kind: str) -> None:
    values, expected = PARQUET[kind]
    pd.DataFrame({"a": np.array(WAVE, float), "x": values}).to_parquet("t.pq")
    if expected.startswith("columns="):
        with pytest.raises(ValueError) as error:
            series("t.pq")
        assert str(error.value) == expected
        return
    task = series("t.pq") if kind != "unsigned" else series("t.pq", ["a"])
    if expected:
        assert task.input_names == ["a"] and task.remarks == (f"task.path=t.pq: {expected}",)
    elif kind != "unsigned":
        assert task.input_names == ["a", "x"]
        np.testing.assert_array_equal(task._values[:, 1], np.array([float(v) for v in values]))


def test_an_index_of_dates_in_a_parquet_file_is_named(here: Path) -> None:
    frame = pd.DataFrame({"a": np.array(WAVE, float)}, index=pd.date_range("2020", periods=ROWS, name="day"))
    frame.to_parquet("t.pq")
    assert series("t.pq").remarks == (
        "task.path=t.pq: columns left out: 'day' (dates, such as '2020-01-01 00:00:00')",
    )


@pytest.mark.parametrize(
    "value", [1 + 2j, b"1", object(), Decimal("sNaN"), 10**400, np.float64(2), True, None]
)
def test_any_object_has_a_kind(value: object) -> None:
    read_column(pd.Series([value, "x", 1.0], dtype=object), ".")
    read_column(pd.Series([value] * 3, dtype=object), ".")


@pytest.mark.parametrize(
    "names", [["a", "b_1"], ["$x_$", "cost ($)"], ["2019"], ["null"], ['q"u'], ["it's"], ["a,b"]]
)
def test_the_printed_choice_of_columns_can_be_typed(names: list[str]) -> None:
    printed = columns_override(names)
    assert printed is not None
    (typed,) = shlex.split(printed)
    value = OverridesParser.create().parse_override(typed).value()
    assert isinstance(value, list) and [str(name) for name in value] == names
    assert columns_override(["a\n"]) is columns_override(["${x}"]) is columns_override([]) is None


def packed(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile("one.zip", "w") as archive:
        archive.writestr("t.csv", data)
    return {
        "gz": gzip.compress(data), "bz2": bz2.compress(data), "xz": lzma.compress(data),
        "zip": Path("one.zip").read_bytes(),
    }  # fmt: skip


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz", "zip"])
def test_compressed_tables_complete_truncated_and_invalid(here: Path, suffix: str) -> None:
    write({"a": WAVE})
    plain = Path("t.csv").read_bytes()
    whole = packed(plain)[suffix]
    path = Path(f"t.csv.{suffix}")
    path.write_bytes(whole)
    assert series(str(path)).input_names == ["a"]
    for broken in (
        whole[: len(whole) // 2],
        whole[:3],
        whole[:-6] if suffix != "zip" else whole[:9],
        plain,
        b"PK",
    ):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=r"^path=t\.csv\.\w+: (cannot be read \(.+\)|is )") as error:
            series(str(path))
        assert "\n" not in str(error.value)


def test_an_archive_of_several_files(here: Path) -> None:
    with zipfile.ZipFile("t.zip", "w") as archive:
        archive.writestr("a.csv", "a\n")
        archive.writestr("b.csv", "a\n")
    with pytest.raises(
        ValueError, match=r"cannot be read \(zip archive of 2 files; must contain exactly one file\)"
    ):
        series("t.zip")


@pytest.mark.parametrize("scale", [1e-310, 1e-200, 1e-160, 1.0, 1e150, 1e200, 1e300])
def test_columns_of_any_size_are_standardised(here: Path, scale: float) -> None:
    values = np.sin(np.arange(ROWS)) * scale
    write({"a": [repr(float(v)) for v in values], "b": WAVE})
    one = series()
    cut = ROWS - round(ROWS * 0.3)
    plain = np.sin(np.arange(ROWS))
    expected = (plain - plain[:cut].mean()) / plain[:cut].std()
    tolerance = 1e-6 if scale < 1e-300 else 1e-12
    np.testing.assert_allclose(np.concatenate(one._parts)[:, 0], expected, rtol=tolerance, atol=tolerance)
    assert 0 < one.goal("squared_error").baseline < 10


def test_scaling_changes_no_digit_of_usual_values(here: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(50, 3, (ROWS, 2)) * [1, 1000]
    pd.DataFrame(values, columns=["a", "b"]).to_parquet("t.pq")
    train = values[: ROWS - round(ROWS * 0.3)]
    np.testing.assert_array_equal(
        np.concatenate(series("t.pq")._parts), (values - train.mean(axis=0)) / train.std(axis=0)
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            [1e9 + t % 2 * 1e-6 for t in range(ROWS)],
            "the training part varies by less than 1e-12 of its values",
        ),
        (
            [*np.sin(range(28)), *[1e300] * 12],
            r"a held-out value is 1.4\de\+300 standard deviations from the training mean; must be",
        ),
        (
            [*np.sin(range(28)) * 1e-300, *[1e300] * 12],
            "a held-out value is inf standard deviations",
        ),
    ],
)
def test_values_outside_the_float_range_are_refused(here: Path, values: list[float], message: str) -> None:
    write({"a": [repr(float(v)) for v in values]})
    with pytest.raises(ValueError, match=f"^columns=a: {message}"):
        series()


def test_a_constant_held_out_part_has_a_baseline_of_0(here: Path) -> None:
    write({"a": [*WAVE[:28], *["0.5"] * 12]})
    assert series().goal("squared_error").baseline == 0


@pytest.mark.parametrize("cell", ["1.234.567", "12.345.678", "1.23,5", "1234.56,78", "1.5 2"])
def test_grouped_numbers_are_not_dates(cell: str) -> None:
    found = read_column(pd.Series([*WAVE[:5], cell]), ".")
    assert (found.kind, found.first) == ("faulty numbers", (5, cell))
    assert read_column(pd.Series([cell] * 5), ".").kind != "dates"


@pytest.mark.parametrize(
    "cell",
    [
        "2020-01-31",
        "1749-01",
        "31.1.2020",
        "1/31/20",
        "01/2020",
        "2020-01-31T10:30:00.5Z",
        "10:30",
        "10:30:59",
    ],
)
def test_dates_are_dates(cell: str) -> None:
    assert read_column(pd.Series([cell] * 5), ".").kind == "dates"
