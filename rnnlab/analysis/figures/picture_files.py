"""Figures as PNG or SVG, in memory and in files."""

import io
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from rnnlab.runs.files import replace_file
from rnnlab.text import sanitize


def picture_bytes(figure: Figure, form: str, **keys: Any) -> bytes:
    """Return a figure as PNG or SVG bytes; control characters are removed from the text of an SVG.

    Args:
        figure: Figure to convert.
        form: Format, `png` or `svg`.
        **keys: Further arguments of matplotlib's `savefig`.
    """
    buffer = io.BytesIO()
    if form == "svg":
        keys |= {"metadata": {"Date": None}}  # the same figure gives the same file
    figure.savefig(buffer, format=form, **keys)
    return sanitize(buffer.getvalue().decode()).encode() if form == "svg" else buffer.getvalue()


def save_picture(figure: Figure, path: Path, within: Path, **keys: Any) -> None:
    """Write a figure atomically, in the format of the file's extension.

    Args:
        figure: Figure to write.
        path: Path of the file.
        within: Folder above the file; no folder between the two may be a symbolic link.
        **keys: Further arguments of matplotlib's `savefig`.

    Raises:
        OSError: If the file cannot be written.
    """
    content = picture_bytes(figure, path.suffix.removeprefix("."), **keys)
    replace_file(path, lambda file: file.write(content), within)
