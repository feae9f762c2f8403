"""Tensors of a safetensors file: the header is checked, and only the tensors that are needed are read.

The file starts with the length of the header as a 64-bit integer. The header is a JSON object that gives the
data type, the shape and the offsets of each tensor in the rest of the file.
"""

import json
import struct
from collections.abc import Callable
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from rnnlab.arrays import Array
from rnnlab.interop.source import Source, Tensor, short

MAX_HEADER = 100_000_000
"""Maximum length of a header in bytes, as in the library safetensors."""
TYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
WIDTHS = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}


def read_safetensors(path: Path) -> Source:
    """Return the tensors of a file.

    Raises:
        ValueError: If the header is damaged, or does not fit the file.
        OSError: If the file cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if length > min(MAX_HEADER, size - 8):
            raise ValueError(
                f"not a safetensors file: it has {size} bytes, and its header would have {length}"
            )
        content = file.read(length)
    header = _parse(content)
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            tensors[name] = _tensor(path, name, entry, 8 + length, size - 8 - length)
    return Source(tensors)


def _parse(content: bytes) -> dict[str, Any]:
    try:
        header = json.loads(content, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise ValueError(f"damaged header ({short(error)})") from None
    if not isinstance(header, dict):
        raise ValueError("damaged header (not a JSON object)")
    return header


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _tensor(path: Path, name: str, entry: Any, start: int, available: int) -> Tensor:
    """Return a tensor after a check of its entry in the header."""
    if not isinstance(entry, dict):
        raise ValueError(f"{short(name)}: damaged header (not a JSON object)")
    shape, offsets, kind = (_sizes(entry.get("shape")), _sizes(entry.get("data_offsets")), entry.get("dtype"))
    if shape is None or offsets is None or len(offsets) != 2 or not isinstance(kind, str):
        raise ValueError(f"{short(name)}: damaged header (dtype, shape or data_offsets)")
    first, last = offsets
    if not first <= last <= available:
        raise ValueError(
            f"{short(name)}: has the offsets {first} to {last}, but the file has {available} bytes of data"
        )
    dtype = TYPES.get(kind)
    if dtype is None:
        return Tensor(shape, kind, _unreadable)
    if last - first != prod(shape) * WIDTHS[dtype]:
        raise ValueError(
            f"{short(name)}: has {last - first} bytes, but {prod(shape)} elements of type {dtype}"
        )
    read: Callable[[], Array] = partial(_read, path, start + first, last - first, dtype, shape)
    return Tensor(shape, dtype, read)


def _sizes(value: Any) -> tuple[int, ...] | None:
    if isinstance(value, list) and all(type(size) is int and 0 <= size < 2**53 for size in value):
        return tuple(value)
    return None


def _read(path: Path, start: int, length: int, dtype: str, shape: tuple[int, ...]) -> Array:
    with path.open("rb") as file:
        file.seek(start)
        data = file.read(length)
    if dtype == "bfloat16":  # the upper half of a float32
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4").reshape(shape)
    return np.frombuffer(data, np.dtype(dtype).newbyteorder("<")).astype(dtype).reshape(shape)


def _unreadable() -> Array:
    raise AssertionError("the data type is checked first")
