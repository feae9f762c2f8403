"""Declarations of the parameters of a cell."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Parameter:
    """Declaration of one parameter.

    Attributes:
        rows: Number of rows.
        columns: Number of columns.
        initializer: Entry of `Init` from which the parameter is drawn.
        gates: Names of the blocks of equal height into which the rows are divided; () for a single block.
    """

    rows: int
    columns: int
    initializer: Literal["W_hh", "W_xh", "b_h"]
    gates: tuple[str, ...] = ()
