"""Compiled form of the sum by symbol."""

from typing import Any

from rnnlab.engine.compiled.elementary import inlined


@inlined
def add_columns(columns: Any, symbols: Any, out: Any) -> None:
    """Add column j of `columns`, shape (R, N), to column symbols[j] of `out`, shape (R, X)."""
    for r in range(columns.shape[0]):
        for j in range(columns.shape[1]):
            out[r, symbols[j]] += columns[r, j]
