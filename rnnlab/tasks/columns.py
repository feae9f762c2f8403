"""What a column of a table holds: numbers to train with, something else, or numbers that some cells spoil."""

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

Kind = Literal["numbers", "spoilt numbers", "dates", "spoilt dates", "texts", "truth values", "no values"]

LONGEST_NUMBER = 64
"""Characters; longer cells are texts."""
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*", re.ASCII | re.IGNORECASE)
_NOT_FINITE = re.compile(r"\s*[+-]?(nan|inf|infinity)\s*", re.IGNORECASE)
_MISSING = re.compile(r"\s*(|#?n/?a|nan|null|none|-+|\.+|\?+)\s*", re.IGNORECASE)
_LIKE_A_NUMBER = re.compile(
    r"""\s*[^\w\s.,+-]?\s*             # a sign such as $
    [+-]?\d+([., '\u00a0\u202f]\d+)?   # with a decimal comma …
    ([, '\u00a0\u202f]?\d{3})*([.,]\d+)?(e[+-]?\d+)?  # … or thousands apart
    \s*[^\W\d_]{0,4}[^\w\s.,:-]?\s*    # and a unit
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
        kind: What it holds.
        numbers: Its values in float64, where it holds nothing but finite numbers.
        first: Row, counted from 0, and content of the first cell that is at fault, or that shows the kind.
        faults: How many cells are.
    """

    kind: Kind
    numbers: Array | None = None
    first: tuple[int, str] | None = None
    faults: int = 0


def read_column(values: "pd.Series", decimal: str) -> Column:
    """What a column holds; numbers in texts count where the whole column is of them."""
    match values.dtype.kind:
        case "i" | "u" | "f":
            return _of_numbers(values.to_numpy(dtype=np.float64), values.tolist())
        case "b":
            return Column("truth values", first=_cell(values.tolist(), 0))
        case "M" | "m":
            return Column("dates", first=_cell(values.tolist(), 0))
    cells = values.astype(object).tolist()
    numbers = [_number(cell, decimal) for cell in cells]
    if all(number is not None for number in numbers):
        return _of_numbers(np.array(numbers, np.float64), cells)
    if all(map(_is_missing, cells)):
        return Column("no values")
    dated = [_is_date(cell) for cell in cells]
    if all(dated):
        return Column("dates", first=_cell(cells, 0))
    plain = [number is not None and np.isfinite(number) for number in numbers]
    if any(dated) and sum(dated) >= sum(plain):
        return Column("spoilt dates", first=_cell(cells, dated.index(False)), faults=dated.count(False))
    if any(plain) or any(map(_is_like_a_number, cells)):
        return Column("spoilt numbers", first=_cell(cells, plain.index(False)), faults=plain.count(False))
    return Column(
        "texts", first=_cell(cells, next(n for n, cell in enumerate(cells) if not _is_missing(cell)))
    )


def is_number(text: str, decimal: str = ".") -> bool:
    """Whether a text is a number and nothing else."""
    return _number(text, decimal) is not None


def is_date(text: str) -> bool:
    """Whether a text is a date or a time in digits."""
    return _is_date(text) and not is_number(text)


def _of_numbers(numbers: Array, cells: Sequence[Any]) -> Column:
    finite = np.isfinite(numbers)
    if finite.all():
        return Column("numbers", numbers)
    if np.isnan(numbers).all():
        return Column("no values")
    return Column("spoilt numbers", first=_cell(cells, int(np.argmin(finite))), faults=int((~finite).sum()))


def _number(cell: Any, decimal: str) -> float | None:
    """A cell as a float, infinite where it is too large for one, NaN where it says so; None for no number."""
    if isinstance(cell, str):
        text = cell if decimal == "." else cell.replace(".", "?").replace(decimal, ".")
        return float(text) if _NUMBER.fullmatch(text) or _NOT_FINITE.fullmatch(text) else None
    if isinstance(cell, bool | np.bool_) or not isinstance(cell, Real | Decimal):
        return None
    try:
        return float(cell)
    except OverflowError:
        return float("inf")
    except ValueError:  # a signalling NaN of Decimal
        return float("nan")


def _is_missing(cell: Any) -> bool:
    if isinstance(cell, str):
        return _MISSING.fullmatch(cell) is not None
    return cell is None or ((number := _number(cell, ".")) is not None and number != number)


def _is_like_a_number(cell: Any) -> bool:
    return isinstance(cell, str) and len(cell) <= LONGEST_NUMBER and bool(_LIKE_A_NUMBER.fullmatch(cell))


def _is_date(cell: Any) -> bool:
    if isinstance(cell, str):
        return _DATE.fullmatch(cell) is not None and not _NUMBER.fullmatch(cell)
    return isinstance(cell, date | time | timedelta)


def _cell(cells: Sequence[Any], row: int) -> tuple[int, str]:
    """Of a row; without content where the file has none, which pandas has as a float that is no number."""
    cell = cells[row]
    return row, "" if cell is None or (isinstance(cell, float) and cell != cell) else str(cell)
