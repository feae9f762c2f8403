"""How far a run folder is, to choose between a run and a copy of it.

A folder may have been copied while its run went on. Both have the same id, and the one further on is the
run: one that ended of itself before one that did not, then the one with more steps, then the newer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnlab.records import ENDED
from rnnlab.runs.metrics_jsonl import last_step


@dataclass(frozen=True, order=True)
class Advance:
    """How far a run is; what is further on is greater.

    Attributes:
        ended: Whether it came to its own end.
        step: The last step that it has metrics of; -1 for none.
        at: When it ended or else was last begun, seconds since 1970.
    """

    ended: bool
    step: int
    at: float


def read_advance(info: Mapping[str, Any], metrics_file: Path) -> Advance:
    """How far the run with this `run.json` and `metrics.jsonl` is; the latter need not be there."""
    lives = [life["at"] for life in info.get("resumed") or []]
    began = [*lives, info.get("started") or 0.0]
    at = info.get("ended") or max(began)
    return Advance(info.get("outcome") in ENDED, last_step(metrics_file), float(at))
