"""Functions that read the user's data files, which must be regular files on this machine.

Parsing libraries receive an open file or its bytes, never a path. If pandas, for example, received a path, it
would download URLs and infer the compression format from the file name. Each error raised by a parsing
library is reported in one line.
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
"""Pattern that matches the start of a URL or network path (`zip::` or `\\\\host\\share`), but not `C:\\`.

The pattern requires only one slash after the URL scheme, because `Path` merges repeated slashes.
"""


class UnreadableFile(ValueError):
    """Error for a user's file that cannot be read; the message includes the reason."""


def is_address(path: str) -> bool:
    """Return True if a string is a URL of any scheme or a network path rather than a local path."""
    return ADDRESS.match(path) is not None


def user_file(path: str) -> Path:
    """Convert a string to the path of a local file; reject URLs, network paths, pipes and devices.

    Raises:
        OSError: If the path is not local, or exists but is neither a regular file nor a folder.
    """
    if is_address(path):
        raise OSError(EINVAL, "a URL or network path, not a local file; download it first")
    file = Path(path)
    if file.exists() and not (file.is_file() or file.is_dir()):
        raise OSError(EINVAL, "not a regular file")
    return file


@contextmanager
def convert_read_errors(path: str, hint: str = "") -> Iterator[None]:
    """Convert any error raised in the `with` block to an `UnreadableFile` error with a one-line message.

    Args:
        path: Path of the file, included in the error message.
        hint: Text appended to the error message unless the error is an OSError.

    Raises:
        UnreadableFile: If the `with` block raises an error. The message includes the reason for the error.
    """
    try:
        yield
    except UnreadableFile:
        raise
    except Exception as error:  # EOFError, BadZipFile, zlib.error, ArrowException, MemoryError, …
        suffix = "" if isinstance(error, OSError) else hint
        raise UnreadableFile(f"path={path}: cannot be read ({error_reason(error)}){suffix}") from None


def error_reason(error: Exception) -> str:
    """Return the reason for an error in one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, MemoryError):
        return "not enough memory"
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def read_decompressed(path: Path) -> bytes:
    """Return the bytes of a file; decompress .gz, .bz2 and .xz files and .zip archives with a single file."""
    data = path.read_bytes()
    decompress = _DECOMPRESS.get(path.suffix.lower())
    return data if decompress is None else decompress(data)


def _only_member(data: bytes) -> bytes:
    with zipfile.ZipFile(BytesIO(data)) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        if len(members) != 1:
            raise ValueError(f"zip archive of {len(members)} files; must contain exactly one file")
        return archive.read(members[0])


_DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
    ".zip": _only_member,
}
