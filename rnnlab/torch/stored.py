"""Measurements of a probe in a folder: one Parquet file per module and training step."""

import re
from io import BytesIO
from pathlib import Path

import pandas as pd

from rnnlab.app.config.run_paths import resolve_folder
from rnnlab.library.composing import check_options, mistakes_as_value_errors
from rnnlab.library.folders import not_writable
from rnnlab.runs.files import replace_file
from rnnlab.user_files import error_reason

FILE = re.compile(r"(?s).+_step_(\d{8,})\.parquet")


def open_folder(folder: str | Path, start: int, replace: bool) -> Path:
    """Create a folder if there is none, and return its path.

    Measurements of earlier training steps than `start` remain, because a resumed training continues them.

    Args:
        folder: Path of the folder.
        start: Number of the first training step.
        replace: True to delete measurements of `start` and later steps.

    Raises:
        ValueError: If the folder has such measurements and `replace` is False, or if it cannot be created.
    """
    check_options(folder, None, replace=replace)
    with mistakes_as_value_errors():
        resolved = resolve_folder("folder", str(folder))
    try:
        resolved.mkdir(parents=True, exist_ok=True)
        found = {path: match for path in resolved.iterdir() if (match := FILE.fullmatch(path.name))}
        later = {path: step for path, match in found.items() if (step := int(match[1])) >= start}
        if later and not replace:
            first, last = min(later.values()), max(later.values())
            raise ValueError(
                f"folder={folder}: has measurements of the training steps {first} to {last}; "
                f"pass another folder, replace=True to delete them, or start={last + 1} to continue"
            )
        for path in later:
            path.unlink()
    except OSError as error:
        raise not_writable(folder, error) from error
    return resolved


def store(folder: Path, name: str, step: int, frame: pd.DataFrame) -> str | None:
    """Write the measurements of one module and training step, or return why they were not written."""
    path = folder / f"{name}_step_{step:08}.parquet"
    plain = frame.astype({column: str for column in frame.columns if frame[column].dtype == "category"})
    content = BytesIO()
    plain.to_parquet(content, index=False)
    if path.exists():
        return f"{path}: exists, so another probe uses the same folder; the measurement is not stored"
    try:
        replace_file(path, lambda file: file.write(content.getvalue()))
    except OSError as error:
        return f"{folder}: cannot be written ({error_reason(error)}); the measurement is not stored"
    return None
