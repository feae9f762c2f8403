"""Folders that the caller names, checked before anything is measured."""

import os
from pathlib import Path

from rnnlab.app.config.run_paths import resolve_folder
from rnnlab.library.composing import check_options, mistakes_as_value_errors
from rnnlab.user_files import error_reason


def new_run_folder(folder: str | Path) -> Path:
    """Return the absolute path of a run folder that does not exist yet.

    Raises:
        ValueError: If the folder exists, or if the path is invalid.
    """
    check_options(folder, None)
    with mistakes_as_value_errors():
        place = resolve_folder("folder", str(folder))
    if os.path.lexists(place):
        raise ValueError(f"folder={folder}: already in use; each run needs its own folder")
    return place


def not_writable(folder: str | Path, error: OSError) -> ValueError:
    """Return the error for a folder that cannot be created."""
    return ValueError(f"folder={folder}: cannot be written ({error_reason(error)})")
