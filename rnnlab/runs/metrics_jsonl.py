"""The file `metrics.jsonl`, with one JSON object per training step, starting at step 0.

Each JSON object, called a row, contains the step and the metrics by name.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from itertools import accumulate
from math import isfinite
from pathlib import Path
from typing import Any

from rnnlab.records import METRICS_FILE, STEPS_PER_SECOND, TIMING_COLUMNS, StepRecord
from rnnlab.runs.checkpoint import Prefix
from rnnlab.runs.files import LineFile

MAX_RUN_SECONDS = 1e9
"""Longest plausible duration of a run in seconds, about 30 years; a longer duration indicates damage."""
SEAL = 4096
"""Number of bytes covered by the tail checksum.

SEAL exceeds the length of any row. A rewritten row is detected because its `seconds` value differs.
"""
LAST_ROWS = 200_000
"""Number of bytes at the end of the file in which `last_rows` searches for rows."""


def parse_row(line: bytes) -> dict[str, Any] | None:
    """Return the row parsed from a line of the file, or None if the line is damaged."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or type(row.get("step")) is not int:
        return None
    return row if all(_is_value(value) for value in row.values()) else None


def last_rows(file: Path) -> Iterator[dict[str, Any]]:
    """Return an iterator over the complete rows near the end of the file, starting with the last row.

    Raises:
        OSError: If the file cannot be read.
    """
    with file.open("rb") as opened:
        opened.seek(max(0, opened.seek(0, 2) - LAST_ROWS))
        lines = opened.read().splitlines()
    return (row for line in reversed(lines) if (row := parse_row(line)) is not None)


def last_step(file: Path) -> int:
    """Return the step of the last row, or -1 if the file has no rows."""
    try:
        return next((int(row["step"]) for row in last_rows(file)), -1)
    except OSError:
        return -1


def _is_value(value: Any) -> bool:
    if type(value) is int:
        return abs(value) < 2**63
    return value is None or (isinstance(value, float) and isfinite(value))


def _valid_lines(written: bytes) -> Iterator[bytes]:
    """Yield all lines that precede the first damaged or missing row."""
    before = 0.0
    for step, line in enumerate(written[: written.rfind(b"\n") + 1].splitlines(keepends=True)):
        row = parse_row(line)
        seconds = None if row is None else row.get("seconds")
        if row is None or row["step"] != step or seconds is None or not before <= seconds < MAX_RUN_SECONDS:
            return
        before = seconds
        yield line


class MetricsWriter:
    """Writer that appends one row per step.

    When a resumed run repeats steps, the file may already contain rows for these steps. If the metrics of a
    repeated step are identical, the existing row, including its timings, is kept. The first row with
    different metrics and all later rows are replaced.

    Attributes:
        verified: Length and checksum of the verified beginning of the file: the rows before the checkpoint,
            the rows reproduced identically and the appended rows.
        count: Number of verified rows.
    """

    def __init__(self, folder: Path) -> None:
        """Open the file, and remove the first damaged row, if any, and all later rows."""
        self._path = folder / METRICS_FILE
        content = self._path.read_bytes() if self._path.is_file() else b""
        self._existing_lines = list(_valid_lines(content))
        self._file = LineFile(self._path, sum(map(len, self._existing_lines)))
        self.count, self.verified = 0, Prefix()
        self._set_clock(json.loads(self._existing_lines[-1])["seconds"] if self._existing_lines else 0.0)

    def _set_clock(self, before: float) -> None:
        self._clock = time.perf_counter()
        self._began = self._clock - before

    @property
    def seconds(self) -> float:
        """Return the run's duration in seconds, excluding the time between interruption and resumption."""
        return time.perf_counter() - self._began

    def records(self, rows: Prefix) -> list[StepRecord]:
        """Return the records in `rows`, the verified beginning of the file.

        Raises:
            ValueError: If `rows` ends in the middle of a row.
        """
        lines = map(json.loads, self._existing_lines[: self._count(rows)])
        return [StepRecord(row["step"], _metrics(row)) for row in lines]

    def _count(self, rows: Prefix) -> int:
        return [0, *accumulate(map(len, self._existing_lines))].index(rows.size)

    def resume_from(self, rows: Prefix) -> None:
        """Continue after `rows`, the verified beginning of the file."""
        self.count, self.verified = self._count(rows), rows

    def restart(self) -> None:
        """Restart from the beginning with an empty file.

        Raises:
            OSError: If the file cannot be written.
        """
        self.count, self.verified = 0, Prefix()
        self.drop_unverified()
        self._set_clock(0.0)

    def differs_from_existing(self, record: StepRecord) -> bool:
        """Return True if the existing row for the next step differs from `record`.

        Rows may differ because of damage or because another machine computed the existing metrics.
        """
        existing = self._next_existing
        return existing is not None and existing != _line_at_same_time(record, existing)

    def write(self, record: StepRecord) -> None:
        """Append the row of a step to the file immediately, unless the row already exists.

        Raises:
            OSError: If the row cannot be written.
        """
        now, line = time.perf_counter(), self._next_existing
        if line is None:
            line = _line(record, round(now - self._began, 4), round(1 / max(now - self._clock, 1e-9), 1))
            self._file.write(line)
        self.verified.add(line)
        self.count += 1
        self._clock = now

    @property
    def _next_existing(self) -> bytes | None:
        return self._existing_lines[self.count] if self.count < len(self._existing_lines) else None

    def drop_unverified(self) -> bool:
        """Remove all rows after the verified part of the file, and return True if any were removed.

        Raises:
            OSError: If the file cannot be written.
        """
        if self._next_existing is None:
            return False
        del self._existing_lines[self.count :]
        before, self._file = self._file, LineFile(self._path, self.verified.size)
        before.close()
        return True

    def sync(self) -> None:
        """Flush all written data to disk."""
        self._file.sync()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _line(record: StepRecord, seconds: float, speed: float | None) -> bytes:
    row = {"step": record.step, "seconds": seconds, **record.metrics, STEPS_PER_SECOND: speed}
    return f"{json.dumps(row, allow_nan=False)}\n".encode()


def _line_at_same_time(record: StepRecord, existing: bytes) -> bytes:
    """Return the line for a record, with the timings copied from an existing line."""
    row = json.loads(existing)
    return _line(record, row["seconds"], row.get(STEPS_PER_SECOND))


def _metrics(row: Mapping[str, Any]) -> dict[str, float | None]:
    return {name: value for name, value in row.items() if name not in ("step", *TIMING_COLUMNS)}


class MetricsReader:
    """Reader of a growing `metrics.jsonl` that returns each row once.

    If existing rows have been replaced since the last call, the reader returns all rows again.

    Attributes:
        position: Number of bytes read so far.
        tail: SHA-256 checksum of the last bytes read, used to detect replaced rows.
        restarted: True if the reader has detected replaced rows.
    """

    def __init__(self, folder: Path, position: int = 0, tail: str = "") -> None:
        self._path = folder / METRICS_FILE
        self.position, self.tail = position, tail
        self.restarted = False

    def new_rows(self, at_most: int = -1) -> list[dict[str, Any]]:
        """Return the undamaged rows in the complete lines that have been added since the last call.

        The method reads at most `at_most` bytes; -1 means no limit.
        """
        start = max(0, self.position - SEAL)
        try:
            with self._path.open("rb") as file:
                file.seek(start)
                last = file.read(self.position - start)
                if self.position and self.tail != hashlib.sha256(last).hexdigest():
                    self.position, self.restarted, last = 0, True, b""
                    file.seek(0)
                written = file.read(at_most)
        except (FileNotFoundError, IsADirectoryError):
            return []
        complete = written[: written.rfind(b"\n") + 1]
        self.position += len(complete)
        self.tail = hashlib.sha256((last + complete[-SEAL:])[-SEAL:]).hexdigest()
        return [row for line in complete.splitlines() if (row := parse_row(line)) is not None]
