"""Where the package keeps its own files."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def conf_dir() -> Path:
    """The configuration folder: inside the installed package, else beside it in a checkout."""
    inside = PACKAGE / "conf"
    return inside if (inside / "config.yaml").is_file() else PACKAGE.parent / "conf"
