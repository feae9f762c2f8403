"""Contents of files: valid, odd and damaged texts, tables and arrays."""

import bz2
import gzip
import io
import lzma
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

ENCODINGS = (
    *("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"),
    *("latin-1", "cp1252", "cp437"),
)
LINE_ENDS = ("\n", "\r\n", "\r", "\n\n", "\u2028")
CELLS = (
    *(
        "1",
        "-2.5",
        "3e4",
        "0",
        "",
        " ",
        "nan",
        "NA",
        "inf",
        "-Infinity",
        "1e400",
        "9" * 30,
        "1_0",
        "0x1f",
        "1,5",
    ),
    *(
        "true",
        "2020-01-01",
        "é",
        "🎉",
        "e\u0301",
        "a\x00b",
        '"a\nb"',
        '"',
        '""',
        '"1"',
        "'1'",
        "#",
        "a b",
        "1 ",
        "½",
    ),
)
NAMES = (
    "a",
    "b",
    "c",
    "a",
    "",
    " ",
    "1",
    "é",
    "Unnamed: 0",
    "a.1",
    '"x\ny"',
    "\x00",
    "[bold]",
    "<b>",
    "nan",
    "a=b",
)
DTYPES = ("f8", "f4", "f2", "i8", "u1", "?", "c16", "U3", "S2", "O", "M8[s]", ">f8", "f8,i4", "V4")


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Return the bytes of a file with some bytes changed, removed, inserted or doubled."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        match draw(st.sampled_from(("change", "change", "cut off", "cut out", "put in", "double", "fill"))):
            case "change":
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "cut off":
                del data[at:]
            case "cut out":
                del data[at : at + draw(st.integers(1, 40))]
            case "put in":
                data[at:at] = draw(st.binary(max_size=20))
            case "double":
                data[at:at] = data[at : at + draw(st.integers(1, 200))]
            case "fill":
                size = draw(st.sampled_from((1, 2, 4, 8, 100)))
                data[at : at + size] = draw(st.sampled_from((b"\0", b"\xff", b"\x7f", b"9"))) * size
    return bytes(data)


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """Return texts long enough for training, and arbitrary bytes."""
    if draw(st.sampled_from(range(5))) == 4:
        return draw(st.binary(max_size=300))
    piece = draw(st.text(min_size=1, max_size=30)) + draw(st.sampled_from(LINE_ENDS))
    whole = (piece * draw(st.sampled_from((200, 40, 5, 1)))).encode(
        draw(st.sampled_from(ENCODINGS)), "replace"
    )
    return draw(st.just(whole) | damaged(whole))


@st.composite
def csvs(draw: st.DrawFn) -> tuple[bytes, str]:
    """Return tables of numbers with odd cells, names, rows and encodings, and the separator of each."""
    columns, rows = draw(st.integers(1, 4)), draw(st.sampled_from((60, 30, 1, 0)))
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    separator = draw(st.sampled_from((",", ",", ",", ";", "\t", "|", " ")))
    named = st.lists(st.sampled_from(NAMES), min_size=columns, max_size=columns)
    lines = [draw(st.just(list("wxyz"[:columns])) | named)]
    lines += [[f"{number:.3g}" for number in rng.normal(size=columns)] for _ in range(rows)]
    for _ in range(draw(st.sampled_from((0, 0, 1, 1, 3)))):
        line = lines[draw(st.integers(0, len(lines) - 1))]
        match draw(st.sampled_from(("cell", "cell", "cell", "longer", "shorter", "empty"))):
            case "cell" if line:
                line[draw(st.integers(0, len(line) - 1))] = draw(st.sampled_from(CELLS))
            case "longer":
                line += draw(st.lists(st.sampled_from(CELLS), min_size=1, max_size=3))
            case "shorter" if line:
                line.pop()
            case "empty":
                line.clear()
    end = draw(st.sampled_from(LINE_ENDS))
    whole = end.join(separator.join(line) for line in lines).encode(
        draw(st.sampled_from(ENCODINGS)), "replace"
    )
    option = draw(st.sampled_from((separator, separator, separator, "x", "é", '"', "1", "\n", "\x00")))
    return draw(st.just(whole) | st.just(whole) | damaged(whole)), option


KINDS: dict[str, tuple[str, ...]] = {
    "numbers": ("1", "-2.5", "3e4", "0", ".5", "7."),
    "tiny": ("1e-200", "-3e-201", "2.5e-200", "0"),
    "huge": ("1e300", "-2.5e299", "7e299", "123456789012345678901234567890"),
    "spoilt": ("1", "2", "?", "3.2 kg", "NA"),
    "dates": ("2020-01-01", "2020-01-02", "2021-12-31"),
    "words": ("north", "south", "Où"),
    "truths": ("True", "False"),
    "nothing": ("", "NA", "nan"),
}
"""Cells of columns that an independent reader can distinguish."""
COLUMN_NAMES = ("a", "b", "$x_$", "cost ($)", "_c", "2019", "x" * 300, "[bold]", "größe", "")
PACKERS = {"csv": bytes, "csv.gz": gzip.compress, "csv.bz2": bz2.compress, "csv.xz": lzma.compress}


@st.composite
def known_tables(draw: st.DrawFn) -> tuple[str, bytes, list[tuple[str, str, list[str]]], bool]:
    """Return a table with one kind of content per column: file name, bytes, columns, header or not."""
    names = draw(st.lists(st.sampled_from(COLUMN_NAMES), min_size=1, max_size=4, unique=True))
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    columns = []
    for name in names:
        kind = draw(st.sampled_from(("numbers", "numbers", *KINDS)))
        columns.append((name, kind, rng.choice(KINDS[kind], 60).tolist()))
    with_header = draw(st.sampled_from((True, True, True, False)))
    rows = [*([names] if with_header else []), *zip(*(cells for _, _, cells in columns), strict=True)]
    suffix = draw(st.sampled_from(sorted(PACKERS)))
    whole = "\n".join(",".join(row) for row in rows).encode()
    if not with_header:
        columns = [(cells[0], kind, cells[1:]) for _, kind, cells in columns]
    return f"table.{suffix}", PACKERS[suffix](whole), columns, with_header


@st.composite
def parquets(draw: st.DrawFn) -> bytes:
    """Return Parquet files, odd or damaged."""
    numbers = np.sin(np.arange(50.0))
    kinds: dict[str, Any] = {
        "numbers": numbers,
        "whole": numbers.round().astype(int),
        "halves": numbers.astype(np.float16),
        "missing": np.where(numbers > 0.9, np.nan, numbers),
        "words": [str(number) for number in numbers],
        "lists": [[number] for number in numbers],
        "times": pd.date_range("2020", periods=50),
        "truths": numbers > 0,
        "kinds": pd.Categorical(["a", "b"] * 25),
        "nullable": pd.array([1, None] * 25, "Int64"),
        "bytes": [b"\xff"] * 50,
    }
    chosen = draw(st.lists(st.sampled_from(sorted(kinds)), min_size=1, max_size=3, unique=True))
    file = io.BytesIO()
    pd.DataFrame({name: kinds[name] for name in chosen}).to_parquet(file)
    whole = file.getvalue()
    return draw(st.just(whole) | damaged(whole) | damaged(whole) | st.binary(max_size=50))


@st.composite
def npzs(draw: st.DrawFn) -> bytes:
    """Return .npz files with odd names, shapes and types, or damaged."""
    arrays = {}
    for name in draw(st.lists(st.sampled_from(("h", "c", "x", "", "a/b", "../h")), max_size=3, unique=True)):
        shape = draw(st.sampled_from(((4,), (4,), (4,), (4, 1), (0,), (), (5,), (4, 4, 4))))
        kind = draw(st.sampled_from(("f8", "f8", *DTYPES)))
        arrays[name] = np.full(shape, draw(st.sampled_from((0, 1, np.nan, np.inf, 1e300)))).astype(float)
        with np.errstate(all="ignore"):
            arrays[name] = np.zeros(shape, kind) if kind not in ("f8", "f4") else arrays[name].astype(kind)
    file = io.BytesIO()
    save = np.savez_compressed if draw(st.booleans()) else np.savez
    save(file, **{name: array for name, array in arrays.items() if name})
    whole = file.getvalue()
    return draw(st.just(whole) | damaged(whole) | damaged(whole) | st.binary(max_size=50))
