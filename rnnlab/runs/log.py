"""The log files `run.log` and `sweep.log`, which contain timestamped messages and Python warnings."""

import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rnnlab.runs.files import LineFile
from rnnlab.text import sanitize

RUN_LOG = "run.log"
SWEEP_LOG = "sweep.log"
LOG = logging.getLogger("rnnlab")


class LogFile(logging.Handler):
    """Log handler that appends messages to a file, and buffers messages until the file is opened."""

    def __init__(self) -> None:
        super().__init__()
        formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
        formatter.converter = time.gmtime
        self.setFormatter(formatter)
        self._file: LineFile | None = None
        self._before: list[str] = []

    def open(self, path: Path) -> None:
        """Open the log file, unless a log file is already open, and write the buffered messages.

        If the file cannot be opened, the buffered messages are discarded.
        """
        if self._file is not None:
            return
        with suppress(OSError):
            self._file = LineFile(path)
            for line in self._before:
                self._file.append(line)
        self._before.clear()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        line = sanitize(" ".join(self.format(record).splitlines()))
        if self._file is None:
            self._before.append(line)
            return
        with suppress(OSError):  # the writer of the run's other files reports a full disk
            self._file.append(line)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
        super().close()


@contextmanager
def capture_log() -> Iterator[LogFile]:
    """Copy all log messages and Python warnings, including those from libraries, to a log file."""
    log, root = LogFile(), logging.getLogger()
    level, show = LOG.level, warnings.showwarning

    def showwarning(message, category, *where, **more) -> None:  # type: ignore[no-untyped-def]
        if log in root.handlers:
            LOG.warning("%s: %s", category.__name__, message)
        show(message, category, *where, **more)

    root.addHandler(log)
    LOG.setLevel(logging.INFO)
    warnings.showwarning = showwarning
    try:
        yield log
    finally:
        warnings.showwarning = show
        LOG.setLevel(level)
        root.removeHandler(log)
        log.close()


def drop_log_files() -> None:
    """Stop copying messages to the log files of the process that has forked this process."""
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, LogFile)]:
        root.removeHandler(handler)
