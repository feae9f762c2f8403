"""Weights in HDF5 files and in .keras archives; values are read only when they are needed."""

import json
import struct
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from io import SEEK_CUR, SEEK_END, BytesIO, RawIOBase
from pathlib import Path
from typing import Any, BinaryIO

from rnnlab.app.config.memory_limit import format_gib, memory
from rnnlab.arrays import Array
from rnnlab.interop import Source, Tensor
from rnnlab.library.framework_tensors import check_keras_config

INSTALL = "pip install 'rnnlab[interop]'"
KERAS_CONFIG = "config.json"
KERAS_WEIGHTS = "model.weights.h5"
MAX_CONFIG = 100_000_000
"""Maximum length of the configuration of a model in bytes."""
LOCAL_HEADER = struct.Struct("<26xHH")
"""Header of a member of a zip archive; the lengths of the name and of the extra field follow 26 bytes."""

Opener = Callable[[], Any]
"""Function that opens the bytes of an HDF5 file."""


def read_hdf5(path: Path) -> Source:
    """Return the datasets of an HDF5 file by path.

    Raises:
        ValueError: If h5py is not installed, or if values are in another file.
    """
    return _datasets(partial(path.open, "rb"))


def read_keras(path: Path) -> Source:
    """Return the weights of a .keras file; its configuration is searched for activation functions alone.

    Raises:
        ValueError: If h5py is not installed, or if the archive is damaged, or too large for the memory.
    """
    with zipfile.ZipFile(path) as archive:
        if KERAS_CONFIG in archive.namelist():
            if (size := archive.getinfo(KERAS_CONFIG).file_size) > MAX_CONFIG:
                raise ValueError(f"{KERAS_CONFIG} has {size} bytes; at most {MAX_CONFIG} are read")
            check_keras_config(json.loads(archive.read(KERAS_CONFIG)))
        member = archive.getinfo(KERAS_WEIGHTS)
        if member.compress_type == zipfile.ZIP_STORED:  # as Keras writes it
            return _datasets(partial(_Member, path, member))
        available = memory()
        if available is not None and member.file_size > available:
            raise ValueError(
                f"{KERAS_WEIGHTS} is compressed and needs {format_gib(member.file_size)} of memory; this "
                f"machine has {format_gib(available)}"
            )
        content = archive.read(member)
    return _datasets(partial(BytesIO, content))


class _Member(RawIOBase):
    """A member of a zip archive that is not compressed, as a file of its own."""

    def __init__(self, path: Path, member: zipfile.ZipInfo) -> None:
        self._file: BinaryIO = path.open("rb")
        self._file.seek(member.header_offset)
        name, extra = LOCAL_HEADER.unpack(self._file.read(LOCAL_HEADER.size))
        self._start = member.header_offset + LOCAL_HEADER.size + name + extra
        self._size, self._at = member.file_size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + {SEEK_CUR: self._at, SEEK_END: self._size}.get(whence, 0)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        length = max(min(len(view), self._size - self._at), 0)
        self._file.seek(self._start + self._at)
        found = self._file.readinto(view[:length])  # type: ignore[attr-defined]
        self._at += found
        return int(found)

    def close(self) -> None:
        self._file.close()
        super().close()


def _datasets(opener: Opener) -> Source:
    """Return the datasets by path; links, also those to other files, are not followed."""
    try:
        import h5py
    except ImportError:
        raise ValueError(f"requires h5py: {INSTALL}") from None
    tensors: dict[str, Tensor] = {}

    def visit(group: Any, prefix: str, depth: int) -> None:
        if depth > 50:
            raise ValueError("groups are nested more than 50 levels deep")
        for name in group:
            path = f"{prefix}{name}"
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"{path}: a link, which is not followed")
            item = group[name]
            if isinstance(item, h5py.Group):
                visit(item, f"{path}/", depth + 1)
            elif isinstance(item, h5py.Dataset):
                if item.is_virtual or item.external:
                    raise ValueError(f"{path}: has its values in another file, which is not opened")
                has_values = item.size == 0 or item.id.get_storage_size() > 0
                read = (
                    partial(_read, opener, path)
                    if has_values
                    else partial(_refuse, f"{path}: has no values in the file")
                )
                is_real = item.dtype.kind == "f"
                tensors[path] = Tensor(
                    item.shape or (),
                    str(item.dtype),
                    read if is_real else partial(_refuse, f"{path}: not a real number"),
                )

    with opener() as file, h5py.File(file, "r") as opened:
        visit(opened, "", 0)
    return Source(keras_names(tensors))


def _read(opener: Opener, path: str) -> Array:
    import h5py

    with opener() as file, h5py.File(file, "r") as opened:
        values: Array = opened[path][()]
    return values


def _refuse(problem: str) -> Array:
    raise ValueError(problem)


def keras_names(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Return tensors under the names of their variables; Keras 3 numbers the variables in its files.

    >>> sorted(keras_names({"layers/lstm/cell/vars/0": 1, "layers/dense/vars/1": 2, "a/kernel:0": 3}))
    ['a/kernel', 'dense/bias', 'lstm/kernel']
    """
    found = {}
    for path, tensor in tensors.items():
        parent, _, number = path.removesuffix(":0").rpartition("/vars/")
        if not parent:
            found[path.removesuffix(":0")] = tensor
            continue
        names: tuple[str, ...] = ("kernel", "bias")
        if parent.endswith("cell"):
            names = ("kernel", "recurrent_kernel", "bias")
        elif parent.rpartition("/")[2].startswith("embedding"):
            names = ("embeddings",)
        name = names[int(number)] if number in ("0", "1", "2")[: len(names)] else f"variable_{number}"
        found[f"{parent.removeprefix('layers/').removesuffix('/cell')}/{name}"] = tensor
    return found
