"""Classification of table columns as numbers, numbers with faulty cells, or other content."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rnnlab.arrays import Array

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["numbers", "faulty numbers", "dates", "faulty dates", "text", "booleans", "no values"]

MAX_NUMBER_LENGTH = 64
"""Maximum number of characters in a number; a longer cell is classified as text."""
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*", re.ASCII | re.IGNORECASE)
_NOT_FINITE = re.compile(r"\s*[+-]?(nan|inf|infinity)\s*", re.IGNORECASE)
_MISSING = re.compile(r"\s*(|#?n/?a|nan|null|none|-+|\.+|\?+)\s*", re.IGNORECASE)
_RESEMBLING_NUMBER = re.compile(
    r"""\s*[^\w\s.,+-]?\s*             # a symbol such as $
    [+-]?\d+([., '\u00a0\u202f]\d+)?   # a decimal comma …
    ([, '\u00a0\u202f]?\d{3})*([.,]\d+)?(e[+-]?\d+)?  # … or grouped thousands
    \s*[^\W\d_]{0,4}[^\w\s.,:-]?\s*    # a unit
    """,
    re.VERBOSE | re.IGNORECASE,
)
_DATE = re.compile(
    r"""\s*
    (?: (?: \d{4}[-/.]\d{1,2}([-/.]\d{1,2})? | \d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2}) | \d{1,2}[-/]\d{4} )
        (?: [T ]\s*\d{1,2}:\d\d(:\d\d([.,]\d+)?)? )?
      | \d{1,2}:\d\d(:\d\d([.,]\d+)?)?
    )
    \s*(Z|UTC|AM|PM|[+-]\d\d:?\d\d)?\s*""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, eq=False)
class Column:
    """A column of a table.

    Attributes:
        kind: Kind of content, such as numbers or dates.
        numbers: Values as float64 if all cells are finite numbers; otherwise None.
        first: Row index (from 0) and content of the first faulty cell or, in a column without faults, of an
            example cell.
        faults: Number of faulty cells.
    """

    kind: Kind
    numbers: Array | None = None
    first: tuple[int, str] | None = None
    faults: int = 0


def read_column(values: "pd.Series", decimal: str) -> Column:
    """Classify a column; a column of strings counts as numeric if every string is a number."""
    match values.dtype.kind:
        case "i" | "u" | "f":
            return _number_column(values.to_numpy(dtype=np.float64), values.tolist())
        case "b":
            return Column("booleans", first=_cell(values.tolist(), 0))
        case "M" | "m":
            return Column("dates", first=_cell(values.tolist(), 0))
    cells = values.astype(object).tolist()
    numbers = [_number(cell, decimal) for cell in cells]
    if all(number is not None for number in numbers):
        return _number_column(np.array(numbers, np.float64), cells)
    if all(map(_is_missing, cells)):
        return Column("no values")
    is_date_cell = [_is_date(cell) for cell in cells]
    if all(is_date_cell):
        return Column("dates", first=_cell(cells, 0))
    is_finite = [number is not None and np.isfinite(number) for number in numbers]
    if any(is_date_cell) and sum(is_date_cell) >= sum(is_finite):
        row = is_date_cell.index(False)
        return Column("faulty dates", first=_cell(cells, row), faults=is_date_cell.count(False))
    if any(is_finite) or any(map(_resembles_number, cells)):
        row = is_finite.index(False)
        return Column("faulty numbers", first=_cell(cells, row), faults=is_finite.count(False))
    row = next(n for n, cell in enumerate(cells) if not _is_missing(cell))
    return Column("text", first=_cell(cells, row))


def is_number(text: str, decimal: str = ".") -> bool:
    """Return True if the entire string is a number."""
    return _number(text, decimal) is not None


def is_date(text: str) -> bool:
    """Return True if a string is a date or a time written in digits."""
    return _is_date(text) and not is_number(text)


def _number_column(numbers: Array, cells: Sequence[Any]) -> Column:
    finite = np.isfinite(numbers)
    if finite.all():
        return Column("numbers", numbers)
    if np.isnan(numbers).all():
        return Column("no values")
    return Column("faulty numbers", first=_cell(cells, int(np.argmin(finite))), faults=int((~finite).sum()))


def _number(cell: Any, decimal: str) -> float | None:
    """Return the number in a cell as a float, or None if the cell is not a number.

    The result is inf on overflow, and NaN for a cell that is NaN.
    """
    if isinstance(cell, str):
        text = cell if decimal == "." else cell.replace(".", "?").replace(decimal, ".")
        return float(text) if _NUMBER.fullmatch(text) or _NOT_FINITE.fullmatch(text) else None
    if isinstance(cell, bool | np.bool_) or not isinstance(cell, Real | Decimal):
        return None
    try:
        return float(cell)
    except OverflowError:
        return float("inf")
    except ValueError:  # signalling NaN of Decimal
        return float("nan")


def _is_missing(cell: Any) -> bool:
    if isinstance(cell, str):
        return _MISSING.fullmatch(cell) is not None
    return cell is None or ((number := _number(cell, ".")) is not None and number != number)


def _resembles_number(cell: Any) -> bool:
    return (
        isinstance(cell, str) and len(cell) <= MAX_NUMBER_LENGTH and bool(_RESEMBLING_NUMBER.fullmatch(cell))
    )


def _is_date(cell: Any) -> bool:
    if isinstance(cell, str):
        return _DATE.fullmatch(cell) is not None and not _NUMBER.fullmatch(cell)
    return isinstance(cell, date | time | timedelta)


def _cell(cells: Sequence[Any], row: int) -> tuple[int, str]:
    """Return the row index and the content of a cell; the content of a missing cell is an empty string."""
    cell = cells[row]
    return row, "" if cell is None or (isinstance(cell, float) and cell != cell) else str(cell)
