"""`run.log` and `sweep.log`: what was said, with the time, and what the libraries warn of."""

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
    """Appends to a file, from when it is opened on; what was said before is kept until then."""

    def __init__(self) -> None:
        super().__init__()
        formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
        formatter.converter = time.gmtime
        self.setFormatter(formatter)
        self._file: LineFile | None = None
        self._before: list[str] = []

    def open(self, path: Path) -> None:
        """Write into a file, the first that is opened, or nowhere if it cannot be: nothing depends on it."""
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
        with suppress(OSError):  # who fills the run's own files tells of a full disk
            self._file.append(line)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
        super().close()


@contextmanager
def capture_log() -> Iterator[LogFile]:
    """Have what this process says and warns of, its libraries' warnings included, go to a log as well."""
    log, root = LogFile(), logging.getLogger()
    level, show = LOG.level, warnings.showwarning

    def showwarning(message, category, *where, **more) -> None:  # type: ignore[no-untyped-def]
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
