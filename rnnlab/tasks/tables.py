"""Selection of the numeric columns of a user's CSV or Parquet file.

By default, every column that contains only numbers is used. Columns of dates, text or Boolean values are left
out. Columns without values or without a name are also left out. A message lists all columns that are left
out. A numeric column with some non-numeric cells causes an error, because only the user can decide whether to
correct the cells or leave the column out; `rnnlab.tasks.columns` finds these cells.
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
"""Pattern that matches the names that pandas and Excel give to an index column."""
MAX_NAMED = 8
"""Maximum number of column names in one message."""
_HINT = "; set task.separator and task.decimal to match the file"
_BARE = re.compile(r"(?!(?:null|true|false|nan|inf|on|off|yes|no)$)[A-Za-z_][A-Za-z0-9_]*")
"""Pattern that matches column names that require no quotes in a command-line override."""


@dataclass(frozen=True, eq=False)
class Table:
    """The columns of a user's table that are used for training.

    Attributes:
        names: Names of the columns.
        values: Finite float64 values, shape (rows, columns).
        left_out: Descriptions of the columns that are left out; empty if the user selected the columns.
    """

    names: list[str]
    values: Array
    left_out: list[str]


class _LongRows(Exception):
    """Error for a CSV file in which some rows have more fields than the header."""


def read_table(path: str | None, columns: list[str] | None, separator: str, decimal: str) -> Table:
    """Read a CSV or Parquet file, or the monthly sunspot numbers if `path` is None.

    Raises:
        ValueError: If the file cannot be read or a column cannot be used. The error message starts with the
            configuration key.
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

    def column(index: int) -> Column:
        with convert_read_errors(path or SUNSPOTS):  # pandas may decode strings only now
            return read_column(frame.iloc[:, index], decimal)

    if columns is not None:
        return _select_columns(names, column, columns, decimal, has_header)
    all_columns = [column(index) for index in range(len(names))]
    return _select_numeric(names, all_columns, path or SUNSPOTS, decimal, has_header)


def columns_override(names: Iterable[str]) -> str | None:
    """Return the command-line override that selects the columns, or None if a name cannot be quoted."""
    quoted_names = []
    for name in names:
        if not name.isprintable() or "\\" in name or "${" in name:
            return None
        quoted_names.append(name if _BARE.fullmatch(name) else '"' + name.replace('"', '\\"') + '"')
    return shlex.quote(f"task.columns=[{','.join(quoted_names)}]") if quoted_names else None


def _select_columns(
    names: list[str], read: Callable[[int], Column], columns: list[str], decimal: str, has_header: bool
) -> Table:
    """Return the selected columns in the order in which the user listed them."""
    values = []
    for name in columns:
        if columns.count(name) > 1:
            raise ValueError(f"columns={name}: listed more than once")
        if name not in names:
            raise ValueError(f"columns={name}: no such column; available: {_list_names(names)}")
        if names.count(name) > 1:
            raise ValueError(f"columns={name}: {_describe_duplicates(names, name)}")
        column = read(names.index(name))
        if column.numbers is None:
            raise ValueError(f"columns={name}: {_refusal_reason(column, decimal, has_header)}")
        values.append(column.numbers)
    return Table(list(columns), np.column_stack(values), [])


def _select_numeric(
    names: list[str], columns: list[Column], path: str, decimal: str, has_header: bool
) -> Table:
    """Return the columns that have a name and contain only numbers, and describe the others."""
    if has_header and _has_no_header(names, columns, decimal):
        override = columns_override(n for n, c in zip(names, columns, strict=True) if c.numbers is not None)
        remedy = f", or set {override} if this row is the header" if override else ""
        raise ValueError(
            f"path={path}: no header; the first row ({_list_names(names)}) contains values; "
            f"add a row of column names above it{remedy}"
        )
    training = [
        n for n, c in enumerate(columns) if c.numbers is not None and not NAMELESS.fullmatch(names[n])
    ]
    usable = [names[n] for n in training if names.count(names[n]) == 1]
    left_out = []
    for n, (name, column) in enumerate(zip(names, columns, strict=True)):
        if NAMELESS.fullmatch(name):
            left_out.append(f"column {n + 1} (no name)")
        elif column.kind.startswith("faulty"):
            problem = f"columns={name}: {_refusal_reason(column, decimal, has_header)}"
            override = columns_override(usable)
            raise ValueError(f"{problem}, or leave the column out with {override}" if override else problem)
        elif n not in training:
            first = "" if column.first is None else f", such as {_shorten(column.first[1])}"
            left_out.append(f"{_shorten(name)} ({column.kind}{first})")
        elif names.count(name) > 1:
            raise ValueError(f"columns={name}: {_describe_duplicates(names, name)}")
    if not training:
        raise ValueError(f"path={path}: no numeric column; available: {_list_names(names)}")
    values = np.column_stack([columns[n].numbers for n in training])  # type: ignore[misc]
    return Table([names[n] for n in training], values, left_out)


def _has_no_header(names: Sequence[str], columns: Sequence[Column], decimal: str) -> bool:
    """Return True if the first row appears to contain values instead of column names."""
    matches, numbers = [], 0
    for name, column in zip(names, columns, strict=True):
        numbers += (is_value := is_number(name, decimal) or is_number(name)) and "numbers" in column.kind
        if "numbers" in column.kind:
            matches.append(is_value or NAMELESS.fullmatch(name) is not None)
        elif "dates" in column.kind:
            matches.append(is_date(name))
        elif column.kind == "no values":
            matches.append(True)
        else:  # a word above words may be a name or a value
            matches.append(not is_value)
    return numbers > 0 and all(matches)


def _refusal_reason(column: Column, decimal: str, has_header: bool) -> str:
    """Explain why a column cannot be used and how to correct its cells."""
    if column.first is None:
        return "has no values"
    row, cell = column.first
    position = f"row {row + 1}{' below the header' if has_header else ''}"
    text = _shorten(cell) if cell.strip() else "empty"
    if column.kind == "faulty dates":
        return f"contains dates, but {position} is {text}; correct it"
    if column.kind != "faulty numbers":
        return f"contains {column.kind}, not numbers ({position} is {text})"
    remedy = "correct them" if column.faults > 1 else "correct it"
    other = "." if decimal == "," else ","
    if is_number(cell, other) and not is_number(cell, decimal):
        remedy = f"set \"task.decimal='{other}'\" to read such numbers, or {remedy}"
    count = f", the first of {column.faults} such cells" if column.faults > 1 else ""
    reason = ", not a finite number" if cell.strip() else ""
    return f"{position} is {text}{reason}{count}; {remedy}"


def _describe_duplicates(names: Sequence[str], name: str) -> str:
    numbers = [str(n + 1) for n, other in enumerate(names) if other == name]
    return f"columns {' and '.join(numbers)} have this name; rename all but one"


def _list_names(names: Sequence[str]) -> str:
    texts = [_shorten(name) for name in names[:MAX_NAMED]]
    return ", ".join([*texts, f"… ({len(names)} in total)"] if len(names) > MAX_NAMED else texts)


def _shorten(text: str) -> str:
    return repr(text) if len(text) <= 40 else f"{text[:40]!r}…"


def _read_csv(path: str, separator: str, decimal: str) -> "pd.DataFrame":
    with convert_read_errors(path):
        file = user_file(path)
        data = read_decompressed(file)
    if problem := encoding_problem(data, file):
        hint = "; rename it to *.parquet" if data.startswith(b"PAR1") else ""
        raise UnreadableFile(f"path={path}: {problem}{hint}")
    with convert_read_errors(path, _HINT):
        try:
            frame = _parse_csv(data, separator, decimal)
        except _LongRows:
            raise UnreadableFile(f"path={path}: its rows have more fields than its header{_HINT}") from None
    if len(frame.columns) == 1 and any(mark in frame.columns[0] for mark in ";\t|"):
        raise UnreadableFile(f"path={path}: only one column, {_shorten(frame.columns[0])}{_HINT}")
    return frame


def _parse_csv(data: bytes, separator: str, decimal: str) -> "pd.DataFrame":
    """Return the data frame read from a CSV file, with the first row as column names.

    With its default options, pandas would rename duplicate columns and treat words such as NA as missing
    values.
    """
    import pandas as pd  # late import: importing pandas takes as long as all other imports together

    # Without index_col=False, pandas turns the first fields of rows longer than the header into an index.
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
    """Return the data frame read from a Parquet file, with any index column written by pandas."""
    import pyarrow.parquet as pq

    with convert_read_errors(path), user_file(path).open("rb") as file:
        frame = pq.ParquetFile(file).read(use_threads=False).to_pandas(ignore_metadata=True)
        return _with_names(frame, frame.columns)


def _with_names(frame: "pd.DataFrame", names: Iterable[object]) -> "pd.DataFrame":
    frame.columns = [str(name) for name in names]
    return frame
