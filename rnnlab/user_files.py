"""Reading of the user's data files, which must be regular files on this machine.

Parsing libraries receive the opened file or its bytes, never a path. Given a path, pandas would, for example,
download from a URL and infer a compression format from the suffix. Each library error is reported in one
line.
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
"""Pattern of the start of an address, including `zip::` and Windows' `\\\\host\\share` but not `C:\\`.

A single slash after the scheme suffices because `Path` merges repeated slashes.
"""


class UnreadableFile(ValueError):
    """Error for a user's file that cannot be read; the message gives the reason."""


def is_address(path: str) -> bool:
    """Return True if a text is a URL of any scheme or a network path rather than a local path."""
    return ADDRESS.match(path) is not None


def user_file(path: str) -> Path:
    """Return the path of a user's file; refuse URLs, network paths, pipes and devices.

    Raises:
        OSError: The path is neither a regular file nor a folder.
    """
    if is_address(path):
        raise OSError(EINVAL, "an address, not a local file; download it first")
    file = Path(path)
    if file.exists() and not (file.is_file() or file.is_dir()):
        raise OSError(EINVAL, "not a regular file")
    return file


@contextmanager
def convert_read_errors(path: str, hint: str = "") -> Iterator[None]:
    """Convert any error inside the block into a one-line `UnreadableFile`.

    Args:
        path: Path of the file, for the message.
        hint: Text to append to a parser's error message.

    Raises:
        UnreadableFile: The file cannot be read; the message quotes the library's reason.
    """
    try:
        yield
    except UnreadableFile:
        raise
    except Exception as error:  # EOFError, BadZipFile, zlib.error, ArrowException, MemoryError, …
        suffix = "" if isinstance(error, OSError) else hint
        raise UnreadableFile(f"path={path}: cannot be read ({error_reason(error)}){suffix}") from None


def error_reason(error: Exception) -> str:
    """Return the library's reason for an error as one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, MemoryError):
        return "not enough memory"
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def read_decompressed(path: Path) -> bytes:
    """Return the bytes of a file, decompressed if its suffix is .gz, .bz2, .xz or .zip (of one file)."""
    data = path.read_bytes()
    decompress = _DECOMPRESS.get(path.suffix.lower())
    return data if decompress is None else decompress(data)


def _only_member(data: bytes) -> bytes:
    with zipfile.ZipFile(BytesIO(data)) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        if len(members) != 1:
            raise ValueError(f"zip archive of {len(members)} files; must contain exactly one")
        return archive.read(members[0])


_DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
    ".zip": _only_member,
}
