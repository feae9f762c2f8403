"""Locations of rnnlab's own files, and limits that the operating system imposes on paths."""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 4095
MAX_LEVELS = 200
"""Maximum number of nested folders; with a few hundred more levels, Python itself fails."""


def conf_dir() -> Path:
    """Return the configuration folder: in the installed package or, in a checkout, next to the package."""
    inside = PACKAGE / "conf"
    return inside if (inside / "config.yaml").is_file() else PACKAGE.parent / "conf"


def is_folder(path: str | Path) -> bool:
    """Return True if a path is a folder.

    Unlike `Path.is_dir`, this function returns False if a name in the path is too long.
    """
    return os.path.isdir(path)


def is_file(path: str | Path) -> bool:
    """Return True if a path is a file.

    Unlike `Path.is_file`, this function returns False if a name in the path is too long.
    """
    return os.path.isfile(path)


def path_problem(path: Path) -> str | None:
    """Return the reason why the operating system rejects a path, or None; the path need not exist."""
    try:
        name_bytes = max(len(os.fsencode(part)) for part in (*path.parts, ""))
        path_bytes = len(os.fsencode(path))
    except UnicodeEncodeError:
        return "contains a character that is not allowed in file names"
    if "\0" in str(path):
        return "contains a NUL character, which is not allowed in file names"
    if name_bytes > MAX_NAME_BYTES:
        return f"contains a name that is too long ({name_bytes} bytes; at most {MAX_NAME_BYTES})"
    if path_bytes > MAX_PATH_BYTES:
        return f"too long ({path_bytes} bytes including the files written there; at most {MAX_PATH_BYTES})"
    if len(path.parts) > MAX_LEVELS:
        return f"{len(path.parts)} nested folders; at most {MAX_LEVELS}"
    return None
