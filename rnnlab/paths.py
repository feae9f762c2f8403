"""Where the package keeps its own files, and which paths a system takes."""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 4095
MAX_LEVELS = 200
"""Of folders inside of one another; some hundreds more, and Python itself gets lost in them."""


def conf_dir() -> Path:
    """The configuration folder: inside the installed package, else beside it in a checkout."""
    inside = PACKAGE / "conf"
    return inside if (inside / "config.yaml").is_file() else PACKAGE.parent / "conf"


def is_folder(path: str | Path) -> bool:
    """Whether a user names a folder; of pathlib's own `is_dir` a name that is too long is an error."""
    return os.path.isdir(path)


def is_file(path: str | Path) -> bool:
    """Whether a user names a file, likewise."""
    return os.path.isfile(path)


def path_problem(path: Path) -> str | None:
    """What keeps a path from being one, whether or not there is something; None if nothing does."""
    try:
        name, whole = max(len(os.fsencode(part)) for part in (*path.parts, "")), len(os.fsencode(path))
    except UnicodeEncodeError:
        return "holds a character that no name of a file can have"
    if "\0" in str(path):
        return "holds a NUL character, which no name of a file can have"
    if name > MAX_NAME_BYTES:
        return f"a name in it is too long ({name} bytes; at most {MAX_NAME_BYTES})"
    if whole > MAX_PATH_BYTES:
        return f"too long ({whole} bytes with what is written there; at most {MAX_PATH_BYTES})"
    if len(path.parts) > MAX_LEVELS:
        return f"{len(path.parts)} folders inside of one another; at most {MAX_LEVELS}"
    return None
