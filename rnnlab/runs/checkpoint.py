"""The checkpoint from which a run resumes, and the checksums used to verify the checkpoint.

A checkpoint is a safetensors file. The safetensors format has no checksum, so rnnlab adds a SHA-256 checksum
of the checkpoint's content. Each checkpoint also contains the lengths and SHA-256 checksums of
`metrics.jsonl` and `gradients.arrow` at the time of the checkpoint. A run updates the checksums of these
files as the files grow; writing a checkpoint therefore does not require rereading the files. A resumed run
reads each of these files once and verifies the checksum.
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
    """Length and SHA-256 checksum of the data appended to a file so far.

    Attributes:
        size: Length in bytes.
    """

    def __init__(self) -> None:
        self.size = 0
        self._sum = hashlib.sha256()

    def add(self, data: bytes) -> None:
        """Update the length and checksum to include appended data."""
        self.size += len(data)
        self._sum.update(data)

    def to_plain(self) -> dict[str, Any]:
        """Return the length and the checksum as a JSON-compatible dictionary."""
        return {"bytes": self.size, "sha256": self._sum.hexdigest()}

    @classmethod
    def read(cls, file: Path, expected: Mapping[str, Any]) -> "Prefix":
        """Read the beginning of a file, and verify its length and checksum against `expected`.

        The dictionary `expected` is the result that `to_plain` returned when the checkpoint was written.

        Raises:
            DamagedFile: If the file is too short, or the checksum of its beginning does not match.
            OSError: If the file cannot be read.
        """
        prefix, remaining = cls(), expected["bytes"]
        if remaining:
            with file.open("rb") as opened:
                while remaining > 0 and (chunk := opened.read(min(remaining, _CHUNK))):
                    prefix.add(chunk)
                    remaining -= len(chunk)
        if prefix.to_plain() != dict(expected):
            raise DamagedFile(f"{file.name}: changed since the checkpoint")
        return prefix


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint with verified checksums.

    Attributes:
        arrays: Arrays of the training state.
        state: JSON-compatible values of the training state.
        rows: Length and checksum of the part of `metrics.jsonl` written before the checkpoint.
        recordings: Length and checksum of the part of `gradients.arrow` written before the checkpoint.
    """

    arrays: dict[str, Array]
    state: dict[str, Any]
    rows: Prefix
    recordings: Prefix


def write_checkpoint(
    folder: Path, arrays: Mapping[str, Array], plain: Mapping[str, Any], rows: Prefix, recordings: Prefix
) -> None:
    """Write a run's checkpoint, replacing any earlier checkpoint atomically.

    Args:
        folder: Run folder.
        arrays: Arrays of the training state.
        plain: JSON-compatible values of the training state.
        rows: Length and checksum of the current content of `metrics.jsonl`.
        recordings: Length and checksum of the current content of `gradients.arrow`.

    Raises:
        OSError: If the checkpoint cannot be written; an earlier checkpoint is left unchanged.
    """
    from safetensors.numpy import save

    contiguous = {name: np.asarray(value, order="C") for name, value in arrays.items()}
    files = {"rows": rows.to_plain(), "recordings": recordings.to_plain()}
    state = json.dumps({"state": plain} | files)
    metadata = {"state": state, "digest": digest(contiguous, state)}
    replace_file(folder / CHECKPOINT_FILE, lambda file: file.write(save(contiguous, metadata)))


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """Return a run's checkpoint, or None if the run has no checkpoint.

    Raises:
        DamagedFile: If a checksum does not match.
        Exception: If the checkpoint file is damaged in any other way.
    """
    from safetensors import safe_open

    path = folder / CHECKPOINT_FILE
    if not path.is_file():
        return None
    with safe_open(path, "np") as file:
        arrays = {name: np.array(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
        state, expected = file.metadata()["state"], file.metadata()["digest"]
    if digest(arrays, state) != expected:
        raise DamagedFile(f"{path.name}: checksum mismatch")
    content = json.loads(state)
    rows = Prefix.read(folder / METRICS_FILE, content["rows"])
    recordings = Prefix.read(folder / GRADIENT_LOG, content["recordings"])
    return Checkpoint(arrays, content["state"], rows, recordings)


def digest(arrays: Mapping[str, Array], state: str) -> str:
    """Return the SHA-256 checksum of the arrays and the state in a checkpoint."""
    checksum = hashlib.sha256(state.encode())
    for name in sorted(arrays):
        checksum.update(f"{name} {arrays[name].dtype} {arrays[name].shape} ".encode())
        checksum.update(np.ascontiguousarray(arrays[name]).data)
    return checksum.hexdigest()


def clear_resume_files(folder: Path) -> None:
    """Remove the files that are needed only to resume an unfinished run."""
    for name in (GRADIENT_LOG, CHECKPOINT_FILE):
        (folder / name).unlink(missing_ok=True)
