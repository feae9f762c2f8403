"""Comparison of two runs by configuration, outcome, summary, code and machine."""

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pandas as pd

from rnnlab.analysis.frames.runs_frame import RunEntry
from rnnlab.records import DIFF_FILE
from rnnlab.runs.run_json import flatten

SECTIONS = ("config", "outcome", "summary", "code and machine")


def compare_runs(first: RunEntry, second: RunEntry) -> pd.DataFrame:
    """Return a data frame with one row per difference between two runs.

    The columns are `section` (one of SECTIONS), `key`, and `first` and `second`, which contain the values
    from the two runs. A missing value is None. Times, names and folders are excluded because they always
    differ between runs.
    """
    rows = []
    for section, one, other in zip(SECTIONS, _sections(first), _sections(second), strict=True):
        for key in dict.fromkeys([*one, *other]):
            if one.get(key) != other.get(key):
                rows.append((section, key, one.get(key), other.get(key)))
    return pd.DataFrame(rows, columns=["section", "key", "first", "second"], dtype=object)


def _sections(run: RunEntry) -> Iterator[dict[str, Any]]:
    yield dict(flatten(run.config))
    summary = run.info.get("summary", {})
    yield {"outcome": run.row["outcome"], "why": summary.get("error")}
    yield {key: value for key, value in flatten(summary) if key not in ("error", "seconds")}
    tags = run.info.get("tags", {})
    code = {key: tags.get(key) for key in ("rnnlab_version", "git_commit")} | {DIFF_FILE: _digest(run)}
    yield code | dict(flatten(run.info.get("machine") or {}))


def _digest(run: RunEntry) -> str | None:
    """Return a hash of the uncommitted code changes saved with a run, or None if all code was committed."""
    try:
        return f"sha256 {sha256(run.stored.file(DIFF_FILE).read_bytes()).hexdigest()[:12]}"
    except OSError:
        return None
