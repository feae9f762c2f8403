"""Writing so that a reader, or whoever comes after a crash, finds whole files and whole lines."""

import os
from collections.abc import Callable
from pathlib import Path


class DamagedFile(ValueError):
    """A file of a run cannot be read; the message names the file and says why."""


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a scratch file beside `path`, then put it in place in one move.

    Raises:
        OSError: It could not be written, such as on a full disk; `path` is as it was.
    """
    scratch = path.with_name(f"{path.name}.new")
    try:
        write(scratch)
        with scratch.open("rb") as file:
            os.fsync(file.fileno())  # else a machine that stops may keep the move and lose the content
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def replace_text(path: Path, text: str) -> None:
    """Put a UTF-8 text in place in one move.

    Raises:
        OSError: It could not be written; `path` is as it was.
    """
    replace_file(path, lambda scratch: scratch.write_text(text, encoding="utf-8"))


def is_inside(path: Path) -> bool:
    """Whether a path, seen from a folder, stays in that folder."""
    return not path.is_absolute() and ".." not in path.parts


def link_in(folder: Path) -> Path | None:
    """A link in a folder, or the folder itself if it is one: no run makes any, and none is followed."""
    return next((path for path in (folder, *sorted(folder.rglob("*"))) if path.is_symlink()), None)


class LineFile:
    """A file that lines are appended to, each in one write and at once: a killed process loses none."""

    def __init__(self, path: Path, keep: int | None = None) -> None:
        """Open the file; a last line that was not finished, by a process that died, is cut off.

        Args:
            path: The file.
            keep: So many bytes of it stand and the others are cut off, too.
        """
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
        os.ftruncate(self._file, path.read_bytes().rfind(b"\n") + 1 if keep is None else keep)

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
