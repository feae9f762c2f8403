"""Where the package keeps its own files."""

from errno import EINVAL
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def conf_dir() -> Path:
    """The configuration folder: inside the installed package, else beside it in a checkout."""
    inside = PACKAGE / "conf"
    return inside if (inside / "config.yaml").is_file() else PACKAGE.parent / "conf"


def of_user(path: str) -> Path:
    """A file that a user names; a pipe would be waited for, and a device has no end.

    Raises:
        OSError: It is something else than a file.
    """
    found = Path(path)
    if found.exists() and not (found.is_file() or found.is_dir()):
        raise OSError(EINVAL, "no regular file")
    return found
