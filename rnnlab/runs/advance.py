"""The progress recorded in a run folder, used to choose between copies of a run folder.

A run folder may have been copied while its run was in progress, so that two folders share one id. The folder
with more progress is used. An ended run ranks above an unfinished run; runs are then compared by step and
finally by time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnlab.records import ENDED
from rnnlab.runs.metrics_jsonl import last_step


@dataclass(frozen=True, order=True)
class Advance:
    """Progress of a run; more progress compares as greater.

    Attributes:
        ended: True if the run ended on its own.
        step: Last step with metrics; -1 if there are no metrics.
        at: Time at which the run ended or, if it has not ended, last started or resumed, in seconds since
            1970.
    """

    ended: bool
    step: int
    at: float


def read_advance(info: Mapping[str, Any], metrics_file: Path) -> Advance:
    """Return the progress of a run from `run.json` and `metrics.jsonl`; the latter may be missing."""
    resumptions = [resumption["at"] for resumption in info.get("resumed") or []]
    at = info.get("ended") or max([*resumptions, info.get("started") or 0.0])
    return Advance(info.get("outcome") in ENDED, last_step(metrics_file), float(at))
