"""Writing so that a reader, or whoever comes after a crash, finds whole files and whole lines.

All files of the project are created and appended to here. A folder may be a stranger's, with links where
files are about to be made; what is written through one would change a file elsewhere, so none is followed.
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
_MODE = 0o666  # less the umask


class DamagedFile(ValueError):
    """A file of a run cannot be read; the message names the file and says why."""


def replace_file(path: Path, write: Callable[[BinaryIO], object], within: Path | None = None) -> None:
    """Let `write` fill a scratch file beside `path`, then put it in place in one move.

    Args:
        path: The file.
        write: Gets the scratch file, open for writing.
        within: A folder above the file: none of the folders between the two may be a link.

    Raises:
        OSError: It could not be written, such as on a full disk; `path` is as it was.
    """
    if within is not None:
        refuse_links(path.parent, within)
    scratch = path.with_name(f"{path.name}.new")
    try:
        with _new_file(scratch) as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())  # else a machine that stops may keep the move and lose the content
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def replace_text(path: Path, text: str) -> None:
    """Put a UTF-8 text in place in one move.

    Raises:
        OSError: It could not be written; `path` is as it was.
    """
    content = text.encode()
    replace_file(path, lambda scratch: scratch.write(content))


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that was not there, in place of one that a killed process left, or of a link."""
    path.unlink(missing_ok=True)
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags | _BINARY, _MODE)) as file:
        yield file


def touch(path: Path) -> None:
    """Make an empty file, if there is none.

    Raises:
        OSError: It could not be made, or there is a link.
    """
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | _BINARY, _MODE))


def make_folder(path: Path, within: Path) -> None:
    """Make a folder, if there is none, directly below one that there is.

    Raises:
        OSError: It could not be made, or it or a folder on the way from `within` is a link.
    """
    refuse_links(path, within)
    path.mkdir(exist_ok=True)


def is_inside(path: Path) -> bool:
    """Whether a path, seen from a folder, stays in that folder."""
    return not path.is_absolute() and ".." not in path.parts


def link_in(folder: Path) -> Path | None:
    """A link in a folder, or the folder itself if it is one: no run makes any, and none is followed."""
    return next((path for path in (folder, *sorted(folder.rglob("*"))) if path.is_symlink()), None)


def link_between(within: Path, path: Path) -> Path | None:
    """The first link on the way from a folder to a path below it, that path included."""
    below = [path, *path.parents][: len(path.relative_to(within).parts)]
    return next((step for step in reversed(below) if step.is_symlink()), None)


def refuse_links_in(folder: Path) -> None:
    """Let nothing be written in a run's folder that holds a link.

    Raises:
        ValueError: There is one.
    """
    if link := link_in(folder):
        raise ValueError(LINK.format(link))


def refuse_links(path: Path, within: Path) -> None:
    """Let nothing be written at a path behind a link.

    Raises:
        OSError: There is one on the way from `within`, or the path is one.
    """
    if link := link_between(within, path):
        raise OSError(ELOOP, LINK.format(link))


class LineFile:
    """A file that lines are appended to, each in one write and at once: a killed process loses none."""

    def __init__(self, path: Path, keep: int | None = None) -> None:
        """Open the file; a last line that was not finished, by a process that died, is cut off.

        Args:
            path: The file.
            keep: So many bytes of it stand and the others are cut off, too.

        Raises:
            OSError: It cannot be opened, or is a link or no regular file.
        """
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _BINARY, _MODE)
        try:
            if not stat.S_ISREG(os.fstat(self._file).st_mode):
                raise OSError(EINVAL, f"{path} is no regular file")  # a pipe would be waited for
            os.ftruncate(self._file, self._whole_lines() if keep is None else keep)
        except BaseException:
            os.close(self._file)
            raise

    def _whole_lines(self) -> int:
        """Bytes up to the end of the last line that was finished."""
        with os.fdopen(os.dup(self._file), "rb") as file:
            return file.read().rfind(b"\n") + 1

    def append(self, line: str) -> None:
        """Write a line.

        Raises:
            OSError: It could not be written.
        """
        self.write(f"{line}\n".encode())

    def write(self, data: bytes) -> None:
        """Write whole lines, or what another format has in their place.

        Raises:
            OSError: It could not be written.
        """
        left = memoryview(data)
        while left:
            left = left[os.write(self._file, left) :]

    def sync(self) -> None:
        """Have what is written reach the disk itself."""
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
