"""A user's table: which of its columns train, which are left out and named so, and which spoil the whole.

Without a choice of columns every one that holds numbers alone trains. Dates, texts, truth values, columns
without values and columns without a name are left out by name; a column of numbers with other cells among
them is refused, as leaving it out or filling it in is for its owner to decide.
"""

import re
import shlex
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnlab.arrays import Array
from rnnlab.tasks.columns import Column, is_date, is_number, read_column
from rnnlab.tasks.encodings import encoding_problem
from rnnlab.user_files import UnreadableFile, convert_read_errors, read_decompressed, user_file

if TYPE_CHECKING:
    import pandas as pd

SUNSPOTS = "sunspots.csv"
PARQUET = (".parquet", ".pq")
NAMELESS = re.compile(r"\s*|Unnamed: \d+(_level_\d+)?|__index_level_\d+__")
"""The header's cell over an index that was written along, as pandas and Excel leave or call it."""
MAX_NAMED = 8
"""So many columns are named in one line."""
_HINT = "; task.separator and task.decimal say how it is written"
_BARE = re.compile(r"(?!(?:null|true|false|nan|inf|on|off|yes|no)$)[A-Za-z_][A-Za-z0-9_]*")
"""Names that need no quotes in an override."""


@dataclass(frozen=True, eq=False)
class Table:
    """What trains.

    Attributes:
        names: Of the columns.
        values: (rows, columns) in float64, all finite.
        left_out: The other columns, each with what it holds; empty where the columns were chosen.
    """

    names: list[str]
    values: Array
    left_out: list[str]


class _LongRows(Exception):
    """Rows of a CSV file have more fields than its header."""


def read_table(path: str | None, columns: list[str] | None, separator: str, decimal: str) -> Table:
    """Read a CSV or Parquet file; `path` None is the monthly sunspot numbers.

    Raises:
        ValueError: It cannot be read, or a column cannot train; with the key and what to do.
    """
    if path is None:
        frame = _parse_csv((files("rnnlab.tasks") / "data" / SUNSPOTS).read_bytes(), ",", ".")
        has_header = True
    else:
        has_header = Path(path).suffix not in PARQUET
        frame = _read_csv(path, separator, decimal) if has_header else _read_parquet(path)
    if frame.empty:
        raise ValueError(f"path={path}: has no values")
    names = list(frame.columns)

    def column(place: int) -> Column:
        with convert_read_errors(path or SUNSPOTS):  # pandas may decode texts only now
            return read_column(frame.iloc[:, place], decimal)

    if columns is not None:
        return _select_columns(names, column, columns, decimal, has_header)
    found = [column(place) for place in range(len(names))]
    return _select_numeric(names, found, path or SUNSPOTS, decimal, has_header)


def columns_override(names: Iterable[str]) -> str | None:
    """What to type in a shell to train these columns; None where no quotes help."""
    written = []
    for name in names:
        if not name.isprintable() or "\\" in name or "${" in name:
            return None
        written.append(name if _BARE.fullmatch(name) else '"' + name.replace('"', '\\"') + '"')
    return shlex.quote(f"task.columns=[{','.join(written)}]") if written else None


def _select_columns(
    names: list[str], read: Callable[[int], Column], columns: list[str], decimal: str, has_header: bool
) -> Table:
    """The columns that were asked for, in that order."""
    found = []
    for name in columns:
        if columns.count(name) > 1:
            raise ValueError(f"columns={name}: stands there more than once")
        if name not in names:
            raise ValueError(f"columns={name}: there is no such column; there are {_list_names(names)}")
        if names.count(name) > 1:
            raise ValueError(f"columns={name}: {_describe_duplicates(names, name)}")
        column = read(names.index(name))
        if column.numbers is None:
            raise ValueError(f"columns={name}: {_refusal_reason(column, decimal, has_header)}")
        found.append(column.numbers)
    return Table(list(columns), np.column_stack(found), [])


def _select_numeric(
    names: list[str], found: list[Column], path: str, decimal: str, has_header: bool
) -> Table:
    """The columns that hold nothing but numbers."""
    if has_header and _is_headless(names, found, decimal):
        chosen = columns_override(n for n, c in zip(names, found, strict=True) if c.numbers is not None)
        remedy = f"; if they are names, {chosen} says so" if chosen else ""
        raise ValueError(
            f"path={path}: has no header: its first row, {_list_names(names)}, holds values; "
            f"put a row of names above it{remedy}"
        )
    training = [n for n, c in enumerate(found) if c.numbers is not None and not NAMELESS.fullmatch(names[n])]
    others = [names[n] for n in training if names.count(names[n]) == 1]
    left_out = []
    for n, (name, column) in enumerate(zip(names, found, strict=True)):
        if NAMELESS.fullmatch(name):
            left_out.append(f"column {n + 1} (no name)")
        elif column.kind.startswith("spoilt"):
            problem = f"columns={name}: {_refusal_reason(column, decimal, has_header)}"
            raise ValueError(
                f"{problem}, or leave it out: {chosen}" if (chosen := columns_override(others)) else problem
            )
        elif n not in training:
            first = "" if column.first is None else f", such as {_shorten(column.first[1])}"
            left_out.append(f"{_shorten(name)} ({column.kind}{first})")
        elif names.count(name) > 1:
            raise ValueError(f"columns={name}: {_describe_duplicates(names, name)}")
    if not training:
        raise ValueError(f"path={path}: has no numeric column; there are {_list_names(names)}")
    values = np.column_stack([found[n].numbers for n in training])  # type: ignore[misc]
    return Table([names[n] for n in training], values, left_out)


def _is_headless(names: Sequence[str], found: Sequence[Column], decimal: str) -> bool:
    """Whether the cells of the header are what their columns hold, numbers among them."""
    fitting, numbers = [], 0
    for name, column in zip(names, found, strict=True):
        numbers += (is_value := is_number(name, decimal) or is_number(name)) and "numbers" in column.kind
        if "numbers" in column.kind:
            fitting.append(is_value or NAMELESS.fullmatch(name) is not None)
        elif "dates" in column.kind:
            fitting.append(is_date(name))
        elif column.kind == "no values":
            fitting.append(True)
        else:  # words over words may be either
            fitting.append(not is_value)
    return numbers > 0 and all(fitting)


def _refusal_reason(column: Column, decimal: str, has_header: bool) -> str:
    """Why a column cannot train, and what to do about its cells."""
    if column.first is None:
        return "has no values"
    row, cell = column.first
    at = f"row {row + 1}{' below the header' if has_header else ''}"
    text = _shorten(cell) if cell.strip() else "empty"
    if column.kind == "spoilt dates":
        return f"holds dates, but {at} is {text}; correct it"
    if column.kind != "spoilt numbers":
        return f"holds {column.kind}, not numbers ({at} is {text})"
    remedy = "correct them" if column.faults > 1 else "correct it"
    other = "." if decimal == "," else ","
    if is_number(cell, other) and not is_number(cell, decimal):
        remedy = f"\"task.decimal='{other}'\" reads such numbers; else {remedy}"
    many = f", the first of {column.faults} such cells" if column.faults > 1 else ""
    why = ", not a finite number" if cell.strip() else ""
    return f"{at} is {text}{why}{many}; {remedy}"


def _describe_duplicates(names: Sequence[str], name: str) -> str:
    places = [str(n + 1) for n, other in enumerate(names) if other == name]
    return f"columns {' and '.join(places)} have this name; rename all but one"


def _list_names(names: Sequence[str]) -> str:
    texts = [_shorten(name) for name in names[:MAX_NAMED]]
    return ", ".join([*texts, f"… ({len(names)} in all)"] if len(names) > MAX_NAMED else texts)


def _shorten(text: str) -> str:
    return repr(text) if len(text) <= 40 else f"{text[:40]!r}…"


def _read_csv(path: str, separator: str, decimal: str) -> "pd.DataFrame":
    with convert_read_errors(path):
        file = user_file(path)
        data = read_decompressed(file)
    if problem := encoding_problem(data, file):
        hint = "; name it *.parquet" if data.startswith(b"PAR1") else ""
        raise UnreadableFile(f"path={path}: {problem}{hint}")
    with convert_read_errors(path, _HINT):
        try:
            frame = _parse_csv(data, separator, decimal)
        except _LongRows:
            raise UnreadableFile(f"path={path}: its rows have more fields than its header{_HINT}") from None
    if len(frame.columns) == 1 and any(mark in frame.columns[0] for mark in ";\t|"):
        raise UnreadableFile(f"path={path}: its one column is {_shorten(frame.columns[0])}{_HINT}")
    return frame


def _parse_csv(data: bytes, separator: str, decimal: str) -> "pd.DataFrame":
    """A CSV file's cells under the names of its first row.

    Pandas would make names unique, and take words such as NA out of a column, so that it looks whole.
    """
    import pandas as pd  # late: it takes as long as all else to import

    # Without index_col=False, rows longer than the header lose their first fields to an index.
    settings: dict[str, Any] = {"sep": separator, "index_col": False, "keep_default_na": False}
    names = pd.read_csv(BytesIO(data), header=None, nrows=1, dtype=str, na_filter=False, **settings)
    settings |= {"decimal": decimal, "na_values": [""], "low_memory": False}
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            return _with_names(pd.read_csv(BytesIO(data), **settings), names.iloc[0])
        except pd.errors.ParserWarning:
            raise _LongRows from None


def _read_parquet(path: str) -> "pd.DataFrame":
    """A Parquet file's columns, an index that pandas wrote among them."""
    import pyarrow.parquet as pq

    with convert_read_errors(path), user_file(path).open("rb") as file:
        frame = pq.ParquetFile(file).read(use_threads=False).to_pandas(ignore_metadata=True)
        return _with_names(frame, frame.columns)


def _with_names(frame: "pd.DataFrame", names: Iterable[object]) -> "pd.DataFrame":
    frame.columns = [str(name) for name in names]
    return frame
