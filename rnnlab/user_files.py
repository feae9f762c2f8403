"""Files that a user names: regular files on this machine, read by whatever library knows their format.

No path reaches such a library: pandas, for one, would fetch an address, and guess a compression from a
suffix. It gets the opened file or its bytes, and whatever it raises over them becomes one line.
"""

import bz2
import gzip
import lzma
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EINVAL
from io import BytesIO
from pathlib import Path

ADDRESS = re.compile(
    r"[a-z][a-z0-9+.-]+(?::/|::)|(?:data|file|https?|ftps?|s3|gs|memory):|\\\\", re.IGNORECASE
)
"""How addresses begin, `zip::` and Windows' `\\\\host\\share` among them; `C:\\` is none.

One slash suffices, as `Path` leaves no more of them.
"""


class UnreadableFile(ValueError):
    """A user's file cannot be read; the message says why."""


def is_address(path: str) -> bool:
    """Whether a text is the address of something that is elsewhere, of any scheme."""
    return ADDRESS.match(path) is not None


def user_file(path: str) -> Path:
    """A file that a user names; an address is not opened, a pipe would be waited for, a device has no end.

    Raises:
        OSError: It is something else than a file.
    """
    if is_address(path):
        raise OSError(EINVAL, "an address; only files on this machine are opened, so download it first")
    found = Path(path)
    if found.exists() and not (found.is_file() or found.is_dir()):
        raise OSError(EINVAL, "no regular file")
    return found


@contextmanager
def convert_read_errors(path: str, hint: str = "") -> Iterator[None]:
    """Read a user's file with a foreign library; whatever that raises becomes one line.

    Args:
        path: The file.
        hint: What to add to the reasons of a parser.

    Raises:
        UnreadableFile: With the reason in the reader's words.
    """
    try:
        yield
    except UnreadableFile:
        raise
    except Exception as error:  # EOFError, BadZipFile, zlib.error, ArrowException, MemoryError … of any kind
        added = "" if isinstance(error, OSError) else hint
        raise UnreadableFile(f"path={path}: cannot be read ({error_reason(error)}){added}") from None


def error_reason(error: Exception) -> str:
    """Why something failed, as its library says it, in one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, MemoryError):
        return "not enough memory"
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def read_decompressed(path: Path) -> bytes:
    """A file's bytes, decompressed where its suffix names gzip, bzip2, xz or a zip archive of one file."""
    data = path.read_bytes()
    decompress = _DECOMPRESS.get(path.suffix.lower())
    return data if decompress is None else decompress(data)


def _only_member(data: bytes) -> bytes:
    with zipfile.ZipFile(BytesIO(data)) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        if len(members) != 1:
            raise ValueError(f"a zip archive of {len(members)} files; it must hold one")
        return archive.read(members[0])


_DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
    ".zip": _only_member,
}
