"""Conversion of figures to PNG or SVG, in memory and in files."""

import io
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.image import imsave
from numpy.typing import ArrayLike

from rnnlab.runs.files import replace_file
from rnnlab.text import sanitize

FAST_PNG = {"compress_level": 1}
"""Arguments of Pillow for a file that is a tenth larger but takes a quarter less time to compress."""


def picture_bytes(figure: Figure, form: str, **keys: Any) -> bytes:
    """Return a figure as PNG or SVG bytes, without control characters in the text of an SVG.

    Args:
        figure: Figure to convert.
        form: Image format: `png` or `svg`.
        **keys: Additional arguments for matplotlib's `savefig`.
    """
    buffer = io.BytesIO()
    if form == "svg":
        keys |= {"metadata": {"Date": None}}  # the same figure gives the same file
    figure.savefig(buffer, format=form, **keys)
    return sanitize(buffer.getvalue().decode()).encode() if form == "svg" else buffer.getvalue()


def save_picture(figure: Figure, path: Path, within: Path, **keys: Any) -> None:
    """Write a figure atomically, in the format specified by the file extension.

    Args:
        figure: Figure to write.
        path: Path of the file.
        within: Folder that contains the file, directly or in a subfolder; no part of the path below this
            folder may be a symbolic link.
        **keys: Additional arguments for matplotlib's `savefig`.

    Raises:
        OSError: If the file cannot be written.
    """
    save_bytes(picture_bytes(figure, path.suffix.removeprefix("."), **keys), path, within)


def png_bytes(pixels: ArrayLike, dpi: float) -> bytes:
    """Return the pixels of a drawn figure as PNG bytes."""
    buffer = io.BytesIO()
    imsave(buffer, pixels, format="png", dpi=dpi, pil_kwargs=dict(FAST_PNG))
    return buffer.getvalue()


def save_bytes(content: bytes, path: Path, within: Path) -> None:
    """Write the bytes of a picture atomically, with the arguments of `save_picture`."""
    replace_file(path, lambda file: file.write(content), within)
