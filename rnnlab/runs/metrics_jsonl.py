"""`metrics.jsonl`: a row for every step from 0 on, an object of the step and the metrics by name."""

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
"""Seconds of a run: what is longer, some thirty years, is damage."""
SEAL = 4096
"""Bytes; more than a row, whose `seconds` are others when it is written again."""
LAST_ROWS = 200_000
"""Bytes in which the last rows are looked for."""


def parse_row(line: bytes) -> dict[str, Any] | None:
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
        opened.seek(max(0, opened.seek(0, 2) - LAST_ROWS))
        lines = opened.read().splitlines()
    return (row for line in reversed(lines) if (row := parse_row(line)) is not None)


def last_step(file: Path) -> int:
    """The step of the last row; -1 where there is none."""
    try:
        return next((int(row["step"]) for row in last_rows(file)), -1)
    except OSError:
        return -1


def _is_value(value: Any) -> bool:
    if type(value) is int:
        return abs(value) < 2**63
    return value is None or (isinstance(value, float) and isfinite(value))


def _valid_lines(written: bytes) -> Iterator[bytes]:
    """The lines of the rows up to the first that is damaged or missing."""
    before = 0.0
    for step, line in enumerate(written[: written.rfind(b"\n") + 1].splitlines(keepends=True)):
        row = parse_row(line)
        seconds = None if row is None else row.get("seconds")
        if row is None or row["step"] != step or seconds is None or not before <= seconds < MAX_RUN_SECONDS:
            return
        before = seconds
        yield line


class MetricsWriter:
    """Appends rows, a step's once.

    Of a run that goes on, rows may stand already of the steps that are made once more. One that comes out the
    same stays, with its time. From the first on that does not, they are cut off and written again.

    Attributes:
        verified: What is known to be right: what led to the checkpoint, came out the same, or was appended.
        count: The rows of that.
    """

    def __init__(self, folder: Path) -> None:
        """Open the file; what follows the first damaged row is cut off."""
        self._path = folder / METRICS_FILE
        whole = self._path.read_bytes() if self._path.is_file() else b""
        self._existing_lines = list(_valid_lines(whole))
        self._file = LineFile(self._path, sum(map(len, self._existing_lines)))
        self.count, self.verified = 0, Prefix()
        self._set_clock(json.loads(self._existing_lines[-1])["seconds"] if self._existing_lines else 0.0)

    def _set_clock(self, before: float) -> None:
        self._clock = time.perf_counter()
        self._began = self._clock - before

    @property
    def seconds(self) -> float:
        """How long the run has taken, without the time between its processes."""
        return time.perf_counter() - self._began

    def records(self, rows: Prefix) -> list[StepRecord]:
        """What stands at the beginning of the file.

        Raises:
            ValueError: It does not end with a row.
        """
        lines = map(json.loads, self._existing_lines[: self._count(rows)])
        return [StepRecord(row["step"], _metrics(row)) for row in lines]

    def _count(self, rows: Prefix) -> int:
        return [0, *accumulate(map(len, self._existing_lines))].index(rows.size)

    def resume_from(self, rows: Prefix) -> None:
        """Go on behind these rows, which are right."""
        self.count, self.verified = self._count(rows), rows

    def restart(self) -> None:
        """Begin again with an empty file.

        Raises:
            OSError: It cannot be written.
        """
        self.count, self.verified = 0, Prefix()
        self.drop_unverified()
        self._set_clock(0.0)

    def differs_from_existing(self, record: StepRecord) -> bool:
        """Whether another row stands in the place of the next, of another machine or damaged."""
        existing = self._next_existing
        return existing is not None and existing != _line_at_same_time(record, existing)

    def write(self, record: StepRecord) -> None:
        """Append a step's row, at once, unless it stands.

        Raises:
            OSError: It could not be written.
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
        """Cut off the rows that stand and are not known to be right; return whether there were any.

        Raises:
            OSError: The file cannot be written.
        """
        if self._next_existing is None:
            return False
        del self._existing_lines[self.count :]
        before, self._file = self._file, LineFile(self._path, self.verified.size)
        before.close()
        return True

    def sync(self) -> None:
        """Have what is written reach the disk itself."""
        self._file.sync()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _line(record: StepRecord, seconds: float, speed: float | None) -> bytes:
    row = {"step": record.step, "seconds": seconds, **record.metrics, STEPS_PER_SECOND: speed}
    return f"{json.dumps(row, allow_nan=False)}\n".encode()


def _line_at_same_time(record: StepRecord, existing: bytes) -> bytes:
    """The line of a step at the time of the one that stands."""
    row = json.loads(existing)
    return _line(record, row["seconds"], row.get(STEPS_PER_SECOND))


def _metrics(row: Mapping[str, Any]) -> dict[str, float | None]:
    return {name: value for name, value in row.items() if name not in ("step", *TIMING_COLUMNS)}


class MetricsReader:
    """Reads a growing `metrics.jsonl`, each row once; all of it again where what was read was replaced.

    Attributes:
        position: Bytes read so far.
        tail: SHA-256 of the last of these bytes, by which it is noticed that they were replaced.
        restarted: Whether that was noticed.
    """

    def __init__(self, folder: Path, position: int = 0, tail: str = "") -> None:
        self._path = folder / METRICS_FILE
        self.position, self.tail = position, tail
        self.restarted = False

    def new_rows(self, at_most: int = -1) -> list[dict[str, Any]]:
        """The complete rows written since the last call, of the next `at_most` bytes; not damaged ones."""
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
