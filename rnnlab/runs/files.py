"""Crash-safe file operations that do not follow symbolic links.

A crash never leaves a partly replaced file, and an incomplete last line is removed when the file is next
opened for appending. rnnlab creates and extends files only through this module. A run folder from an
untrusted source may contain symbolic links in place of output files. Writing through a symbolic link could
change a file outside the run folder; therefore, no function in this module follows symbolic links.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EINVAL, ELOOP
from pathlib import Path
from typing import BinaryIO

_BINARY = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
LINK = "{}: symbolic link; refusing to write through it"
_MODE = 0o666  # before the umask


class DamagedFile(ValueError):
    """Exception for a damaged file in a run folder; the message names the file and states the reason."""


def replace_file(path: Path, write: Callable[[BinaryIO], object], within: Path | None = None) -> None:
    """Write a temporary file in the same folder, then atomically rename the file to `path`.

    Args:
        path: Destination file.
        write: Function that writes the content to the temporary file, which is open in binary mode.
        within: Ancestor folder of `path`, or None; no folder between this ancestor and the file may be a
            symbolic link.

    Raises:
        OSError: If the file cannot be written, for example on a full disk; `path` is left unchanged.
    """
    if within is not None:
        refuse_links(path.parent, within)
    scratch = scratch_of(path)
    try:
        with _new_file(scratch) as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())  # otherwise a power loss may keep the new name but lose the content
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def scratch_of(path: Path) -> Path:
    """Return the path of the temporary file that `replace_file` renames to `path`."""
    return path.with_name(f"{path.name}.new")


def replace_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, replacing any existing file atomically.

    Raises:
        OSError: If the file cannot be written; `path` is left unchanged.
    """
    content = text.encode()
    replace_file(path, lambda scratch: scratch.write(content))


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """Create a file after removing any file or symbolic link that already exists at the path."""
    path.unlink(missing_ok=True)
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags | _BINARY, _MODE)) as file:
        yield file


def touch(path: Path) -> None:
    """Create an empty file if no file exists at the path.

    Raises:
        OSError: If the file cannot be created, or the path is a symbolic link.
    """
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | _BINARY, _MODE))


def make_folder(path: Path, within: Path) -> None:
    """Create a folder, unless it already exists; the parent folder must exist.

    Raises:
        OSError: If the folder cannot be created, or if `path` or a folder between `within` and `path` is a
            symbolic link.
    """
    refuse_links(path, within)
    path.mkdir(exist_ok=True)


def is_inside(path: Path) -> bool:
    """Return True if a path is relative and cannot lead outside its base folder."""
    return not path.is_absolute() and ".." not in path.parts


def link_in(folder: Path) -> Path | None:
    """Return the first symbolic link found in a folder, including the folder itself, or None."""
    return next((path for path in (folder, *sorted(folder.rglob("*"))) if path.is_symlink()), None)


def link_between(within: Path, path: Path) -> Path | None:
    """Return the first symbolic link on the path from `within` (exclusive) to `path` (inclusive), or None."""
    below = [path, *path.parents][: len(path.relative_to(within).parts)]
    return next((step for step in reversed(below) if step.is_symlink()), None)


def refuse_links_in(folder: Path) -> None:
    """Raise ValueError if a run folder is or contains a symbolic link.

    Raises:
        ValueError: If the folder is or contains a symbolic link.
    """
    if link := link_in(folder):
        raise ValueError(LINK.format(link))


def refuse_links(path: Path, within: Path) -> None:
    """Raise OSError if a path passes through a symbolic link.

    Raises:
        OSError: If `path`, or a folder between `within` and `path`, is a symbolic link.
    """
    if link := link_between(within, path):
        raise OSError(ELOOP, LINK.format(link))


class LineFile:
    """Append-only file; every line is written immediately and is not lost if the process is killed."""

    def __init__(self, path: Path, keep: int | None = None) -> None:
        """Open the file and remove any incomplete last line left by a killed process.

        Args:
            path: Path of the file.
            keep: Number of bytes to keep at the beginning of the file; all later bytes are removed.

        Raises:
            OSError: If the file cannot be opened, is a symbolic link or is not a regular file.
        """
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _BINARY, _MODE)
        try:
            if not stat.S_ISREG(os.fstat(self._file).st_mode):
                raise OSError(EINVAL, f"{path}: not a regular file")  # a pipe would block
            os.ftruncate(self._file, self._complete_size() if keep is None else keep)
        except BaseException:
            os.close(self._file)
            raise

    def _complete_size(self) -> int:
        """Return the number of bytes up to the end of the last complete line."""
        with os.fdopen(os.dup(self._file), "rb") as file:
            return file.read().rfind(b"\n") + 1

    def append(self, line: str) -> None:
        """Append a line.

        Raises:
            OSError: If the line cannot be written.
        """
        self.write(f"{line}\n".encode())

    def write(self, data: bytes) -> None:
        """Append data, which must consist of complete lines or complete binary records.

        Raises:
            OSError: If the data cannot be written.
        """
        remaining = memoryview(data)
        while remaining:
            remaining = remaining[os.write(self._file, remaining) :]

    def sync(self) -> None:
        """Flush all written data to disk."""
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
