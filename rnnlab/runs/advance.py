"""The progress recorded in a run folder, used to choose between a run folder and its copy.

A run folder may have been copied while its run was in progress, so that two folders share one id. The folder
with more progress counts as the run: first by whether the run ended, then by step, then by time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnlab.records import ENDED
from rnnlab.runs.metrics_jsonl import last_step


@dataclass(frozen=True, order=True)
class Advance:
    """The progress of a run; a run with more progress compares as greater.

    Attributes:
        ended: True if the run ended on its own.
        step: Last step with metrics; -1 if no step has any.
        at: Time at which the run ended or, failing that, last started or resumed, in seconds since 1970.
    """

    ended: bool
    step: int
    at: float


def read_advance(info: Mapping[str, Any], metrics_file: Path) -> Advance:
    """Return the progress of the run with this `run.json` and this `metrics.jsonl`, which may be missing."""
    resumptions = [resumption["at"] for resumption in info.get("resumed") or []]
    at = info.get("ended") or max([*resumptions, info.get("started") or 0.0])
    return Advance(info.get("outcome") in ENDED, last_step(metrics_file), float(at))
