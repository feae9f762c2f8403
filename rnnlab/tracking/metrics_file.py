"""`metrics.jsonl`: a row for every step from 0 on, an object of the step and the metrics by name."""

import json
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Any

from rnnlab.records import METRICS_FILE

TAIL = 200_000
"""Bytes in which the last rows are looked for."""


def row_of(line: bytes) -> dict[str, Any] | None:
    """A line's row; None where it is damaged."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or type(row.get("step")) is not int:
        return None
    return row if all(_is_value(value) for value in row.values()) else None


def last_rows(file: Path) -> Iterator[dict[str, Any]]:
    """The whole rows at the end of the file, the last first.

    Raises:
        OSError: It cannot be read.
    """
    with file.open("rb") as opened:
        opened.seek(max(0, opened.seek(0, 2) - TAIL))
        lines = opened.read().splitlines()
    return (row for line in reversed(lines) if (row := row_of(line)) is not None)


def last_step(file: Path) -> int:
    """The step of the last row; -1 where there is none."""
    try:
        return next((int(row["step"]) for row in last_rows(file)), -1)
    except OSError:
        return -1


def _is_value(value: Any) -> bool:
    if isinstance(value, int):
        return abs(value) < 2**63
    return value is None or (isinstance(value, float) and isfinite(value))


def standing_rows(written: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows up to the first that is damaged or missing, each with the place where its line ends."""
    end = 0
    for step, line in enumerate(written[: written.rfind(b"\n") + 1].splitlines(keepends=True)):
        row, end = row_of(line), end + len(line)
        if row is None or row["step"] != step or row.get("seconds") is None:
            return
        yield end, row


class MetricsReader:
    """Reads a growing `metrics.jsonl`, each row once.

    Attributes:
        position: Bytes read so far.
    """

    def __init__(self, folder: Path, position: int = 0) -> None:
        self._path = folder / METRICS_FILE
        self.position = position

    def new_rows(self, at_most: int = -1) -> list[dict[str, Any]]:
        """The complete rows written since the last call, of the next `at_most` bytes; not damaged ones."""
        try:
            with self._path.open("rb") as file:
                if self.position > file.seek(0, 2):  # what was damaged has been cut off
                    self.position = 0
                file.seek(self.position)
                written = file.read(at_most)
        except (FileNotFoundError, IsADirectoryError):
            return []
        complete = written[: written.rfind(b"\n") + 1]
        self.position += len(complete)
        return [row for line in complete.splitlines() if (row := row_of(line)) is not None]
