"""`checkpoint.safetensors`: arrays by name, the rest as JSON in the metadata, and a digest of all."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from rnnlab.arrays import Array
from rnnlab.tracking.files import replace_file


def write_checkpoint(path: Path, arrays: Mapping[str, Array], state: Mapping[str, Any]) -> None:
    """Put a checkpoint in place in one move.

    Raises:
        OSError: It could not be written; an earlier one is as it was.
    """
    from safetensors.numpy import save

    whole = {name: np.asarray(value, order="C") for name, value in arrays.items()}
    text = json.dumps(state)
    metadata = {"state": text, "digest": _digest(whole, text)}
    replace_file(path, lambda file: file.write(save(whole, metadata)))


def read_checkpoint(path: Path) -> tuple[dict[str, Array], Any] | None:
    """What `write_checkpoint` wrote; None where there is nothing or it is damaged."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    with suppress(OSError, SafetensorError, ValueError, KeyError, TypeError):
        with safe_open(path, "np") as file:
            arrays = {name: np.array(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
            state, digest = file.metadata()["state"], file.metadata()["digest"]
        if digest == _digest(arrays, state):
            return arrays, json.loads(state)
    return None


def _digest(arrays: Mapping[str, Array], state: str) -> str:
    """SHA-256 of a checkpoint; safetensors has no sum of its own."""
    whole = hashlib.sha256(state.encode())
    for name in sorted(arrays):
        whole.update(f"{name} {arrays[name].dtype} {arrays[name].shape} ".encode())
        whole.update(np.ascontiguousarray(arrays[name]).data)
    return whole.hexdigest()
