"""Functions that record an outcome for a run whose process has died."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from rnnlab.records import Outcome
from rnnlab.runs.files import refuse_links_in
from rnnlab.runs.folder import RUN_LOCK, RunFolder, RunInUse, write_run_info
from rnnlab.runs.run_json import read_run_info


def record_failure(
    folder: Path, info: Mapping[str, Any], config: Mapping[str, Any], summary: Mapping[str, Any]
) -> dict[str, Any]:
    """Mark as failed a run whose process has died, and return the updated content of `run.json`.

    Raises:
        RunInUse: If the run is still in progress.
        RunEnded: If the run has already ended.
        OSError: If the outcome cannot be written.
    """
    with RunFolder(folder, info, config, resume=True, patience=0) as run:
        run.finish("failed", summary)
        return run.info


def close_run(folder: Path, outcome: Outcome, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Record an outcome for a run whose process has died, and return the updated content of `run.json`.

    Raises:
        RunInUse: If the run is still in progress.
        OSError: If the outcome cannot be written.
        ValueError: If the folder contains a symbolic link.
    """
    from rnnlab.runs.gradient_table import write_gradients

    try:
        refuse_links_in(folder)
        with FileLock(folder / RUN_LOCK).acquire(timeout=0):
            info = read_run_info(folder)
            assert info is not None
            if info["outcome"] is None:
                write_gradients(folder)
                ended = max(time.time(), info.get("started", 0.0))
                info |= {"outcome": outcome, "ended": ended, "summary": dict(summary)}
                write_run_info(folder, info)
            return info
    except Timeout:
        raise RunInUse(f"{folder} belongs to a run that is still in progress") from None
