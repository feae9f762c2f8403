"""Standard streams whose loss costs the output and nothing else.

A reader may leave (`| head`), a disk be full, a terminal vanish with its connection: what is written then is
dropped, so that no run ends over a line that nobody reads.
"""

import os
import sys
from io import BufferedWriter, FileIO, TextIOWrapper
from select import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STANDARD = ("stdin", "stdout", "stderr")


class _LossyFile(FileIO):
    """A file that takes everything.

    Attributes:
        lost: Why something was dropped.
    """

    lost: OSError | None = None

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write, or drop what cannot be written."""
        while True:
            try:
                return os.write(self.fileno(), data)
            except BlockingIOError:  # another process has set the terminal to non-blocking
                select([], [self], [])
            except OSError as error:
                self.lost = self.lost or error
                return memoryview(data).nbytes


def make_streams_lossy() -> None:
    """Make this process's standard streams lossy; one that is closed becomes /dev/null.

    Else the next file that is opened would take its number, and get what a library writes there.
    """
    for number, name in enumerate(STANDARD):
        taken = number
        if not _is_open(number):
            _open_null(number)
        elif getattr(sys, name) is None:  # closed at the start, and its number is another file's by now
            taken = os.open(os.devnull, os.O_RDWR)
        if name != "stdin":
            setattr(sys, name, _lossy_stream(taken, getattr(sys, name), "replace" if number == 1 else None))


def output_problem() -> OSError | None:
    """Why what was printed did not arrive; None if it did, or if its reader has left."""
    if sys.stdout is None:
        return None
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    lost = raw.lost if isinstance(raw, _LossyFile) else None
    return None if isinstance(lost, BrokenPipeError) else lost


def _lossy_stream(number: int, before: TextIOWrapper | None, errors: str | None) -> TextIOWrapper:
    encoding = before.encoding if before is not None else "utf-8"
    errors = errors or (before.errors if before is not None else "backslashreplace")
    raw = _LossyFile(number, "w", closefd=False)
    return TextIOWrapper(BufferedWriter(raw), encoding, errors, line_buffering=True)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _open_null(number: int) -> None:
    opened = os.open(os.devnull, os.O_RDWR)
    os.dup2(opened, number)  # which makes it inheritable too
    if opened != number:
        os.close(opened)
    else:
        os.set_inheritable(number, True)
