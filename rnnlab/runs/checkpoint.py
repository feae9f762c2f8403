"""What a run is resumed from, and how it is known to be whole.

A checkpoint is a safetensors file with a SHA-256 of all that it holds, as safetensors has no sum of its own.
What it holds covers the files that led to it, too: the length and the SHA-256 that `metrics.jsonl` and
`gradients.arrow` had when it was written. These sums run along while the files grow, so that no checkpoint
reads a file again; a resumed run reads them once.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rnnlab.arrays import Array
from rnnlab.records import METRICS_FILE
from rnnlab.runs.files import DamagedFile, replace_file

CHECKPOINT_FILE = "checkpoint.safetensors"
GRADIENT_LOG = "gradients.arrow"
_CHUNK = 2**20


class Prefix:
    """The length and SHA-256 of what has been written to a file that is appended to.

    Attributes:
        size: Bytes.
    """

    def __init__(self) -> None:
        self.size = 0
        self._sum = hashlib.sha256()

    def add(self, data: bytes) -> None:
        """Take in what is appended."""
        self.size += len(data)
        self._sum.update(data)

    def to_plain(self) -> dict[str, Any]:
        """Length and sum, for JSON."""
        return {"bytes": self.size, "sha256": self._sum.hexdigest()}

    @classmethod
    def read(cls, file: Path, expected: Mapping[str, Any]) -> "Prefix":
        """The beginning of a file, as `to_plain` described it.

        Raises:
            DamagedFile: The file begins otherwise, or is shorter.
            OSError: It cannot be read.
        """
        prefix, left = cls(), expected["bytes"]
        if left:
            with file.open("rb") as opened:
                while left > 0 and (chunk := opened.read(min(left, _CHUNK))):
                    prefix.add(chunk)
                    left -= len(chunk)
        if prefix.to_plain() != dict(expected):
            raise DamagedFile(f"{file.name}: changed since the checkpoint")
        return prefix


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose sums are right.

    Attributes:
        arrays: The arrays of the training state.
        state: The rest of it.
        rows: What of `metrics.jsonl` led to it.
        recordings: What of `gradients.arrow` did.
    """

    arrays: dict[str, Array]
    state: dict[str, Any]
    rows: Prefix
    recordings: Prefix


def write_checkpoint(
    folder: Path, arrays: Mapping[str, Array], plain: Mapping[str, Any], rows: Prefix, recordings: Prefix
) -> None:
    """Put a run's checkpoint in place in one move.

    Args:
        folder: The run's.
        arrays: The arrays of the training state.
        plain: The rest of it.
        rows: What `metrics.jsonl` holds.
        recordings: What `gradients.arrow` does.

    Raises:
        OSError: It could not be written; an earlier one is as it was.
    """
    from safetensors.numpy import save

    whole = {name: np.asarray(value, order="C") for name, value in arrays.items()}
    files = {"rows": rows.to_plain(), "recordings": recordings.to_plain()}
    state = json.dumps({"state": plain} | files)
    metadata = {"state": state, "digest": digest(whole, state)}
    replace_file(folder / CHECKPOINT_FILE, lambda file: file.write(save(whole, metadata)))


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """A run's checkpoint; None where there is none.

    Raises:
        Exception: Whatever reading a damaged file can raise; a DamagedFile where a sum is wrong.
    """
    from safetensors import safe_open

    path = folder / CHECKPOINT_FILE
    if not path.is_file():
        return None
    with safe_open(path, "np") as file:
        arrays = {name: np.array(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
        state, expected = file.metadata()["state"], file.metadata()["digest"]
    if digest(arrays, state) != expected:
        raise DamagedFile(f"{path.name}: its checksum is wrong")
    kept = json.loads(state)
    rows = Prefix.read(folder / METRICS_FILE, kept["rows"])
    return Checkpoint(arrays, kept["state"], rows, Prefix.read(folder / GRADIENT_LOG, kept["recordings"]))


def digest(arrays: Mapping[str, Array], state: str) -> str:
    """SHA-256 of a checkpoint."""
    whole = hashlib.sha256(state.encode())
    for name in sorted(arrays):
        whole.update(f"{name} {arrays[name].dtype} {arrays[name].shape} ".encode())
        whole.update(np.ascontiguousarray(arrays[name]).data)
    return whole.hexdigest()


def clear_resume_files(folder: Path) -> None:
    """Remove what only a run that has not ended needs."""
    for name in (GRADIENT_LOG, CHECKPOINT_FILE):
        (folder / name).unlink(missing_ok=True)
