"""Forged checkpoints, changed and signed again so that only their content reveals the change."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.numpy import save_file

from rnnlab.arrays import Array
from rnnlab.runs.checkpoint import CHECKPOINT_FILE, digest

Edit = Callable[[dict[str, Array], dict[str, Any]], object]
"""A function that changes the arrays of a checkpoint and the rest of the training state."""


def parts_of(run: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the arrays and the JSON content of a checkpoint."""
    with safe_open(run / CHECKPOINT_FILE, "np") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return arrays, json.loads(file.metadata()["state"])


def resign(run: Path, edit: Edit) -> None:
    """Change the checkpoint of a run and sign it with the new digest."""
    arrays, kept = parts_of(run)
    edit(arrays, kept["state"])
    write(run, arrays, kept)


def write(run: Path, arrays: dict[str, Array], kept: Any) -> None:
    """Write a checkpoint with a correct digest."""
    state = json.dumps(kept)
    metadata = {"state": state, "digest": digest(arrays, state)}
    save_file(arrays, run / CHECKPOINT_FILE, metadata)
