"""Figures as the bytes of a picture, and as files."""

import io
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from rnnlab.runs.files import replace_file
from rnnlab.text import sanitize


def picture_bytes(figure: Figure, form: str, **keys: Any) -> bytes:
    """A figure as PNG or SVG; among the texts of an SVG, whoever wrote them, are no control characters.

    Args:
        figure: The figure.
        form: `png` or `svg`.
        **keys: Further ones of matplotlib's `savefig`.
    """
    buffer = io.BytesIO()
    if form == "svg":
        keys |= {"metadata": {"Date": None}}  # the same file for the same figure
    figure.savefig(buffer, format=form, **keys)
    return sanitize(buffer.getvalue().decode()).encode() if form == "svg" else buffer.getvalue()


def save_picture(figure: Figure, path: Path, within: Path, **keys: Any) -> None:
    """Write a figure in one move, as what the file's name ends with.

    Args:
        figure: The figure.
        path: The file.
        within: A folder above the file: none of the folders between the two may be a link.
        **keys: Further ones of matplotlib's `savefig`.

    Raises:
        OSError: It could not be written.
    """
    content = picture_bytes(figure, path.suffix.removeprefix("."), **keys)
    replace_file(path, lambda file: file.write(content), within)
