"""Standard streams that drop output that cannot be written, instead of raising an error.

The reader may have exited (`| head`), the disk may be full, or the terminal connection may be lost. In these
cases output is dropped, so that no run fails because its output cannot be written.
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
    """A file wrapper that accepts all output and drops data that cannot be written.

    Attributes:
        lost: First error that caused output to be dropped, or None.
    """

    lost: OSError | None = None

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write data, or drop the data if writing fails."""
        while True:
            try:
                return os.write(self.fileno(), data)
            except BlockingIOError:  # another process has set the terminal to non-blocking
                select([], [self], [])
            except OSError as error:
                self.lost = self.lost or error
                return memoryview(data).nbytes


def make_streams_lossy() -> None:
    """Make the standard streams of this process lossy and replace closed streams with /dev/null.

    Otherwise the next opened file would reuse the descriptor of a closed stream and receive the output of
    that stream.
    """
    for number, name in enumerate(STANDARD):
        descriptor = number
        if not _is_open(number):
            _open_null(number)
        elif getattr(sys, name) is None:  # closed at the start; another file has its descriptor
            descriptor = os.open(os.devnull, os.O_RDWR)
        if name != "stdin":
            setattr(
                sys, name, _lossy_stream(descriptor, getattr(sys, name), "replace" if number == 1 else None)
            )


def output_problem() -> OSError | None:
    """Return the error that caused output loss, or None if nothing was lost or the reader has exited."""
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
    os.dup2(opened, number)  # also makes it inheritable
    if opened != number:
        os.close(opened)
    else:
        os.set_inheritable(number, True)
