"""Standard streams that raise no error when writing fails, but discard the output.

Writing fails if the reading process has exited (`| head`), the disk is full, or the connection to the
terminal is lost. Output that cannot be written is discarded, and training runs continue.
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
    """A file that accepts all output and discards data that cannot be written.

    Attributes:
        lost: First error that caused output to be discarded, or None.
    """

    lost: OSError | None = None

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write the data, or discard it if writing fails."""
        while True:
            try:
                return os.write(self.fileno(), data)
            except BlockingIOError:  # another process has set the terminal to non-blocking
                select([], [self], [])
            except OSError as error:
                self.lost = self.lost or error
                return memoryview(data).nbytes


def make_streams_lossy() -> None:
    """Make standard streams discard output that cannot be written; reopen closed streams on /dev/null.

    A closed standard stream must be replaced, because the next file to be opened would reuse its file
    descriptor and receive output intended for the stream.
    """
    for number, name in enumerate(STANDARD):
        descriptor = number
        if not _is_open(number):
            _open_null(number)
        elif getattr(sys, name) is None:  # closed at startup; another file now uses its descriptor
            descriptor = os.open(os.devnull, os.O_RDWR)
        if name != "stdin":
            setattr(
                sys, name, _lossy_stream(descriptor, getattr(sys, name), "replace" if number == 1 else None)
            )


def output_problem() -> OSError | None:
    """Return the error that caused a loss of output; None without loss or if the reading process exited."""
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
    os.dup2(opened, number)  # dup2 also makes the descriptor inheritable
    if opened != number:
        os.close(opened)
    else:
        os.set_inheritable(number, True)
