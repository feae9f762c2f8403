"""Arrays of an .npz file, without pickles; the shapes are read first, and values only when needed."""

import zipfile
from functools import partial
from math import prod
from pathlib import Path

from numpy.lib import format as npy

from rnnlab.arrays import Array
from rnnlab.interop.source import Source, Tensor, short


def read_npz(path: Path) -> Source:
    """Return the arrays of a file.

    Raises:
        ValueError: If the file is not an archive of arrays.
        OSError: If the file cannot be read.
    """
    tensors = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.filename.endswith(".npy"):
                raise ValueError(
                    f"{short(member.filename)}: not an array; an .npz file contains .npy files alone"
                )
            with archive.open(member) as file:
                version = npy.read_magic(file)
                read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
                shape, _, dtype = read_header(file)
                content = member.file_size - file.tell()
            name = member.filename.removesuffix(".npy")
            if name in tensors:
                raise ValueError(f"{short(name)}: occurs twice")
            if not dtype.hasobject and content != prod(shape) * dtype.itemsize:
                raise ValueError(
                    f"{short(name)}: has {content} bytes, but {prod(shape)} elements of type {dtype}"
                )
            tensors[name] = Tensor(shape, str(dtype), partial(_read, path, member.filename))
    return Source(tensors)


def _read(path: Path, member: str) -> Array:
    with zipfile.ZipFile(path) as archive, archive.open(member) as file:
        found: Array = npy.read_array(file, allow_pickle=False)
    return found
