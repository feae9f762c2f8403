"""Progress of a run, used to choose between copies of a run folder.

If a run folder is copied while the run is in progress, two folders have the same run id. In this case, the
folder in which the run has progressed further is used. A completed run is considered to have progressed
further than an unfinished run. If both runs or neither run has completed, their last steps are compared and,
if these steps are equal, the times recorded in `Advance.at`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnlab.records import ENDED
from rnnlab.runs.metrics_jsonl import last_step


@dataclass(frozen=True, order=True)
class Advance:
    """Progress of a run, ordered so that a run that has progressed further compares as greater.

    Attributes:
        ended: True if the run has completed and therefore cannot be resumed.
        step: Last step with recorded metrics, or -1 if no metrics have been recorded.
        at: Time, in seconds since 1970, at which the run ended or, for an unfinished run, last started or
            resumed.
    """

    ended: bool
    step: int
    at: float


def read_advance(info: Mapping[str, Any], metrics_file: Path) -> Advance:
    """Return the progress of a run from `run.json` and `metrics.jsonl`; `metrics.jsonl` may be missing."""
    resumptions = [resumption["at"] for resumption in info.get("resumed") or []]
    at = info.get("ended") or max([*resumptions, info.get("started") or 0.0])
    return Advance(info.get("outcome") in ENDED, last_step(metrics_file), float(at))
