"""Embeddings: matrices whose rows are the input vectors of symbols."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnlab.arrays import Array
from rnnlab.interop import Source
from rnnlab.interop.source import listed, short
from rnnlab.library.framework_tensors import lazy_tensor

ENDS = ("", ".weight", "/embeddings", "/embedding", "/kernel")
"""Ends of the name of the matrix, after the name of its layer."""
BIASES = {".weight": ".bias", "/kernel": "/bias", "/B": "/C"}
"""Ends of the names of the matrix and the bias of a linear layer, which is no embedding."""
RECURRENT = ("weight_ih", "weight_hh", "weight_hr", "recurrent_kernel")

USUAL = ("emb", "encoder", "wte")
"""Parts of usual names of embeddings."""


def read_embedding(
    source: Source, embedding: Any, features: int, dtype: Any, modules: Sequence[str]
) -> Array:
    """Return the matrix of an embedding, shape (symbols, X).

    Args:
        source: Tensors.
        embedding: Name of the matrix or of its layer, or the matrix itself.
        features: Number X of inputs of the network.
        dtype: Data type of the network.
        modules: Prefixes of the recurrent modules.

    Raises:
        ValueError: If the matrix is missing, does not have X columns, or is not finite.
    """
    start = name = "embedding"
    if isinstance(embedding, str):
        found = [embedding + end for end in ENDS if embedding + end in source.tensors]
        start = f"embedding={short(repr(embedding))}"
        if not found:
            names = embedding_names(source, features, modules)
            known = f"; matrices with {features} columns: {listed(names)}" if names else ""
            raise ValueError(f"{start}: no such tensor{known}")
        name = found[0]
        if _is_recurrent(name, modules):
            raise ValueError(
                f"{start}: belongs to a recurrent layer; must be a matrix with a row for each symbol"
            )
    else:
        source = Source({name: lazy_tensor(embedding)}, converted=source.converted)
    shape = source.tensors[name].shape
    if len(shape) != 2 or shape[1] != features or not shape[0]:
        raise ValueError(
            f"{start}: has the shape {shape}; must be (symbols, {features}), because the network has "
            f"{features} inputs"
        )
    return source.array(name, (shape[0], shape[1])).astype(dtype)


def embedding_names(source: Source, features: int, modules: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the matrices that may be an embedding, those with a usual name first.

    They have X columns and no bias, do not belong to a recurrent module, and have not been read.
    """
    found = [
        name
        for name, tensor in source.tensors.items()
        if len(tensor.shape) == 2
        and tensor.shape[1] == features
        and name not in source.used
        and not _is_recurrent(name, modules)
        and not any(
            name.endswith(end) and name.removesuffix(end) + bias in source.tensors
            for end, bias in BIASES.items()
        )
    ]
    return tuple(sorted(found, key=lambda name: not any(part in name.lower() for part in USUAL)))


def _is_recurrent(name: str, modules: Sequence[str]) -> bool:
    """Return True if a tensor belongs to one of the recurrent modules."""
    starts = (f"{module}{separator}" for module in modules if module for separator in "./")
    return name.startswith((*starts, *RECURRENT))


def look_up(embedding: Array, symbols: Array) -> Array:
    """Return the vectors of symbols, (T, B), as an array of shape (T, X, B).

    >>> look_up(np.eye(2), np.array([[1, 0]])).tolist()
    [[[0.0, 1.0], [1.0, 0.0]]]
    """
    return np.ascontiguousarray(embedding[symbols].transpose(0, 2, 1))
