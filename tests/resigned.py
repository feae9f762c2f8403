"""Checkpoints that somebody changed and signed again, so that only what they say can give them away."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.numpy import save_file

from rnnlab.arrays import Array
from rnnlab.runs.checkpoint import CHECKPOINT_FILE, digest

Edit = Callable[[dict[str, Array], dict[str, Any]], object]
"""Changes a checkpoint's arrays, and what of the training state is no array."""


def parts_of(run: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """A checkpoint's arrays and all that its JSON says."""
    with safe_open(run / CHECKPOINT_FILE, "np") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return arrays, json.loads(file.metadata()["state"])


def resign(run: Path, edit: Edit) -> None:
    """Change a run's checkpoint, with the digest that the change has."""
    arrays, kept = parts_of(run)
    edit(arrays, kept["state"])
    write(run, arrays, kept)


def write(run: Path, arrays: dict[str, Array], kept: Any) -> None:
    """Write a checkpoint with a digest that is right."""
    state = json.dumps(kept)
    metadata = {"state": state, "digest": digest(arrays, state)}
    save_file(arrays, run / CHECKPOINT_FILE, metadata)
